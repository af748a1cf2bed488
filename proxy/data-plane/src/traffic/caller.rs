//! Who asks, beyond the connection: the token and the API key of one request.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, HeaderValue};
use policy::{ApiKeyFacts, GatewayListener, Snapshot, TokenClaims};

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
            ClaimsOrigin::Session => snapshot.sign_ins().policies().any(|policy| {
                policy.name == self.policy && *policy.settings.issuer == *self.claims.issuer
            }),
            ClaimsOrigin::Introspection => {
                let listener = listener.map(|listener| listener.place());
                snapshot.introspections().still_accepts(&self.policy, &self.claims, listener)
            }
        }
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
