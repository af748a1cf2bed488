//! Connections to a broker whose protocol is understood: every operation is judged by itself. A pure session of the
//! protocol says what a client asks for and what may pass ([`Session`]); here its bytes are moved (`events/pump.rs`), and
//! its questions answered (`events/judge.rs`).

mod judge;
mod line;
mod outgoing;
mod pump;
mod review;
mod session;
mod upkeep;
mod verdicts;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use message_access::{Dismissal, MessageProtocol, SessionEnd};

use crate::connection::net::{Io, StreamAborter};
use crate::connection::registry::Connection;
use crate::labels::CloseReason;
use crate::traffic::authorize;
use crate::traffic::opaque;
use crate::traffic::record::ConnectionRecord;
use crate::traffic::worker::Worker;
use judge::MessageJudge;
use pump::{Pump, PumpEnd, Spoken};
use review::SessionReview;
use upkeep::Upkeep;

/// A connection to a broker that has been let in as a whole.
pub(crate) struct BrokerConnection<'a> {
    pub(crate) worker: &'a Arc<Worker>,
    pub(crate) connection: &'a Arc<Connection>,
    pub(crate) protocol: MessageProtocol,
    /// Where it came to an explicit listener: what its clients are told of the brokers behind it.
    pub(crate) advertised: Option<&'a BTreeMap<i32, SocketAddr>>,
    /// How a broken connection shows that to either side.
    pub(crate) aborters: [StreamAborter; 2],
}

impl BrokerConnection<'_> {
    /// Carries it to its end.
    pub(crate) async fn carry(
        &self,
        client: impl Io,
        broker: impl Io,
        record: &mut ConnectionRecord,
    ) {
        let (worker, connection) = (self.worker, self.connection);
        let limits = &worker.state.settings.limits;
        // Registered first: a change of policy is told to the session, or its first question meets the new one.
        let review = SessionReview::begin(connection);
        let mut session = session::begin(self.protocol, &self.session_settings());
        let mut judge = MessageJudge::new(worker, connection, self.protocol);
        let gauge = worker.state.metrics.subscriptions_open(self.protocol);
        let spoken = Spoken {
            session: &mut *session,
            judge: &mut judge,
            review: &review,
            upkeep: Upkeep::new(worker.state.event_memory.hold(), gauge),
        };
        let mut pump = Pump::new(client, broker, spoken, limits.event_greeting_timeout);
        // Lent, so that neither side is closed before it is known how.
        let end = tokio::select! {
            end = pump.run() => end,
            reason = opaque::until_cut(connection) => PumpEnd::Cut(reason),
        };
        let in_order = match &end {
            PumpEnd::Done => true,
            PumpEnd::Broken(_) => false,
            PumpEnd::Session(_) | PumpEnd::Silent => pump.say_last_words().await,
            PumpEnd::Cut(reason) => pump.dismiss(dismissal(*reason)).await,
        };
        if !in_order {
            self.aborters.iter().for_each(StreamAborter::abort);
        }
        drop(pump);
        self.report(end, judge.refused(), record);
    }

    /// Whether policy lets the connection be open: each is told in its turn that it does not, and meanwhile another that
    /// carries it may be gone.
    fn is_still_allowed(&self) -> bool {
        authorize::still_allows(&self.worker.state.snapshot(), self.connection)
    }

    /// Tells why it ended.
    fn report(&self, end: PumpEnd, refused: Option<&'static str>, record: &mut ConnectionRecord) {
        let mut failed = |reason, detail, error: String| {
            if matches!(detail, EVENT_VERSION | EVENT_MALFORMED | EVENT_LIMIT) {
                self.worker.state.metrics.message_error(self.protocol, detail);
            }
            record.failed(reason, detail, error);
        };
        match end {
            PumpEnd::Done => record.ended(CloseReason::Done, CloseReason::Done.as_str()),
            PumpEnd::Cut(reason) => record.ended(reason, reason.as_str()),
            PumpEnd::Broken(error) => match opaque::broken_reason(self.connection, &error) {
                // What carries it was cut first, by the same change of policy.
                CloseReason::Error if !self.is_still_allowed() => {
                    record.ended(CloseReason::Policy, CloseReason::Policy.as_str());
                }
                reason => record.failed(reason, reason.as_str(), error),
            },
            PumpEnd::Silent => failed(
                CloseReason::HeaderTimeout,
                EVENT_LIMIT,
                "the client has not introduced itself in time".to_owned(),
            ),
            PumpEnd::Session(SessionEnd::Denied) => {
                let detail = refused.unwrap_or(CloseReason::Policy.as_str());
                record.ended(CloseReason::Policy, detail);
            }
            PumpEnd::Session(SessionEnd::Version(text)) => {
                failed(CloseReason::Refused, EVENT_VERSION, text);
            }
            PumpEnd::Session(SessionEnd::Malformed(text)) => {
                failed(CloseReason::Error, EVENT_MALFORMED, text);
            }
            PumpEnd::Session(SessionEnd::Limit(text)) => {
                failed(CloseReason::Limit, EVENT_LIMIT, text);
            }
        }
    }
}

/// What a client is told where it was not the protocol that ended its session.
fn dismissal(reason: CloseReason) -> Dismissal {
    match reason {
        CloseReason::DrainDeadline | CloseReason::Descriptors => Dismissal::Ending,
        _ => Dismissal::NotAllowed,
    }
}

/// Why sessions end themselves, as stable reasons.
const EVENT_VERSION: &str = "event_version";
const EVENT_MALFORMED: &str = "event_malformed";
const EVENT_LIMIT: &str = "event_limit";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_meets_the_end_of_the_proxy_is_not_called_refused() {
        let ending = |reason: &CloseReason| dismissal(*reason) == Dismissal::Ending;
        let told: Vec<_> = CloseReason::ALL.into_iter().filter(ending).collect();
        assert_eq!(told, [CloseReason::DrainDeadline, CloseReason::Descriptors]);
    }
}
