//! How people sign in at a gateway, by OpenID Connect (kind `SignIn`): what was written, and which of it holds for a request.
//!
//! SignIns are compiled into the [`SignInTable`] of a gateway, once a change. It says which policy is about a request;
//! what is done then (cookies, redirects, calls to the provider) is not its business.

mod keys;
mod meeting;
mod table;

use std::sync::Arc;
use std::time::Duration;

use crate::client_credential::{ClientAuthMethod, ClientCredential, SecretProblem};
use crate::client_traffic::{ClientTrafficTarget, ListenerPlace};
use crate::pattern::{HostPattern, PathPattern};
use crate::route::RouteId;
use crate::token::ClaimHeader;
use crate::{CanonicalPath, HostName};

pub use keys::SessionKey;
pub(crate) use meeting::clashes;
pub use table::{AmbiguousSignIn, SignInEndpoint, SignInTable};

/// What one SignIn asks, with its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct SignInPolicy {
    /// The SignIn, `namespace/name`.
    pub name: Arc<str>,
    /// What it says.
    pub settings: Arc<SignInSettings>,
    /// What its Secrets hold. With a problem, nobody passes where the policy holds: 503 `sign_in_unavailable`.
    pub secrets: Result<SignInSecrets, SecretProblem>,
}

/// What the Secrets of a SignIn hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInSecrets {
    /// Of `clientSecretRef`.
    pub client: ClientCredential,
    /// Of `session.keysSecretRef`: what new cookies are sealed with.
    pub current_key: SessionKey,
    /// The key before it, whose cookies are still taken while it is rolled.
    pub previous_key: Option<SessionKey>,
}

/// What a SignIn says (`spec`).
#[derive(Debug, Clone, PartialEq)]
pub struct SignInSettings {
    /// Gateways, ListenerSets, listeners and routes it is about.
    pub targets: Vec<SignInTarget>,
    /// The hosts of the target that it is about; empty: all.
    pub(crate) hosts: Vec<HostPattern>,
    /// The paths that it is about; empty: all.
    pub(crate) paths: Vec<PathPattern>,
    /// The provider: an `https` address without query, equal to `issuer` of its discovery document (OpenID Connect
    /// Discovery 1.0 §4.3).
    pub issuer: Arc<str>,
    /// Who we are to the provider.
    pub client_id: Arc<str>,
    /// How we prove it. Default [`ClientAuthMethod::ClientSecretBasic`].
    pub client_auth: ClientAuthMethod,
    /// What is asked for, `openid` among it. Default `openid` alone.
    pub scopes: Vec<Box<str>>,
    /// The paths of the gateway's own.
    pub endpoints: SignInPaths,
    /// Where a browser may be sent after a logout at the provider; `https` addresses that the provider knows
    /// (OpenID Connect RP-Initiated Logout 1.0 §3). Default: none.
    pub post_logout_redirect_uris: Vec<Box<str>>,
    /// How long somebody stays signed in, and where that is kept.
    pub session: SessionSettings,
    /// What the app gets.
    pub forward: SignInForward,
    /// Headers that get a claim each.
    pub claim_headers: Vec<ClaimHeader>,
    /// Where more is asked than being signed in. All that are about a path hold together.
    pub step_up: Vec<StepUp>,
}

/// What a SignIn is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SignInTarget {
    /// A Gateway, a ListenerSet, or a listener of one.
    Listener(ClientTrafficTarget),
    /// An HTTPRoute.
    Route(RouteId),
}

/// The paths at which a gateway itself answers, on every host that the SignIn is about. Each is compared to the whole
/// canonical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInPaths {
    /// Where the provider sends browsers back to. Default `/.postern/callback`.
    pub redirect: Box<str>,
    /// Where a page of the same origin sends `POST` to sign out. Default `/.postern/logout`.
    pub logout: Box<str>,
    /// Where the provider says that somebody has signed out elsewhere (OpenID Connect Back-Channel Logout 1.0 §2.2).
    /// Default: it is not told.
    pub back_channel_logout: Option<Box<str>>,
}

