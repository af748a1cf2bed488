//! Asks a provider for a token of the workload's own.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use http::HeaderValue;
use oauth::{
    AssertionFacts, AssertionKey, ClientAuthentication, ClientSecret, Form, ProviderMetadata,
    TokenAnswer, random_text,
};
use policy::{ClientCredential, ClientCredentialsRule, TokenProvider};
use tokio::time::Instant;
use web_fetch::WebForm;

use super::added::{NoToken, Token};
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
    let form = proved(state, rule, &client)?;
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

fn proved(
    state: &ProxyState,
    rule: &ClientCredentialsRule,
    client: &ClientAuthentication,
) -> Result<WebForm, NoToken> {
    let settings = &rule.settings;
    let random = SystemRandom::new();
    let id = random_text(&random).map_err(|error| no_token(&error))?;
    let now = state.clock.unix();
    let facts = AssertionFacts { audience: settings.provider.as_str(), id: &id, now };
    let request = client.request(&settings.client_id, form(rule), &facts, &random);
    let request = request.map_err(|error| no_token(&error))?;
    let authorization = match &request.authorization {
        Some(text) => {
            Some(HeaderValue::try_from(&**text).map_err(|_| no_token(&"the secret is no text"))?)
        }
        None => None,
    };
    Ok(WebForm { body: request.body.to_string(), authorization })
}

fn form(rule: &ClientCredentialsRule) -> Form {
    let settings = &rule.settings;
    let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or("").to_owned();
    let (audience, resource) = (text(&settings.audience), text(&settings.resource));
    oauth::client_credentials(&settings.scopes.join(" "), &audience, &resource)
}

fn client(rule: &ClientCredentialsRule) -> Result<ClientAuthentication, NoToken> {
    match rule.credential.as_ref().map_err(|problem| no_token(problem))? {
        ClientCredential::ClientSecret(secret) => ClientSecret::new(secret)
            .map(ClientAuthentication::SecretBasic)
            .ok_or_else(|| no_token(&"the client's secret is none")),
        ClientCredential::PrivateKey(pem) => AssertionKey::from_pem(pem.as_bytes(), None)
            .map(ClientAuthentication::PrivateKeyJwt)
            .map_err(|_| no_token(&"the client's private key is none that can sign")),
    }
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
