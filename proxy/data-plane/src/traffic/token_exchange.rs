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

use http::header::AUTHORIZATION;
use identity::{SpiffeId, TrustDomain};
use policy::{ListenerPlace, Snapshot, TokenClaims, TokenExchangeRule, TokenExchangeTable};
use serde_json::{Map, Value};

use crate::http::TokenRefusal;
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
    let question = about_user(state, exchange, next).map_err(|failure| {
        // Whom the agent is asked about is counted there.
        state.metrics.token_exchange(failure.as_str());
        RequestError::from(failure)
    });
    let Some(question) = question? else { return Ok(()) };
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
    if caller.token.is_of_the_mesh() {
        let NextHop::Service(upstream) = next else {
            // It is exchanged where it leaves the app.
            return Ok(None);
        };
        let sent = internal_token::find(&parts.headers, domain);
        let sent = sent.filter(|(_, claims)| is_the_same(claims, caller.claims()));
        return sent
            .map_or(Ok(None), |sent| passed_on(sent, table, place.as_ref(), (upstream, domain)));
    }
    caller.token.hide_from_app(snapshot.tokens(), parts, path.query());
    introspection::hide_all(snapshot.introspections(), place, &mut parts.headers);
    internal_token::remove_bearers(&mut parts.headers, |_| true);
    let Some(claims) = caller.claims().filter(|_| goes_inside(caller, snapshot)) else {
        return Ok(None);
    };
    let Some(rule) = table.rule(place.as_ref(), &claims.issuer) else { return Ok(None) };
    let audience = match (&rule.audience, next) {
        (Some(audience), _) => audience_of_rule(audience, domain)?,
        (None, NextHop::OwnApp) => own_audience(state.own_id().as_ref(), domain),
        (None, NextHop::Service(upstream)) => audience_of(upstream, domain),
    };
    ExchangeQuestion::of_user(claims, rule, audience).map(Some)
}

/// Whether what stands in `authorization` is the token that was verified.
fn is_the_same(sent: &Map<String, Value>, verified: Option<&TokenClaims>) -> bool {
    let id = verified.and_then(|claims| claims.claims.get("jti"));
    id.is_some() && sent.get("jti") == id
}

/// What to ask for a token of the mesh that is sent on to another service of it; `None`: nothing is exchanged for its users.
fn passed_on(
    (token, claims): (&str, Map<String, Value>),
    table: &TokenExchangeTable,
    place: Option<&ListenerPlace<'_>>,
    (upstream, domain): (&Upstream, &TrustDomain),
) -> Result<Option<ExchangeQuestion>, ExchangeFailure> {
    // From what leaves the mesh it is taken out.
    if upstream.leaves_the_mesh(domain) {
        return Ok(None);
    }
    let Some(rule) = rule_of(&claims, table, place) else { return Ok(None) };
    let audience = match &rule.audience {
        Some(audience) => audience_of_rule(audience, domain)?,
        None => audience_of(upstream, domain),
    };
    Ok(Some(ExchangeQuestion::of_token(token, rule, audience)))
}

/// The rule for the user of a token of the mesh: for whoever authenticated the user.
fn rule_of<'t>(
    claims: &Map<String, Value>,
    table: &'t TokenExchangeTable,
    place: Option<&ListenerPlace<'_>>,
) -> Option<&'t Arc<TokenExchangeRule>> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    table.rule(place, text("orig_iss").or_else(|| text("iss"))?)
}

/// An audience that a TokenExchange names, unless the mistake is there: no user could do anything about it.
fn audience_of_rule(audience: &Arc<str>, own: &TrustDomain) -> Result<Arc<str>, ExchangeFailure> {
    let named = audience.strip_prefix("spiffe://").map(|rest| rest.split('/').next());
    match named.flatten() == Some(own.as_str()) {
        true => Ok(Arc::clone(audience)),
        false => Err(ExchangeFailure::Unavailable(
            "the TokenExchange names an `audience` outside the own trust domain".into(),
        )),
    }
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
    let Some(question) = about_call(state, exchange, upstream)? else { return Ok(()) };
    let bearer = state.token_exchange.bearer(question).await.map_err(RequestError::from)?;
    exchange.parts.headers.insert(AUTHORIZATION, bearer);
    Ok(())
}

/// What to ask for a call of our app; `None`: it carries no token of the mesh, or nothing is exchanged here.
fn about_call(
    state: &ProxyState,
    exchange: &Exchange<'_>,
    upstream: &Upstream,
) -> Result<Option<ExchangeQuestion>, RequestError> {
    let headers = &exchange.parts.headers;
    if !headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    let snapshot = state.snapshot();
    let table = snapshot.token_exchange();
    let domain = &state.settings.trust_domain;
    if table.is_empty() {
        return Ok(None);
    }
    let Some(sent) = internal_token::find(headers, domain) else { return Ok(None) };
    refuse_revoked(&sent.1, &snapshot)?;
    passed_on(sent, table, None, (upstream, domain)).map_err(Into::into)
}

/// An app may keep a token; the new one would be issued after the revocation, and so be good again.
fn refuse_revoked(sent: &Map<String, Value>, snapshot: &Snapshot) -> Result<(), RequestError> {
    let text = |name: &str| sent.get(name).and_then(Value::as_str).map(str::to_owned);
    let claims = TokenClaims {
        issuer: text("iss").unwrap_or_default(),
        subject: text("sub"),
        audiences: Vec::new(),
        claims: sent.clone(),
    };
    match snapshot.revoked_tokens().is_revoked(&claims) {
        true => Err(RequestError::Token(TokenRefusal::Revoked)),
        false => Ok(()),
    }
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
