//! Judges the requests of clients: who asks, and whether they may. Everything that lets others in asks here, a sidecar for
//! its app and a gateway for what is behind it.

mod caller;
mod token;

use std::net::IpAddr;
use std::sync::Arc;

use policy::{Denial, Permit, Snapshot};

use crate::connection::registry::Connection;
use crate::http::error::RequestError;
use crate::traffic::authorize;
pub(crate) use crate::traffic::authorize::OpaqueKind;
use crate::traffic::decisions::DecisionRecord;
use crate::traffic::exchange::{self, Exchange};
use crate::traffic::record::ConnectionRecord;
use crate::traffic::review::{self, RequestReview, ReviewedFacts};
use crate::traffic::state::ProxyState;
use crate::traffic::worker::Worker;
use caller::JudgedCaller;

/// Authorizes a connection as a whole, whatever its bytes say, and records the verdict for `/decisions` and the log.
///
/// # Errors
/// The refusal.
pub(crate) fn bytes(
    state: &ProxyState,
    connection: &Connection,
    carries: OpaqueKind,
    record: &mut ConnectionRecord,
) -> Result<Permit, Denial> {
    let facts = authorize::facts(connection);
    let verdict = authorize::opaque(&state.snapshot(), &facts, carries);
    state.decisions.add(DecisionRecord::new(state.clock.unix(), &facts, None, &verdict));
    record.decided(verdict)
}

/// Judges the requests of one connection by the snapshot in force.
pub(crate) struct RequestJudge {
    pub(crate) worker: Arc<Worker>,
    pub(crate) connection: Arc<Connection>,
}

impl RequestJudge {
    /// Finds out who token and API key speak for and registers the request on its connection, both by the snapshot that then
    /// decides: a change of policy finds the request registered or is seen here, and then all of it is judged again.
    ///
    /// # Errors
    /// [`RequestError`]: the token or the key is not accepted, or policy changed in a way that leaves the request in doubt.
    pub(crate) fn authenticate(
        &self,
        exchange: &mut Exchange<'_>,
        remote_ip: Option<IpAddr>,
    ) -> Result<(), RequestError> {
        let Self { worker, connection } = self;
        let state = &worker.state;
        let level = state.settings.path_normalization;
        let mut snapshot = exchange.snapshot.take().unwrap_or_else(|| state.snapshot());
        let mut judged: Option<JudgedCaller> = None;
        let judge = |snapshot: &Snapshot| {
            let found = self.caller(exchange, snapshot, judged.take())?;
            let Exchange { parts, admitted, path, listener, .. } = &*exchange;
            let request_facts = exchange::facts(parts, admitted, path, &found.caller);
            let judged_by = ReviewedFacts {
                normalization: level,
                remote_ip,
                caller: &found.caller,
                listener: listener.as_ref(),
            };
            let review = RequestReview::begin(connection, snapshot, &request_facts, &judged_by);
            judged = Some(found);
            Ok::<_, RequestError>(review)
        };
        let review = review::by_one_snapshot(&mut snapshot, || state.snapshot(), judge)?;
        exchange.record.hold_review(review);
        exchange.caller = judged.map(|judged| judged.caller).unwrap_or_default();
        exchange.snapshot = Some(snapshot);
        exchange.remote_ip = remote_ip;
        Ok(())
    }

    /// Authorizes the request, by the same path that is forwarded.
    ///
    /// # Errors
    /// [`RequestError::Denied`].
    pub(crate) fn authorize(&self, exchange: &mut Exchange<'_>) -> Result<Permit, RequestError> {
        let state = &self.worker.state;
        let remote_ip = exchange.remote_ip;
        let connection =
            policy::ConnectionFacts { remote_ip, ..authorize::facts(&self.connection) };
        let request_facts = exchange.facts();
        let in_force;
        let snapshot = match &exchange.snapshot {
            Some(snapshot) => snapshot,
            None => {
                in_force = state.snapshot();
                &in_force
            }
        };
        let verdict = authorize::request(snapshot, &connection, &request_facts);
        let decision =
            || DecisionRecord::new(state.clock.unix(), &connection, Some(&request_facts), &verdict);
        if verdict.decision.is_err() {
            state.decisions.add(decision());
        } else if !verdict.shadow.is_empty() {
            state.decisions.offer(decision);
        }
        let decided = exchange.record.decided(verdict);
        decided.map_err(RequestError::Denied)
    }
}
