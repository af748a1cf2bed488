//! Asks a provider for a token of the workload's own.

use std::time::Duration;

use http::HeaderValue;
use oauth::{Form, ProviderMetadata, TokenAnswer};
use policy::{ClientCredentialsRule, TokenProvider};
use tokio::time::Instant;

use super::added::{NoToken, Token};
use crate::traffic::provider_client::ProviderClient;
use crate::traffic::state::ProxyState;

/// For a token, its endpoint's discovery included.
const WITHIN: Duration = Duration::from_secs(5);
/// How long a token is believed whose provider does not say how long it is good, in seconds.
const UNTOLD_LIFE: u64 = 60;
/// For how long a token is used at most, in seconds, whatever the provider says: a day.
const MOST_LIFE: u64 = 24 * 60 * 60;

/// Asks for a token.
pub(super) async fn ask(
    state: &ProxyState,
    rule: &ClientCredentialsRule,
) -> Result<Token, NoToken> {
    let end = Instant::now() + WITHIN;
    let client = client(rule)?;
    let endpoint = endpoint(state, rule).await?;
    let form = client.proved(form(rule), state.clock.unix()).map_err(|why| no_token(&why))?;
    let left = end.saturating_duration_since(Instant::now());
    let answer = state.provider_calls.post(&endpoint, form, left).await;
    let answer = answer.map_err(|error| no_token(&error))?;
    let now = state.clock.unix();
    let answer = TokenAnswer::read(answer.status.as_u16(), &answer.body);
    believed(&answer.map_err(|error| no_token(&error))?, now)
}

/// Where to ask: as it is written, or as the issuer says of itself (OpenID Connect Discovery 1.0 §4).
async fn endpoint(state: &ProxyState, rule: &ClientCredentialsRule) -> Result<String, NoToken> {
    let issuer = match &rule.settings.provider {
        TokenProvider::Endpoint(address) => return Ok(address.to_string()),
        TokenProvider::Issuer(issuer) => issuer,
    };
    let address =
        format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
    let document = state.provider_calls.get(&address, WITHIN).await;
    let document = document.map_err(|error| no_token(&error))?;
    let metadata = ProviderMetadata::parse(&document.body, issuer);
    let metadata = metadata.map_err(|error| no_token(&error))?;
    metadata
        .token_endpoint
        .map(Into::into)
        .ok_or_else(|| no_token(&"the issuer has no token endpoint"))
}

fn form(rule: &ClientCredentialsRule) -> Form {
    let settings = &rule.settings;
    let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or("").to_owned();
    let (audience, resource) = (text(&settings.audience), text(&settings.resource));
    oauth::client_credentials(&settings.scopes.join(" "), &audience, &resource)
}

fn client(rule: &ClientCredentialsRule) -> Result<ProviderClient<'_>, NoToken> {
    let settings = &rule.settings;
    let credential = rule.credential.as_ref().map_err(|problem| no_token(problem))?;
    Ok(ProviderClient { issuer: settings.provider.as_str(), id: &settings.client_id, credential })
}

/// An answer whose token can be sent.
pub(super) fn believed(answer: &TokenAnswer, now: u64) -> Result<Token, NoToken> {
    let bearer = HeaderValue::try_from(format!("Bearer {}", answer.access_token.as_str()));
    let mut bearer = bearer.map_err(|_| no_token(&"the token cannot stand in a header"))?;
    bearer.set_sensitive(true);
    let life = answer.expires_in.unwrap_or(UNTOLD_LIFE).min(MOST_LIFE);
    Ok(Token { bearer, since: now, until: now.saturating_add(life) })
}

fn no_token(why: &dyn std::fmt::Display) -> NoToken {
    NoToken(why.to_string().into())
}
