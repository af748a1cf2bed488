//! What ThreatPolicies find in requests, and what is done about it; see `docs/threats.md`.
//!
//! Which policy is about a request is told by the `policy` crate ([`policy::ThreatTable`]), what its rules say by the crate
//! `threat-rules`, on threads beside the workers ([`pool`]). Where no policy is about a request, it costs one look.

pub mod detections;
pub(crate) mod finding;
mod found;
pub mod inspector;
pub mod pool;
pub mod rule_sets;
mod subject;
mod verdict;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use policy::route::RouteKind;
use policy::threat::{ExceededBody, ThreatMode, ThreatSettings};
use policy::{Protocol, ThreatRule};
use tokio::sync::oneshot;

use crate::http::ThreatRefusal;
use crate::http::body::BodyBeginning;
use crate::http::body::decoded::ContentCoding;
use crate::http::error::RequestError;
use crate::http::headers::is_native_grpc;
use crate::traffic::exchange::{Exchange, Phase};
use crate::traffic::inspect_phase::{self, InspectedPlace, ReadFailure};
use crate::traffic::state::ProxyState;
use subject::InspectionSubject;
use verdict::{Looked, ThreatVerdict};

/// Looks through a request, where a ThreatPolicy is about it.
///
/// # Errors
/// [`RequestError::Threat`]: the policy refuses it. [`RequestError::ClientBody`]: its body failed meanwhile.
pub(crate) fn inspect<'f, 'x>(
    state: &'f ProxyState,
    exchange: &'f mut Exchange<'x>,
    place: InspectedPlace<'_>,
) -> impl Future<Output = Phase<()>> + Send + use<'f, 'x> {
    let policy =
        policy_about(state, exchange, place).map(|policy| (policy, takes_grpc(state, place)));
    async move {
        match policy {
            None => Ok(()),
            // Boxed, because it is large, and most requests have none.
            Some((policy, grpc)) => Box::pin(inspect_by(state, exchange, &policy, grpc)).await,
        }
    }
}

fn policy_about(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    place: InspectedPlace<'_>,
) -> Option<Arc<ThreatRule>> {
    let snapshot = exchange.snapshot.get_or_insert_with(|| state.snapshot());
    let table = snapshot.threats();
    if table.is_empty() {
        return None;
    }
    match place {
        InspectedPlace::AppPort(_) => table.find(None, None).cloned(),
        InspectedPlace::Edge(listener, rule) => {
            table.find(Some(&listener.place()), Some(&rule.route)).cloned()
        }
    }
}

/// Whether what takes the request speaks gRPC, as people have declared: what a client says of its body is not enough to
/// leave it unread.
fn takes_grpc(state: &ProxyState, place: InspectedPlace<'_>) -> bool {
    match place {
        InspectedPlace::AppPort(port) => {
            let declared = state.settings.inbound.declared_protocol(port);
            declared == Protocol::Grpc || state.port_protocol(port) == Protocol::Grpc
        }
        InspectedPlace::Edge(_, rule) => rule.route.kind == RouteKind::Grpc,
    }
}

async fn inspect_by(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    policy: &Arc<ThreatRule>,
    takes_grpc: bool,
) -> Phase<()> {
    let looked = look(state, exchange, policy, takes_grpc).await?;
    let verdict = ThreatVerdict::of(&policy.settings, &looked);
    found::record(state, exchange, policy, &looked, verdict);
    match verdict {
        ThreatVerdict::Pass | ThreatVerdict::Detect => Ok(()),
        ThreatVerdict::Refuse(refusal) => Err(RequestError::Threat(refusal).into()),
    }
}

/// Reads what is to be read, and has it looked through.
async fn look(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    policy: &Arc<ThreatRule>,
    takes_grpc: bool,
) -> Result<Looked, RequestError> {
    // What waits below needs no snapshot, and a worker has few fast places for loaded snapshots.
    exchange.snapshot.take();
    let settings = &policy.settings;
    let Some(rules) = state.threats.rule_sets.get(&settings.rule_set) else {
        return Ok(Looked::missed(ThreatRefusal::Unavailable));
    };
    // A conversation's body is not waited for. It is one where gRPC is declared: what a client announces, gRPC or another
    // protocol to switch to, does not keep an app from reading the body as any other.
    let is_conversation = takes_grpc && is_native_grpc(&exchange.parts.headers);
    let (body, coding, missed) = match is_conversation {
        true => (no_body(), ContentCoding::Identity, None),
        false => read_body(state, exchange, settings).await?,
    };
    if let (Some(missed), ThreatMode::Block) = (missed, settings.mode) {
        return Ok(Looked::missed(missed));
    }
    let client = exchange.remote_ip.unwrap_or_else(|| exchange.record.source().ip());
    let parties = (rules, Arc::clone(policy));
    let subject = InspectionSubject::of(exchange, client, parties, (body, coding));
    let looked = hand_over(state, subject, settings.timeout).await;
    Ok(Looked { missed: missed.or(looked.missed), ..looked })
}

