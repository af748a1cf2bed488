//! A session's tokens are renewed once, however many requests find that it is time ([1032]).
//!
//! [1032]: ../../../../../docs/decisions/1032-a-session-is-refreshed-once-and-outlives-its-provider.md

use std::sync::Arc;
use std::time::{Duration, Instant};

use browser_session::Session;
use oauth::{IdTokenExpectations, TokenAnswer, refresh_token};
use policy::sign_in::SignInPolicy;
use session_store::{SessionStore, StoreKey};
use zeroize::Zeroizing;

use super::cookies::CookieJar;
use super::desk::is_stored;
use super::provider::{Provider, ProviderFailure};
use super::recent::GRACE;
use super::session::{self, kept_claims};
use super::shared::Refreshed;
use crate::traffic::state::ProxyState;

/// How long another replica may refresh before this one goes on with what it has: as long as an answer of the provider may
/// take, and a little.
const OTHERS_DEADLINE: Duration = Duration::from_secs(6);
/// Between two looks at what another replica has done.
const POLL: Duration = Duration::from_millis(100);
/// How long a lease lasts without being renewed: a replica that has died keeps the others waiting no longer.
const LEASE: Duration = Duration::from_secs(3);

/// Renews the tokens of a session, or finds out that somebody else has. `host`: whose cookies the session is of.
pub(super) async fn refreshed(
    state: &Arc<ProxyState>,
    policy: &Arc<SignInPolicy>,
    host: &str,
    session: &Session,
) -> Refreshed {
    let Some(token) = session.user.refresh_token.clone() else { return Refreshed::Unavailable };
    let key = refresh_key(policy, &token);
    if let Some(outcome) = state.sign_ins.recent.get(&key, Instant::now()) {
        if matches!(outcome, Refreshed::Renewed(_)) {
            state.metrics.session_refresh("shared");
        }
        return outcome;
    }
    let work = Work {
        state: state.clone(),
        policy: policy.clone(),
        host: host.into(),
        session: session.clone(),
        token,
        key,
    };
    let shared = state.sign_ins.refreshes.run(key, || work.run()).await;
    shared.unwrap_or(Refreshed::Unavailable)
}

/// The digest of a refresh token, by which its use is known.
pub(super) fn refresh_key(policy: &SignInPolicy, token: &Zeroizing<String>) -> [u8; 32] {
    let parts = [b"refresh", policy.name.as_bytes(), token.as_bytes()];
    *StoreKey::of(&parts).as_bytes()
}

/// One refresh, which goes on when the request that began it has gone away.
struct Work {
    state: Arc<ProxyState>,
    policy: Arc<SignInPolicy>,
    host: Box<str>,
    session: Session,
    token: Zeroizing<String>,
    key: [u8; 32],
}

impl Work {
    async fn run(self) -> Refreshed {
        let outcome = self.alone().await;
        // Before it is no longer on its way: whoever comes then finds it here.
        self.state.sign_ins.recent.put(self.key, outcome.clone(), Instant::now());
        outcome
    }

    fn store(&self) -> &SessionStore {
        self.state.sessions()
    }

    /// Where the outcome lies for other replicas.
    fn place(&self) -> StoreKey {
        StoreKey::of(&[b"refreshed", &self.key])
    }

    /// Under the lease of the store, where there is one to be had. A store that is away keeps nobody from refreshing a session
    /// that lies in a cookie.
    async fn alone(&self) -> Refreshed {
        let end = tokio::time::Instant::now() + OTHERS_DEADLINE;
        loop {
            let lease = self.store().lease(StoreKey::of(&[b"refresh", &self.key]), LEASE).await;
            if let Some(renewed) = self.by_another().await {
                self.state.metrics.session_refresh("shared");
                return Refreshed::Renewed(Arc::new(renewed));
            }
            match lease {
                Ok(Some(lease)) => return lease.hold(self.by_provider()).await,
                Err(_) if !is_stored(&self.policy.settings) => return self.by_provider().await,
                Ok(None) if tokio::time::Instant::now() < end => tokio::time::sleep(POLL).await,
                Ok(None) | Err(_) => return self.counted(Refreshed::Unavailable, "unavailable"),
            }
        }
    }

    async fn by_another(&self) -> Option<Session> {
        let sealed = self.store().get(self.place()).await.ok()??;
        self.jar()?.stored(&sealed, &self.key)
    }

