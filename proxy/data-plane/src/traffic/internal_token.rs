//! Tokens of the mesh as they look before anybody has verified them: what must stay inside, and what may be exchanged.
//!
//! Each of them has `act`, whose `sub` is a workload of the own trust domain (RFC 8693 §4.1), under whatever name the
//! authority issues. A workload's JWT-SVID has none: it may leave, because others outside know it.

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use identity::jws::Jws;
use identity::{SpiffeId, TrustDomain};
use serde_json::{Map, Value};

/// Schemes of tokens in `Authorization`.
const SCHEMES: [&str; 2] = ["bearer", "dpop"];

/// Whether a workload of this trust domain is the current actor of a token with these claims.
pub(crate) fn acts_for(claims: &Map<String, Value>, own: &TrustDomain) -> bool {
    let actor = claims.get("act").and_then(|act| act.get("sub")).and_then(Value::as_str);
    let actor = actor.and_then(|actor| SpiffeId::parse(actor).ok());
    actor.is_some_and(|actor| actor.trust_domain() == own.as_str())
}

/// The token of the mesh in `Authorization`, and its claims. Nothing of it is verified.
pub(crate) fn find<'h>(
    headers: &'h HeaderMap,
    own: &TrustDomain,
) -> Option<(&'h str, Map<String, Value>)> {
    let mut tokens = headers.get_all(AUTHORIZATION).into_iter().filter_map(token);
    tokens.find_map(|token| {
        let claims = claims(token).filter(|claims| acts_for(claims, own))?;
        Some((std::str::from_utf8(token).ok()?, claims))
    })
}

/// Whether a value of `Authorization` is a token of the mesh.
pub(crate) fn is_internal(value: &HeaderValue, own: &TrustDomain) -> bool {
    token(value).and_then(claims).is_some_and(|claims| acts_for(&claims, own))
}

/// Takes tokens of the mesh out of `Authorization`, for a request that leaves it.
pub(crate) fn remove(headers: &mut HeaderMap, own: &TrustDomain) {
    remove_bearers(headers, |value| is_internal(value, own));
}

/// Takes every token out of `Authorization` that `goes`; true where there was one. Other schemes stay.
pub(crate) fn remove_bearers(headers: &mut HeaderMap, goes: impl Fn(&HeaderValue) -> bool) -> bool {
    let is_removed = |value: &HeaderValue| token(value).is_some() && goes(value);
    if !headers.get_all(AUTHORIZATION).iter().any(is_removed) {
        return false;
    }
    let kept: Vec<_> =
        headers.get_all(AUTHORIZATION).iter().filter(|value| !is_removed(value)).cloned().collect();
    headers.remove(AUTHORIZATION);
    for value in kept {
        headers.append(AUTHORIZATION, value);
    }
    true
}

/// What follows the scheme of a token (RFC 9110 §11.4); empty where nothing does.
fn token(value: &HeaderValue) -> Option<&[u8]> {
    let text = value.as_bytes().trim_ascii();
    // Whatever ends the word: apps take more than blanks for one.
    let scheme = text.iter().take_while(|byte| is_word(**byte)).count();
    let (scheme, rest) = text.split_at_checked(scheme)?;
    let is_known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()));
    is_known.then(|| rest.trim_ascii())
}

/// RFC 9110 §5.6.2.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn claims(token: &[u8]) -> Option<Map<String, Value>> {
    Jws::open(token).ok()?.claims().ok()
}

#[cfg(test)]
mod tests;
