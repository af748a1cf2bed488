//! Who a request's token speaks for, with what this proxy holds.

use http::request::Parts;
use policy::{CanonicalPath, HostName, KeySource, Snapshot};

use super::InboundConnection;
use crate::http::error::RequestError;
use crate::traffic::jwt::{self, AuthenticatedToken, TokenContext};

/// As [`authenticate`], by a snapshot that came into force after a first look. A token that was found is out of the request by
/// now, so it is asked as for a request under way whether it is still believed ([0402]).
///
/// [0402]: ../../../docs/decisions/0402-in-doubt-a-request-under-way-ends.md
pub(super) fn authenticate_again(
    before: AuthenticatedToken,
    inbound: &InboundConnection,
    snapshot: &Snapshot,
    parts: &mut Parts,
    host: &HostName,
    path: &CanonicalPath<'_>,
) -> Result<AuthenticatedToken, RequestError> {
    let rules = snapshot.tokens();
    match before.claims() {
        None => authenticate(inbound, snapshot, parts, host, path),
        Some(_) if rules.is_empty() => Ok(AuthenticatedToken::default()),
        Some(claims) if rules.accepts(claims, inbound.peer().map(|peer| &peer.id)) => Ok(before),
        Some(_) => Err(RequestError::Withdrawn),
    }
}

/// Judges the request's token by the rules of a snapshot, if it has one, and leaves of it what the app may see.
pub(super) fn authenticate(
    inbound: &InboundConnection,
    snapshot: &Snapshot,
    parts: &mut Parts,
    host: &HostName,
    path: &CanonicalPath<'_>,
) -> Result<AuthenticatedToken, RequestError> {
    let worker = &inbound.worker;
    let state = &worker.state;
    if snapshot.tokens().is_empty() {
        return Ok(AuthenticatedToken::default());
    }
    let desk = TokenContext {
        rules: snapshot.tokens(),
        keys: &state.token_keys.book(),
        cache: &worker.tokens,
        used_proofs: &state.used_proofs,
        peer: inbound.peer(),
        normalization: state.settings.path_normalization,
        now: state.clock.unix(),
        unknown_key: &|source: &KeySource| state.token_keys.unknown_key(source),
    };
    jwt::authenticate(&desk, parts, host, path).map_err(RequestError::Token)
}
