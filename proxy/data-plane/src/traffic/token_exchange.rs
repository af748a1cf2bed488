//! Users' tokens that become tokens of the mesh: at a gateway and in a sidecar for whoever comes from outside, and in the
//! sidecar of a workload that calls the next one (RFC 8693).
//!
//! Where a TokenExchange holds, the token that a user came with goes no further, also where the exchange has nothing to say
//! of its user. What stands in its place is for the next workload alone, and names the workloads that the request has come
//! through. The agent beside the proxy gets it (`agent`); what it got is used again until shortly before its end
//! (`cache`). Without an answer the request is refused: nothing else could speak for the user.

mod agent;
mod cache;
pub mod exchanger;
mod question;

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderValue};
use identity::{SpiffeId, TrustDomain};
use policy::Snapshot;

use crate::http::error::RequestError;
use crate::traffic::caller::{AuthenticatedCaller, ClaimsOrigin};
use crate::traffic::exchange::{Exchange, Phase};
use crate::traffic::forward::Upstream;
use crate::traffic::state::ProxyState;
use crate::traffic::{internal_token, introspection};
use exchanger::ExchangeFailure;
use question::ExchangeQuestion;

/// Where a request with a user's token goes next.
#[derive(Clone, Copy)]
pub(crate) enum NextHop<'u> {
    /// To our own app.
    OwnApp,
    /// From a gateway to this service.
    Service(&'u Upstream),
}

/// Exchanges the verified token of a user who comes from outside, at a gateway or in a sidecar. After authorization and
/// limits: what is refused needs no token.
///
/// # Errors
/// [`RequestError::TokenExchangeRefused`], [`RequestError::TokenExchangeUnavailable`].
pub(crate) async fn into_the_mesh(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    next: NextHop<'_>,
) -> Phase<()> {
    if matches!(next, NextHop::Service(Upstream::Outside(_))) {
        return Ok(());
    }
    let question = about_user(state, exchange, next).map_err(RequestError::from)?;
    let Some(question) = question else { return Ok(()) };
    // A worker has few fast places for loaded snapshots.
    exchange.snapshot.take();
    let bearer = state.token_exchange.bearer(question).await.map_err(RequestError::from)?;
    exchange.parts.headers.insert(AUTHORIZATION, bearer);
    Ok(())
}

/// Takes the user's own token out of the request where a TokenExchange holds; what to ask, where it says so.
fn about_user(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    next: NextHop<'_>,
) -> Result<Option<ExchangeQuestion>, ExchangeFailure> {
    let Exchange { snapshot, parts, caller, listener, path, .. } = exchange;
    let snapshot = &**snapshot.get_or_insert_with(|| state.snapshot());
    let table = snapshot.token_exchange();
    if table.is_empty() {
        return Ok(None);
    }
    let place = listener.as_ref().map(|listener| listener.place());
    if !table.holds_at(place.as_ref()) {
        return Ok(None);
    }
    let domain = &state.settings.trust_domain;
    if caller.claims().is_some_and(|claims| internal_token::acts_for(&claims.claims, domain)) {
        // The mesh's own already, verified: it is exchanged where it leaves the app.
        return Ok(None);
    }
    caller.token.hide_from_app(snapshot.tokens(), parts, path.query());
    introspection::hide_all(snapshot.introspections(), place, &mut parts.headers);
    let keeps = |bearer: &HeaderValue| {
        matches!(next, NextHop::OwnApp) && internal_token::is_internal(bearer, domain)
    };
    internal_token::remove_bearers(&mut parts.headers, |bearer| !keeps(bearer));
    let Some(claims) = caller.claims().filter(|_| goes_inside(caller, snapshot)) else {
        return Ok(None);
    };
    let Some(rule) = table.rule(place.as_ref(), &claims.issuer) else { return Ok(None) };
    let audience = match (&rule.audience, next) {
        (Some(audience), _) => Arc::clone(audience),
        (None, NextHop::OwnApp) => own_audience(state.own_id().as_ref(), domain),
        (None, NextHop::Service(upstream)) => audience_of(upstream, domain),
    };
    ExchangeQuestion::of_user(claims, rule, audience).map(Some)
}

/// Whether the app may know of the user: a SignIn can say that it gets no token of who has signed in.
fn goes_inside(caller: &AuthenticatedCaller, snapshot: &Snapshot) -> bool {
    let session = caller.token.known().filter(|known| known.origin == ClaimsOrigin::Session);
    let Some(session) = session else { return true };
    let mut policies = snapshot.sign_ins().policies();
    let by = policies.find(|policy| policy.name == session.policy);
    by.is_some_and(|policy| policy.settings.forward.internal_jwt)
}

/// Exchanges the token of the mesh that our app sends along with a call, for one to the service that it calls.
///
/// # Errors
/// [`RequestError::TokenExchangeRefused`], [`RequestError::TokenExchangeUnavailable`].
pub(crate) async fn to_next_service(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    upstream: &Upstream,
) -> Phase<()> {
    let Some(question) = about_call(state, exchange, upstream) else { return Ok(()) };
    let bearer = state.token_exchange.bearer(question).await.map_err(RequestError::from)?;
    exchange.parts.headers.insert(AUTHORIZATION, bearer);
    Ok(())
}

/// What to ask for a call of our app; `None`: it carries no token of the mesh, or nothing is exchanged here.
fn about_call(
    state: &ProxyState,
    exchange: &Exchange<'_>,
    upstream: &Upstream,
) -> Option<ExchangeQuestion> {
    let headers = &exchange.parts.headers;
    if !headers.contains_key(AUTHORIZATION) {
        return None;
    }
    let snapshot = state.snapshot();
    let table = snapshot.token_exchange();
    let domain = &state.settings.trust_domain;
    if table.is_empty() || upstream.leaves_the_mesh(domain) {
        return None;
    }
    let (token, claims) = internal_token::find(headers, domain)?;
    let text = |name: &str| claims.get(name).and_then(serde_json::Value::as_str);
    let issuer = text("orig_iss").or_else(|| text("iss"))?;
    let rule = table.rule(None, issuer)?;
    let audience = rule.audience.clone().unwrap_or_else(|| audience_of(upstream, domain));
    Some(ExchangeQuestion::of_token(token, rule, audience))
}

/// The one identity of a service; where it has several, any workload of the trust domain may be meant.
fn audience_of(upstream: &Upstream, own: &TrustDomain) -> Arc<str> {
    match upstream {
        Upstream::Outside(_) => whole(own),
        Upstream::Mesh(backend) => only_identity(&backend.service.identities, own),
    }
}

fn only_identity(identities: &[SpiffeId], own: &TrustDomain) -> Arc<str> {
    match identities {
        [only] if only.trust_domain() == own.as_str() => only.as_str().into(),
        _ => whole(own),
    }
}

fn own_audience(own: Option<&SpiffeId>, domain: &TrustDomain) -> Arc<str> {
    own.map_or_else(|| whole(domain), |id| id.as_str().into())
}

fn whole(domain: &TrustDomain) -> Arc<str> {
    format!("spiffe://{domain}").into()
}

#[cfg(test)]
mod tests;
