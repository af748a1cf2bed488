//! Tokens that only their issuer can read: it is asked, once for many requests (OAuth 2.0 Token Introspection, RFC 7662).
//!
//! [`authenticate`] comes before tokens are verified here: find a token that an issuer is to be asked about (`sought`), take
//! what is known of it (`cache`) or ask (`desk`), judge the answer (`verdict`), and leave the claims to the judge. A token that
//! is not active is 401, whatever policy would say; without an answer the request is 503, and never let through.

mod cache;
pub(crate) mod desk;
mod sought;
mod verdict;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use policy::client_traffic::ListenerPlace;
use policy::{Introspections, TokenPlace};

use crate::http::TokenRefusal;
use crate::http::error::RequestError;
use crate::traffic::caller::{ClaimsOrigin, KnownClaims};
use crate::traffic::exchange::Exchange;
use crate::traffic::jwt;
use crate::traffic::state::ProxyState;
use desk::Found;
use sought::SoughtToken;
use verdict::{ActiveToken, IntrospectionVerdict};

/// By what rules it was found out whether somebody is to be asked.
pub(crate) struct AskedBy(Option<Arc<Introspections>>);

/// Finds out what an issuer says of the request's token, where one is to be asked, and takes the token out of the request
/// unless the app may see it.
///
/// # Errors
/// The token is not active, not for us, or there are two; the issuer does not answer.
pub(crate) async fn authenticate(
    state: &Arc<ProxyState>,
    exchange: &mut Exchange<'_>,
) -> Result<AskedBy, RequestError> {
    let rules = match &exchange.snapshot {
        Some(snapshot) => Arc::clone(snapshot.introspections()),
        None => Arc::clone(state.snapshot().introspections()),
    };
    if rules.is_empty() {
        return Ok(AskedBy(None));
    }
    // Headers that are made from answers must not come from the client (S-16).
    let listener = exchange.listener.as_ref().map(|listener| listener.place());
    for name in rules.made_headers(listener) {
        exchange.parts.headers.remove(name);
    }
    if let Some(sought) = sought::sought(&rules, exchange, state)? {
        // It may wait: the snapshot is loaded anew afterwards.
        exchange.snapshot = None;
        // Boxed, because it is large and most requests carry no such token.
        let found = Box::pin(verdict_about(state, &sought)).await?;
        exchange.snapshot = Some(state.snapshot());
        take_over(exchange, &sought, found)?;
    }
    Ok(AskedBy(Some(rules)))
}

/// After the request was registered for review: what it was judged by has the rules that it was asked by.
///
/// # Errors
/// [`RequestError::Withdrawn`]: others have come into force meanwhile.
pub(crate) fn confirm(asked: &AskedBy, exchange: &Exchange<'_>) -> Result<(), RequestError> {
    let Some(snapshot) = &exchange.snapshot else { return Ok(()) };
    let now = snapshot.introspections();
    let same = match &asked.0 {
        None => now.is_empty(),
        Some(asked) => Arc::ptr_eq(asked, now) || **asked == **now,
    };
    if same { Ok(()) } else { Err(RequestError::Withdrawn) }
}

/// What is known of a token, counted.
async fn verdict_about(
    state: &ProxyState,
    sought: &SoughtToken,
) -> Result<Arc<ActiveToken>, RequestError> {
    let SoughtToken { rule, token, .. } = sought;
    let Found { verdict, was_known } = state.introspections.verdict(rule, token).await;
    let result = verdict.as_ref().map_or("unavailable", IntrospectionVerdict::as_str);
    state.metrics.introspection(result, if was_known { "hit" } else { "miss" });
    match verdict {
        Some(IntrospectionVerdict::Active(token)) => Ok(token),
        Some(IntrospectionVerdict::Refused(refusal)) => Err(RequestError::Token(refusal)),
        None => Err(RequestError::IntrospectionUnavailable),
    }
}

/// The claims become the caller's. Whoever is known already, by a session, is another one.
fn take_over(
    exchange: &mut Exchange<'_>,
    sought: &SoughtToken,
    found: Arc<ActiveToken>,
) -> Result<(), RequestError> {
    if exchange.known.is_some() {
        return Err(RequestError::Token(TokenRefusal::TwoTokens));
    }
    let SoughtToken { rule, place, .. } = sought;
    let mut made = found.made.clone();
    if rule.settings.forward
        && let TokenPlace::Header { name, .. } = place
        && let Some(line) = line_with(exchange, name, sought)
        && let Ok(name) = http::HeaderName::try_from(&**name)
    {
        made.push((name, line));
    }
    // In any case: what is verified here must not find it again.
    jwt::hide_token(place, &mut exchange.parts.headers);
    exchange.known = Some(KnownClaims {
        origin: ClaimsOrigin::Introspection,
        policy: Arc::clone(&rule.policy),
        claims: Arc::clone(&found.claims),
        made,
        session: None,
    });
    Ok(())
}

/// Takes everything out of a request that stands where tokens are asked about, also where the app may otherwise see them.
pub(crate) fn hide_all(
    rules: &Introspections,
    listener: Option<ListenerPlace<'_>>,
    headers: &mut HeaderMap,
) {
    for place in rules.about(listener).flat_map(|rule| &rule.settings.places) {
        jwt::hide_token(place, headers);
    }
}

/// The field line that has the token, as it came.
fn line_with(exchange: &Exchange<'_>, name: &str, sought: &SoughtToken) -> Option<HeaderValue> {
    let mut lines = exchange.parts.headers.get_all(name).iter();
    lines.find(|line| line.as_bytes().ends_with(&sought.token)).cloned()
}

#[cfg(test)]
mod tests;
