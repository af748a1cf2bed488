//! Refuses the requests of callers that are blocked: of those whom their connection tells before anything is done for them,
//! of those whom a token or an API key names as soon as that is known. What is counted, and where: [`crate::traffic::abuse`].
//!
//! A request that is under way when its caller is blocked goes on: what it has been allowed is not taken back.

use std::net::IpAddr;

use crate::http::error::RequestError;
use crate::traffic::exchange::{Exchange, HttpContext, PhaseEnd};

/// Before anybody is authenticated. From here on the answer of the request counts, whoever gives it. `remote_ip` is the
/// client's address, where it is not the peer's.
///
/// # Errors
/// The caller is blocked.
pub(crate) fn meet(
    context: &HttpContext,
    exchange: &mut Exchange<'_>,
    remote_ip: Option<IpAddr>,
) -> Result<(), RequestError> {
    let HttpContext { worker, connection, .. } = context;
    let client = remote_ip.unwrap_or_else(|| connection.source.ip());
    let listener = exchange.listener.as_ref().map(|listener| listener.place());
    let Some(met) = worker.state.abuse.meet(connection, client, listener) else { return Ok(()) };
    let refusal = met.refusal_by_connection();
    exchange.record.meet_abuse(met);
    refusal.map_or(Ok(()), |refusal| Err(RequestError::Blocked(refusal)))
}

/// Whoever asks has been authenticated.
///
/// # Errors
/// The caller is blocked.
pub(crate) fn authenticated(exchange: &mut Exchange<'_>) -> Result<(), RequestError> {
    let Exchange { record, caller, .. } = exchange;
    let met = record.abuse();
    let refusal = met.and_then(|met| met.refusal_by_credential(caller));
    refusal.map_or(Ok(()), |refusal| Err(RequestError::Blocked(refusal)))
}

/// Whoever asks could not be authenticated: one who has tried that too often is told so.
pub(crate) fn unauthenticated(exchange: &mut Exchange<'_>, end: PhaseEnd) -> PhaseEnd {
    let is_refused = matches!(&end, PhaseEnd::Refuse(error) if error.status().as_u16() == 401);
    let met = exchange.record.abuse().filter(|_| is_refused);
    match met.and_then(|met| met.refusal_without_credential()) {
        Some(refusal) => RequestError::Blocked(refusal).into(),
        None => end,
    }
}