/// How long somebody stays signed in, and where that is kept (`session`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// From signing in to signing in again, whatever happens. Default 8 h, at most 30 days.
    pub ttl: Duration,
    /// Without a request for so long, it ends. Default 1 h, at most `ttl`.
    pub idle: Duration,
    /// Where it is. Default [`SessionPlace::Cookie`].
    pub store: SessionPlace,
    /// The claims of the ID token that are kept. Default `sub`, `email`, `groups`; `sub` is always among them.
    pub claims: Vec<Box<str>>,
    /// The most cookies that a session is cut into, 1 to 5. Default 5.
    pub max_cookies: u8,
    /// What the names of its cookies end in, so that two SignIns of a host have different ones: lower-case letters, digits
    /// and `-`. Default: nothing.
    pub cookie_suffix: Box<str>,
}

/// Where sessions are kept (`session.store`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SessionPlace {
    /// In the browser, sealed.
    #[default]
    Cookie,
    /// In the Redis of the proxy's `sessions.redis`, sealed; the browser has its name.
    Redis,
}

/// What the app gets of a session (`forward`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInForward {
    /// The provider's ID token, as `authorization: Bearer`. Default: it does not.
    pub id_token: bool,
    /// The mesh's own token for the user, where a TokenExchange is in force. Default: it does.
    pub internal_jwt: bool,
}

/// Where more is asked than being signed in (`stepUp[]`).
#[derive(Debug, Clone, PartialEq)]
pub struct StepUp {
    /// The paths it is about.
    pub(crate) paths: Vec<PathPattern>,
    /// One of them must be the session's `acr` (OpenID Connect Core 1.0 §2), the first is preferred; empty: any will do.
    pub acr_values: Vec<Box<str>>,
    /// How long ago the user may have signed in at the provider (`auth_time`); `None`: whenever.
    pub max_age: Option<Duration>,
}

impl Default for SignInForward {
    fn default() -> Self {
        Self { id_token: false, internal_jwt: true }
    }
}

impl StepUp {
    /// True when the path, in whatever reading, is one of them.
    pub fn is_about(&self, path: &CanonicalPath<'_>) -> bool {
        self.paths.iter().any(|pattern| pattern.matches_any_reading(path))
    }
}

impl SignInPaths {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let Self { redirect, logout, back_channel_logout } = self;
        [redirect, logout].into_iter().chain(back_channel_logout).map(|path| &**path)
    }
}

impl SignInSettings {
    /// Which of its own paths this is.
    pub fn endpoint(&self, path: &CanonicalPath<'_>) -> Option<SignInEndpoint> {
        let SignInPaths { redirect, logout, back_channel_logout } = &self.endpoints;
        match path.as_str() {
            path if path == &**redirect => Some(SignInEndpoint::Callback),
            path if path == &**logout => Some(SignInEndpoint::Logout),
            path if Some(path) == back_channel_logout.as_deref() => {
                Some(SignInEndpoint::BackChannelLogout)
            }
            _ => None,
        }
    }

    /// What is asked beyond a session on this path: all of it holds together.
    pub fn step_ups(&self, path: &CanonicalPath<'_>) -> impl Iterator<Item = &StepUp> {
        self.step_up.iter().filter(|step| step.is_about(path))
    }

    /// The headers (lower case) that are made of claims.
    pub fn made_headers(&self) -> impl Iterator<Item = &str> {
        self.claim_headers.iter().map(|made| &*made.header)
    }

    /// Whether both are about one target, and there about the same requests.
    fn means_the_same_as(&self, other: &Self) -> bool {
        self.hosts == other.hosts
            && self.paths == other.paths
            && self.targets.iter().any(|target| other.targets.contains(target))
    }

    fn takes_host(&self, host: &HostName) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host))
    }
}

impl SignInTarget {
    /// How closely a target means the request: more is closer. `None`: it does not.
    pub(crate) fn closeness(
        &self,
        listener: &ListenerPlace<'_>,
        route: Option<&RouteId>,
    ) -> Option<u8> {
        match self {
            Self::Route(target) => (route == Some(target)).then_some(3),
            Self::Listener(target) => target.is_about(listener).then(|| listener_closeness(target)),
        }
    }
}

/// A listener is closer than its ListenerSet, and that than the Gateway.
fn listener_closeness(target: &ClientTrafficTarget) -> u8 {
    use crate::client_traffic::ListenerOwner;
    match (&target.section, target.kind) {
        (Some(_), _) => 2,
        (None, ListenerOwner::ListenerSet) => 1,
        (None, ListenerOwner::Gateway) => 0,
    }
}

#[cfg(test)]
mod tests;
