//! Whose token a request carries, by the state of this proxy.

use std::sync::Arc;

use http::request::Parts;
use policy::{CanonicalPath, GatewayListener, HostName, KeySource, Snapshot};

use crate::connection::registry::Peer;
use crate::http::error::RequestError;
use crate::traffic::caller::KnownClaims;
use crate::traffic::jwt::{self, AuthenticatedToken, TokenContext, TokenRefusal};
use crate::traffic::worker::Worker;

/// Verifies the request's token by the rules of a snapshot, if it has one, and leaves of it what the app may see.
pub(super) fn authenticate(
    worker: &Worker,
    peer: Option<&Peer>,
    snapshot: &Snapshot,
    parts: &mut Parts,
    host: &HostName,
    path: &CanonicalPath<'_>,
) -> Result<AuthenticatedToken, RequestError> {
    let state = &worker.state;
    if snapshot.tokens().is_empty() {
        return Ok(AuthenticatedToken::default());
    }
    let desk = TokenContext {
        rules: snapshot.tokens(),
        keys: &state.token_keys.keys(),
        cache: &worker.tokens,
        used_proofs: &state.used_proofs,
        peer,
        normalization: state.settings.path_normalization,
        now: state.clock.unix(),
        unknown_key: &|source: &KeySource| state.token_keys.unknown_key(source),
    };
    jwt::authenticate(&desk, parts, host, path).map_err(RequestError::Token)
}

/// The one who speaks for the request: its token, or whoever was asked about it. Both at once would be two callers.
pub(super) fn joined(
    token: AuthenticatedToken,
    known: Option<KnownClaims>,
    snapshot: &Snapshot,
    (parts, listener): (&mut Parts, Option<&Arc<GatewayListener>>),
) -> Result<AuthenticatedToken, RequestError> {
    let Some(known) = known else { return Ok(token) };
    if token.claims().is_some() {
        return Err(RequestError::Token(TokenRefusal::TwoTokens));
    }
    // It was asked by rules that may be gone.
    if !known.is_accepted(snapshot, listener) {
        return Err(RequestError::Withdrawn);
    }
    for (name, value) in &known.made {
        parts.headers.insert(name.clone(), value.clone());
    }
    Ok(AuthenticatedToken::of_known(known))
}
