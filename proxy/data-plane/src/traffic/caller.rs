//! Who asks, beyond the connection: the token and the API key of one request.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, HeaderValue};
use policy::sign_in::SignInSecrets;
use policy::{ApiKeyFacts, GatewayListener, SignInPolicy, Snapshot, TokenClaims};
use session_store::{RevokedKey, SessionStore};

use crate::clock::unix_now;
use crate::traffic::api_key::AuthenticatedApiKey;
use crate::traffic::jwt::AuthenticatedToken;

/// Whose token and whose API key a request carries; nobody's by default.
#[derive(Debug, Clone, Default)]
pub struct AuthenticatedCaller {
    /// Its token.
    pub token: AuthenticatedToken,
    /// Its API key.
    pub api_key: AuthenticatedApiKey,
}

/// Claims that are known before tokens are looked at, because somebody was asked about whoever sent the request: policy sees
/// them as those of a token.
#[derive(Debug, Clone)]
pub struct KnownClaims {
    /// Who was asked.
    pub origin: ClaimsOrigin,
    /// The policy that asked, `namespace/name`.
    pub policy: Arc<str>,
    /// What was said.
    pub claims: Arc<TokenClaims>,
    /// Headers for the app; what a client sends in their place is removed by then.
    pub made: Vec<(HeaderName, HeaderValue)>,
    /// The session that they are of, where they are of one.
    pub session: Option<Arc<KnownSession>>,
}

/// A session, as far as it says how long what came by it may go on.
#[derive(Debug)]
pub struct KnownSession {
    /// The SignIn as it was when the session was opened.
    pub policy: Arc<SignInPolicy>,
    /// By what it may be ended early.
    pub keys: Vec<RevokedKey>,
    /// When it began, Unix milliseconds.
    pub began: u64,
    /// When it ends by itself, Unix seconds.
    pub ends: u64,
    /// Where it is known that it was ended early.
    pub store: SessionStore,
}

/// Who says what the claims of a request are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimsOrigin {
    /// The session of a person who has signed in.
    Session,
    /// The provider that was asked about a token.
    Introspection,
}

impl KnownClaims {
    /// Whether what was found out still counts under this snapshot, at this listener of a gateway.
    #[must_use]
    pub fn is_accepted(
        &self,
        snapshot: &Snapshot,
        listener: Option<&Arc<GatewayListener>>,
    ) -> bool {
        match self.origin {
            ClaimsOrigin::Session => self.session.as_ref().is_some_and(|session| {
                let mut policies = snapshot.sign_ins().policies();
                policies.any(|policy| session.is_of(policy)) && session.lasts(unix_now())
            }),
            ClaimsOrigin::Introspection => {
                let listener = listener.map(|listener| listener.place());
                snapshot.introspections().still_accepts(&self.policy, &self.claims, listener)
            }
        }
    }
}

impl KnownSession {
    /// Whether the session could still be opened under a SignIn: by name, provider, client, and the key that it was sealed
    /// with, or is by the answer of the request that brought it.
    fn is_of(&self, now: &SignInPolicy) -> bool {
        let (then, settings) = (&*self.policy, &now.settings);
        let key = |(then, now): (&SignInSecrets, &SignInSecrets)| {
            let sealed_with = Some(&then.current_key);
            sealed_with == Some(&now.current_key) || sealed_with == now.previous_key.as_ref()
        };
        let secrets = then.secrets.as_ref().ok().zip(now.secrets.as_ref().ok());
        then.name == now.name
            && then.settings.issuer == settings.issuer
            && then.settings.client_id == settings.client_id
            && secrets.is_some_and(key)
    }

    /// Whether it has not ended at this Unix second.
    fn lasts(&self, now: u64) -> bool {
        now < self.ends && !self.store.is_known_revoked(&self.keys, self.began)
    }
}

impl AuthenticatedCaller {
    /// The claims of its token; `None` when there is no token.
    #[must_use]
    pub fn claims(&self) -> Option<&TokenClaims> {
        self.token.claims()
    }

    /// What is known of whoever sent its API key; `None` when there is no key.
    #[must_use]
    pub fn api_key(&self) -> Option<&ApiKeyFacts> {
        self.api_key.facts()
    }

    /// True when it carries neither.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.claims().is_none() && self.api_key().is_none()
    }

    /// Removes from the request's target what the app must not see. Called when the target is in place.
    pub fn hide_parameters(&self, parts: &mut Parts) {
        self.token.hide_parameter(parts);
        self.api_key.hide_parameter(parts);
    }
}