    fn jar(&self) -> Option<CookieJar<'_>> {
        CookieJar::of(&self.policy, &self.host).ok()
    }

    async fn by_provider(&self) -> Refreshed {
        let Some(provider) = Provider::of(&self.state, &self.policy) else {
            return self.counted(Refreshed::Unavailable, "unavailable");
        };
        match self.ask(&provider).await {
            Ok(session) => {
                self.tell(&session).await;
                self.counted(Refreshed::Renewed(Arc::new(session)), "success")
            }
            Err(ProviderFailure::Unavailable(_)) => {
                self.counted(Refreshed::Unavailable, "unavailable")
            }
            Err(refused) => {
                let name = &*self.policy.name;
                tracing::info!(sign_in = name, error = %refused, "a session ends: its refresh is refused");
                // Every copy of its cookie, so that none comes back when the provider is away.
                let _ = session::end(&self.state, &self.session).await;
                self.state.metrics.logout("refresh");
                self.counted(Refreshed::Refused, "refused")
            }
        }
    }

    fn counted(&self, outcome: Refreshed, result: &'static str) -> Refreshed {
        self.state.metrics.session_refresh(result);
        outcome
    }

    async fn ask(&self, provider: &Provider) -> Result<Session, ProviderFailure> {
        let tokens = provider.tokens(refresh_token(&self.token)).await?;
        let now = self.state.clock.unix();
        let mut session = self.session.clone();
        let id_token = match &tokens.id_token {
            Some(id_token) => self.taken(provider, id_token, &tokens, &mut session).await?,
            None => None,
        };
        let expires = tokens.expires_in.map(|lasts| now.saturating_add(lasts));
        session.refresh(tokens.refresh_token, id_token, expires, now);
        Ok(session)
    }

    /// The ID token, where it counts. One whose key is not there yet says nothing, and ends nothing: the tokens beside it came
    /// from the provider itself, and the refresh token before is used up.
    async fn taken(
        &self,
        provider: &Provider,
        id_token: &Zeroizing<String>,
        tokens: &TokenAnswer,
        session: &mut Session,
    ) -> Result<Option<Zeroizing<String>>, ProviderFailure> {
        match self.take_claims(provider, id_token, tokens, session).await {
            Ok(()) => Ok(Some(id_token.clone())),
            Err(error) if error.is_about_keys() => {
                let sign_in = &*self.policy.name;
                tracing::warn!(sign_in, %error, "a session keeps its claims: its new ID token cannot be verified yet");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// OpenID Connect Core 1.0 §12.2: of the same issuer and subject. What it does not say again is gone: providers leave out
    /// a claim that is empty, such as the groups of somebody who was in one.
    async fn take_claims(
        &self,
        provider: &Provider,
        id_token: &str,
        tokens: &TokenAnswer,
        session: &mut Session,
    ) -> Result<(), ProviderFailure> {
        let settings = &self.policy.settings;
        let expected = IdTokenExpectations {
            issuer: &settings.issuer,
            client_id: &settings.client_id,
            nonce: None,
            subject: Some(&self.session.user.subject),
            access_token: Some(&tokens.access_token),
            max_age: None,
            acr_values: "",
        };
        let verified = provider.verified(id_token, &expected).await?;
        session.user.claims = kept_claims(settings, &verified.claims);
        Ok(())
    }

    /// Tells the other replicas; and keeps the session, where it lies in the store. Where that fails the old one stays there,
    /// and the next try is made with its refresh token.
    async fn tell(&self, session: &Session) {
        let Some(jar) = self.jar() else { return };
        if let Ok(sealed) = jar.sealed_for_store(session, &self.key) {
            let _ = self.store().put(self.place(), sealed, GRACE).await;
        }
        if is_stored(&self.policy.settings) {
            let id = session.id();
            if let Ok(sealed) = jar.sealed_for_store(session, id.as_bytes()) {
                let left = Duration::from_secs(session.left(self.state.clock.unix()));
                let kept =
                    self.store().put(StoreKey::from_bytes(*id.as_bytes()), sealed, left).await;
                if let Err(error) = kept {
                    let sign_in = &*self.policy.name;
                    tracing::warn!(sign_in, %error, "a refreshed session is not in the store");
                }
            }
        }
    }
}
