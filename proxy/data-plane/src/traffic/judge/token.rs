//! Whose token a request carries, by the state of this proxy.

use http::request::Parts;
use policy::{CanonicalPath, HostName, KeySource, Snapshot};

use crate::connection::registry::Peer;
use crate::http::error::RequestError;
use crate::traffic::jwt::{self, AuthenticatedToken, TokenContext};
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
