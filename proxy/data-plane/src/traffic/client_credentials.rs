//! Tokens of the workload's own, added to requests for hosts outside the mesh (RFC 6749 §4.4): the app knows neither the
//! client's secret nor the token.
//!
//! A host that a ClientCredentials names gets a token, or nothing at all: what the app says of itself in `authorization` is
//! replaced, and no token leaves in the clear. The provider is asked in `provider`; what it gave is used until shortly
//! before its end and renewed before that, beside the requests (`added`).

pub mod added;
mod provider;

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response, StatusCode};
use policy::{ClientCredentialsRule, HostName};

use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::traffic::egress::ExternalService;
use crate::traffic::exchange::{Exchange, Phase};
use crate::traffic::forward::Upstream;
use crate::traffic::state::ProxyState;
use added::{Need, NoToken, Token};

/// Adds a token to a request for a host outside, where a ClientCredentials is about it.
///
/// # Errors
/// [`RequestError::ClientCredentialsUnavailable`].
pub(crate) async fn add(
    state: &Arc<ProxyState>,
    exchange: &mut Exchange<'_>,
    upstream: &Upstream,
) -> Phase<()> {
    let Upstream::Outside(service) = upstream else { return Ok(()) };
    let Some(rule) = rule_for(state, exchange.admitted.host(), service) else { return Ok(()) };
    // A worker has few fast places for loaded snapshots.
    exchange.snapshot.take();
    let found = token_of(state, &rule, service).await;
    state.metrics.client_credentials(match &found {
        Ok((_, result)) => result,
        Err(_) => "unavailable",
    });
    let (token, _) = found.map_err(RequestError::from)?;
    exchange.parts.headers.insert(AUTHORIZATION, token.bearer);
    Ok(())
}

/// The rule about a host. The service's own name counts, by which its certificate is verified; a service of many names is
/// called by the request's.
fn rule_for(
    state: &ProxyState,
    host: &HostName,
    service: &ExternalService,
) -> Option<Arc<ClientCredentialsRule>> {
    let table = state.client_credentials.table();
    if table.is_empty() {
        return None;
    }
    let own = &*service.service.host;
    match own.contains('*') {
        true => table.rule(host).cloned(),
        false => table.rule(&HostName::parse(own, None).ok()?).cloned(),
    }
}

/// A token that may be sent, and whether it is a new one.
async fn token_of(
    state: &Arc<ProxyState>,
    rule: &Arc<ClientCredentialsRule>,
    service: &ExternalService,
) -> Result<(Token, &'static str), NoToken> {
    if !service.begins_tls() {
        let host = &service.service.host;
        let why = format!(
            "what leaves for {host} leaves in the clear; a DestinationRule with `tls` says otherwise"
        );
        return Err(NoToken(why.into()));
    }
    let tokens = &state.client_credentials;
    match tokens.need(rule, state.clock.unix()) {
        Need::None(token) => Ok((token, "cached")),
        Need::Soon(token) => {
            let (state, rule) = (state.clone(), rule.clone());
            tokio::spawn(async move {
                // What fails is logged there, and asked again in a while.
                let _ = fetch(&state, &rule).await;
            });
            Ok((token, "cached"))
        }
        Need::Now => fetch(state, rule).await.map(|token| (token, "fetched")),
        Need::Failed(why) => Err(why),
    }
}

/// Asks the provider, once for all that wait for the same token.
async fn fetch(
    state: &Arc<ProxyState>,
    rule: &Arc<ClientCredentialsRule>,
) -> Result<Token, NoToken> {
    let (asking, about) = (state.clone(), rule.clone());
    let work = || async move {
        let fetched = provider::ask(&asking, &about).await;
        let now = asking.clock.unix();
        if let Err(error) = &fetched {
            let rule = &*about.settings.name;
            tracing::warn!(rule, %error, "no token for hosts outside; the last one is used while it is good");
        }
        asking.client_credentials.fetched(&about, fetched.clone(), now);
        fetched
    };
    state.client_credentials.fly(rule, work).await
}

/// What of a request tells whether its token was one that is added here, before it is sent.
pub(crate) fn added(request: &Request<Body>) -> Option<HeaderValue> {
    request.headers().get(AUTHORIZATION).filter(|value| value.is_sensitive()).cloned()
}

/// Looks at the answer to a request that left with this token: one that the host refuses is not used to its end.
pub(crate) fn heed_refusal(
    state: &ProxyState,
    added: Option<&HeaderValue>,
    answered: &Result<Response<Body>, RequestError>,
) {
    let refused = answered.as_ref().is_ok_and(|answer| answer.status() == StatusCode::UNAUTHORIZED);
    if let Some(bearer) = added.filter(|_| refused) {
        state.client_credentials.refused(bearer);
    }
}

#[cfg(test)]
mod tests;
