//! Who a request's token speaks for, with what this proxy holds.

use http::request::Parts;
use policy::{CanonicalPath, HostName, KeySource};

use super::Inbound;
use crate::error::RequestError;
use crate::filter::jwt::{self, Authenticated, Desk};

/// Judges the request's token, if it has one, and leaves of it what the app may see.
pub(super) fn authenticate(
    inbound: &Inbound,
    parts: &mut Parts,
    host: &HostName,
    path: &CanonicalPath<'_>,
) -> Result<Authenticated, RequestError> {
    let worker = &inbound.worker;
    let state = &worker.state;
    let snapshot = state.snapshot();
    if snapshot.tokens().is_empty() {
        return Ok(Authenticated::default());
    }
    let desk = Desk {
        rules: snapshot.tokens(),
        keys: &state.token_keys.book(),
        cache: &worker.tokens,
        used_proofs: &state.used_proofs,
        peer: inbound.peer(),
        normalization: state.config.path_normalization,
        now: state.clock.unix(),
        unknown_key: &|source: &KeySource| state.token_keys.unknown_key(source),
    };
    jwt::authenticate(&desk, parts, host, path).map_err(RequestError::Token)
}
