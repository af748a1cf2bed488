//! The provider says that somebody has signed out elsewhere (OpenID Connect Back-Channel Logout 1.0).

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::request::Parts;
use oauth::{LogoutToken, LogoutTokenError, TokenSignatureError, logout_token_of};
use policy::sign_in::SignInPolicy;
use session_store::{Revocation, RevokedKey, StoreKey};

use super::answer;
use super::form;
use super::provider::Provider;
use crate::http::SignInRefusal;
use crate::http::body::Body;
use crate::traffic::exchange::PhaseEnd;
use crate::traffic::state::ProxyState;

/// Ends the sessions that a logout token names, and says so to the provider (§2.7, §2.8).
pub(super) async fn answer(
    state: &Arc<ProxyState>,
    policy: &Arc<SignInPolicy>,
    parts: &Parts,
    body: &mut Body,
) -> PhaseEnd {
    let ended = end_sessions(state, policy, parts, body).await;
    let kind = if ended.is_ok() { "back_channel" } else { "back_channel_refused" };
    state.metrics.logout(kind);
    if let Err(refusal) = &ended {
        tracing::warn!(sign_in = &*policy.name, error = %refusal, "a back-channel logout failed");
    }
    answer::back_channel(ended.err())
}

async fn end_sessions(
    state: &Arc<ProxyState>,
    policy: &Arc<SignInPolicy>,
    parts: &Parts,
    body: &mut Body,
) -> Result<(), SignInRefusal> {
    if parts.method != Method::POST {
        return Err(SignInRefusal::Method("POST"));
    }
    let limit = state.settings.limits.header_timeout;
    let form = form::read(&parts.headers, body, limit).await;
    let token = form.as_deref().and_then(logout_token_of);
    let token = token.ok_or(SignInRefusal::LogoutToken("no form with a `logout_token`"))?;
    let token = verified(state, policy, &token).await?;
    let (store, settings) = (state.sessions(), &policy.settings);
    let (issuer, client) = (&*settings.issuer, &*settings.client_id);
    let used = [b"jti", issuer.as_bytes(), client.as_bytes(), token.id.as_bytes()];
    let left = Duration::from_secs(token.until.saturating_sub(state.clock.unix()) + 1);
    let is_first = store.once(StoreKey::of(&used), left).await;
    if let Ok(false) = is_first {
        return Err(SignInRefusal::LogoutToken("it was used before"));
    }
    let revoked = store.revoke(revocation(&token, policy, state.clock.unix())).await;
    // What cannot be told to the store holds in this process: sessions end here in any case.
    is_first.and(revoked.map(|()| true)).map(drop).map_err(|_| SignInRefusal::Store)
}

async fn verified(
    state: &Arc<ProxyState>,
    policy: &Arc<SignInPolicy>,
    token: &str,
) -> Result<LogoutToken, SignInRefusal> {
    let unavailable = SignInRefusal::Unavailable("the provider is not known yet");
    let provider = Provider::of(state, policy).ok_or(unavailable)?;
    let parties = (&*policy.settings.issuer, &*policy.settings.client_id);
    let now = state.clock.unix();
    let verify = |keys: &_| LogoutToken::verify(token.as_bytes(), keys, parties, now);
    match provider.with_keys(verify, is_unknown_key).await {
        Some(Ok(token)) => Ok(token),
        Some(Err(error)) => {
            tracing::warn!(sign_in = &*policy.name, %error, "a logout token is refused");
            Err(SignInRefusal::LogoutToken("it proves nothing"))
        }
        None => Err(SignInRefusal::Unavailable("no keys of the provider")),
    }
}

fn is_unknown_key(error: &LogoutTokenError) -> bool {
    matches!(error, LogoutTokenError::Signature(TokenSignatureError::UnknownKey))
}

/// One session at the provider, whenever ours began; or, where the token names a user alone, all of theirs that have begun.
fn revocation(token: &LogoutToken, policy: &SignInPolicy, now: u64) -> Revocation {
    let settings = &policy.settings;
    let (issuer, client) = (&*settings.issuer, &*settings.client_id);
    let until = now.saturating_add(settings.session.ttl.as_secs()).saturating_mul(1000);
    match (&token.session_id, &token.subject) {
        (None, Some(subject)) => {
            let key = RevokedKey::subject(issuer, client, subject);
            Revocation { key, begun_until: now.saturating_mul(1000).saturating_add(999), until }
        }
        (sid, _) => {
            let key = RevokedKey::sid(issuer, client, sid.as_deref().unwrap_or_default());
            Revocation { key, begun_until: u64::MAX, until }
        }
    }
}
