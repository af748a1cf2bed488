//! Which token of a request an issuer is to be asked about, if any.

use std::sync::Arc;

use identity::TrustDomain;
use identity::jws::Jws;
use policy::introspection::IntrospectedTokens;
use policy::{IntrospectionRule, Introspections, TokenPlace, TokenRules};
use zeroize::Zeroizing;

use crate::http::TokenRefusal;
use crate::http::error::RequestError;
use crate::http::headers::is_preflight;
use crate::traffic::exchange::Exchange;
use crate::traffic::internal_token;
use crate::traffic::jwt::{MAX_TOKEN_BYTES, locate_in};
use crate::traffic::state::ProxyState;

/// A token, and by which rule its issuer is asked.
pub(super) struct SoughtToken {
    pub(super) rule: Arc<IntrospectionRule>,
    pub(super) place: TokenPlace,
    pub(super) token: Zeroizing<Vec<u8>>,
}

/// Finds the token among all places where anybody looks for one: two of them are refused here, because what was asked about
/// is out of the request when the others are verified (S-39).
pub(super) fn sought(
    rules: &Introspections,
    exchange: &Exchange<'_>,
    state: &ProxyState,
) -> Result<Option<SoughtToken>, RequestError> {
    let snapshot;
    let tokens = match &exchange.snapshot {
        Some(snapshot) => snapshot.tokens(),
        None => {
            snapshot = state.snapshot();
            snapshot.tokens()
        }
    };
    let listener = exchange.listener.as_ref().map(|listener| listener.place());
    let about: Vec<_> = rules.about(listener).collect();
    if about.is_empty() || is_preflight(exchange.parts) {
        return Ok(None);
    }
    let own = about.iter().flat_map(|rule| &rule.settings.places);
    let places = TokenPlace::in_order(own.chain(tokens.places()));
    let located = locate_in(&places, &exchange.parts.headers, exchange.path.query());
    let Some(located) = located.map_err(RequestError::Token)? else { return Ok(None) };
    let Some(place) = places.get(located.place) else { return Ok(None) };
    let token = &located.token;
    let own = &state.settings.trust_domain;
    let Some(rule) = asking(&about, place, token, (tokens, own)) else { return Ok(None) };
    check_form(token).map_err(RequestError::Token)?;
    let token = Zeroizing::new(located.token.into_owned());
    Ok(Some(SoughtToken { rule: Arc::clone(rule), place: (*place).clone(), token }))
}

/// Nobody outside is shown a token of the mesh, also where no rule here verifies it: then it is nobody's.
fn is_of_the_mesh(token: &[u8], own: &TrustDomain) -> bool {
    let claims = Jws::open(token).and_then(|jws| jws.claims());
    claims.is_ok_and(|claims| internal_token::acts_for(&claims, own))
}

/// The first rule that looks in this place and asks about such tokens.
pub(super) fn asking<'r>(
    about: &[&'r Arc<IntrospectionRule>],
    place: &TokenPlace,
    token: &[u8],
    (tokens, own): (&TokenRules, &TrustDomain),
) -> Option<&'r Arc<IntrospectionRule>> {
    if is_of_the_mesh(token, own) {
        return None;
    }
    let mut verified_here = None;
    let mut here = about.iter().copied().filter(|rule| rule.settings.places.contains(place));
    here.find(|rule| match rule.settings.tokens {
        IntrospectedTokens::All => true,
        IntrospectedTokens::Opaque => {
            !*verified_here.get_or_insert_with(|| is_of_known_issuer(token, place, tokens))
        }
    })
}

/// Whether it is a JSON Web Token of an issuer that a RequestAuthentication names, in a place where such are looked for: it is
/// verified by the issuer's keys, or refused.
fn is_of_known_issuer(token: &[u8], place: &TokenPlace, tokens: &TokenRules) -> bool {
    if !tokens.places().contains(place) {
        return false;
    }
    let claims = Jws::open(token).and_then(|jws| jws.claims());
    let issuer = claims.ok().and_then(|claims| Some(claims.get("iss")?.as_str()?.to_owned()));
    issuer.is_some_and(|issuer| tokens.know_issuer(&issuer))
}

/// What can be no token (RFC 6750 §2.1) is not worth a question.
fn check_form(token: &[u8]) -> Result<(), TokenRefusal> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenRefusal::TooLarge);
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    match !token.is_empty() && token.iter().all(plain) {
        true => Ok(()),
        false => Err(TokenRefusal::Malformed("characters that no bearer token has")),
    }
}