/// Has a thread look through it, and waits no longer than the policy says.
async fn hand_over(state: &ProxyState, subject: InspectionSubject, limit: Duration) -> Looked {
    let begun = Instant::now();
    let handed = state.threats.pool.run(move |go_on| subject.inspect(go_on));
    let Ok(result) = handed else { return Looked::missed(ThreatRefusal::Overloaded) };
    let looked = await_result(result, limit).await;
    state.metrics.threat_inspection(begun.elapsed());
    looked
}

async fn await_result(result: oneshot::Receiver<Looked>, limit: Duration) -> Looked {
    match tokio::time::timeout(limit, result).await {
        Ok(Ok(looked)) => looked,
        // It panicked.
        Ok(Err(_)) => Looked::missed(ThreatRefusal::Unavailable),
        Err(_) => Looked::missed(ThreatRefusal::TimedOut),
    }
}

/// What is looked through of a body, how that is coded, and why it is not all that should be.
async fn read_body(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    settings: &ThreatSettings,
) -> Result<(BodyBeginning, ContentCoding, Option<ThreatRefusal>), RequestError> {
    if exchange.body.is_empty() {
        return Ok((no_body(), ContentCoding::Identity, None));
    }
    let coding = match ContentCoding::of(&exchange.parts.headers) {
        Ok(coding) => coding,
        Err(why) => {
            let missed = Some(ThreatRefusal::Unreadable(why));
            return Ok((no_body(), ContentCoding::Identity, missed));
        }
    };
    let most = usize::try_from(settings.inspect_bytes).unwrap_or(usize::MAX);
    let is_denied = settings.on_exceed == ExceededBody::Deny;
    if is_denied
        && settings.mode == ThreatMode::Block
        && inspect_phase::exceeds(exchange.body, most)
    {
        return Ok((no_body(), coding, Some(ThreatRefusal::TooLarge)));
    }
    let may_be_late = settings.mode == ThreatMode::Detect || !is_denied;
    let read = match may_be_late {
        true => inspect_phase::read_what_comes(state, exchange, most).await,
        false => inspect_phase::read_body_within(state, exchange, most).await,
    };
    match read {
        Ok(body) => {
            let missed = unseen(settings, &body, most);
            Ok((body, coding, missed))
        }
        Err(ReadFailure::Full) => Ok((no_body(), coding, Some(ThreatRefusal::Overloaded))),
        Err(ReadFailure::Body(failure)) => Err(RequestError::ClientBody(failure)),
    }
}

/// Why the rest of a body is not looked through, where that is told.
fn unseen(settings: &ThreatSettings, body: &BodyBeginning, most: usize) -> Option<ThreatRefusal> {
    let is_late = body.bytes.len() < most;
    match settings.on_exceed {
        _ if body.complete => None,
        _ if is_late && settings.mode == ThreatMode::Detect => Some(ThreatRefusal::TimedOut),
        ExceededBody::Deny => Some(ThreatRefusal::TooLarge),
        ExceededBody::InspectPrefix => None,
    }
}

fn no_body() -> BodyBeginning {
    BodyBeginning { bytes: Bytes::new(), complete: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_result_is_waited_for_as_long_as_the_policy_says() {
        let limit = Duration::from_millis(50);
        let missed = |looked: Looked| looked.missed;
        let (sender, result) = oneshot::channel();
        let waiting = await_result(result, limit);
        assert_eq!(missed(waiting.await), Some(ThreatRefusal::TimedOut), "nothing comes");
        assert!(sender.is_closed(), "and the thread can tell");
        let (sender, result) = oneshot::channel();
        assert!(sender.send(Looked::default()).is_ok());
        assert_eq!(missed(await_result(result, limit).await), None, "it is there");
        let (sender, result) = oneshot::channel::<Looked>();
        drop(sender);
        let lost = await_result(result, limit).await;
        assert_eq!(missed(lost), Some(ThreatRefusal::Unavailable), "the thread gave up");
    }
}
