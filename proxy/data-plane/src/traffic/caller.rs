//! Who asks, beyond the connection: the token and the API key of one request.

use http::request::Parts;
use policy::{ApiKeyFacts, TokenClaims};

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
