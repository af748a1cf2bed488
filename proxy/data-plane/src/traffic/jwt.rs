//! End-user tokens (JSON Web Tokens, RFC 7519) of RequestAuthentication.
//!
//! [`authenticate`] handles one request: find the token (`locate`), verify it or reuse an earlier verdict (`verify`,
//! `cache`), check its time and its binding (`proof`), and leave to the app what the rule says. A missing token is no
//! error: the request goes on without a principal, and policy decides. An invalid token is 401, whatever policy would
//! say.
//!
//! Keys come from [`keys::KeyBook`], which the control thread updates ([`crate::control::jwks`]); nothing here waits
//! for anything.

mod cache;
pub(crate) mod claim_headers;
pub mod keys;
mod locate;
mod proof;
mod replay;
mod verify;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use policy::{
    CanonicalPath, HostName, KeySource, PathNormalization, TokenClaims, TokenPlace, TokenRules,
};

pub use crate::http::TokenRefusal;
pub use cache::TokenCache;
pub(in crate::traffic) use locate::{hide as hide_token, locate_in};
pub use replay::UsedProofs;

use crate::connection::registry::Peer;
use crate::http::headers::is_preflight;
use crate::http::query;
use crate::traffic::caller::KnownClaims;
use keys::KeyBook;
use locate::LocatedToken;
use proof::ProofContext;
use verify::VerifiedToken;

/// The longest token taken, in bytes (S-40).
pub const MAX_TOKEN_BYTES: usize = identity::jws::MAX_TOKEN;
/// The allowed clock skew, in seconds, for `exp`, `nbf` and a proof's `iat`.
pub const LEEWAY_SECONDS: u64 = 30;

/// What tokens are verified against at one moment.
pub struct TokenContext<'a> {
    /// The token rules of the workload.
    pub rules: &'a Arc<TokenRules>,
    /// The issuers' keys.
    pub keys: &'a Arc<KeyBook>,
    /// The worker's verdicts.
    pub cache: &'a TokenCache,
    /// The proofs that were used, shared by all workers.
    pub used_proofs: &'a UsedProofs,
    /// The verified peer; `None` on plaintext.
    pub peer: Option<&'a Peer>,
    /// How paths are normalised.
    pub normalization: PathNormalization,
    /// Unix seconds.
    pub now: u64,
    /// Called with a source whose keys lack one that a token names.
    pub unknown_key: &'a dyn Fn(&KeySource),
}

/// Whose token a request carries.
#[derive(Debug, Clone, Default)]
pub struct AuthenticatedToken {
    speaks: Option<Speaker>,
    hidden_parameters: Vec<Box<str>>,
}

/// Who says what the claims are.
#[derive(Debug, Clone)]
enum Speaker {
    /// A token that was verified here.
    Bearer(Arc<VerifiedToken>),
    /// Somebody who was asked.
    Known(KnownClaims),
}

impl AuthenticatedToken {
    /// Claims that are known without a token of their own.
    #[must_use]
    pub fn of_known(known: KnownClaims) -> Self {
        Self { speaks: Some(Speaker::Known(known)), hidden_parameters: Vec::new() }
    }

    /// The token's claims; `None` when there is no token.
    #[must_use]
    pub fn claims(&self) -> Option<&TokenClaims> {
        self.speaks.as_ref().map(|speaks| match speaks {
            Speaker::Bearer(verified) => &verified.claims,
            Speaker::Known(known) => &*known.claims,
        })
    }

    /// Where its claims come from, unless a token was verified here.
    #[must_use]
    pub fn known(&self) -> Option<&KnownClaims> {
        match &self.speaks {
            Some(Speaker::Known(known)) => Some(known),
            _ => None,
        }
    }

    /// Whether it is a token that the mesh itself has signed, verified here by the mesh's keys: no claim of it says so.
    #[must_use]
    pub(crate) fn is_of_the_mesh(&self) -> bool {
        matches!(&self.speaks, Some(Speaker::Bearer(verified)) if verified.mesh().is_some())
    }

    /// Removes the token from the request's target, where the app must not see it. Called when the target is in place.
    pub fn hide_parameter(&self, parts: &mut Parts) {
        for name in &self.hidden_parameters {
            query::remove(name, parts);
        }
    }

    /// Hides tokens wherever the rules look for them, whatever they say of the app: what stands in their place is the
    /// mesh's own. Parameters of `query` are removed when the target is in place.
    pub(crate) fn hide_from_app(
        &mut self,
        rules: &TokenRules,
        parts: &mut Parts,
        query: Option<&str>,
    ) {
        parts.headers.remove(proof::DPOP);
        for place in rules.places() {
            locate::hide(place, &mut parts.headers);
            if let (TokenPlace::Parameter(name), Some(query)) = (place, query)
                && query::values(query, name).next().is_some()
            {
                self.hidden_parameters.push(name.clone());
            }
        }
    }
}

/// Whether a request carries a token where the rules look for one, or two: [`authenticate`] then accepts or refuses it, unless
/// it is a preflight. `target_query` is without `?`.
#[must_use]
pub fn is_carried(rules: &TokenRules, headers: &HeaderMap, target_query: Option<&str>) -> bool {
    !matches!(locate::locate(rules, headers, target_query), Ok(None))
}

/// Whether the rules look for a token in a value of this field: [`authenticate`] then accepts or refuses it.
#[must_use]
pub(crate) fn is_looked_at(rules: &TokenRules, field: &HeaderName, value: &HeaderValue) -> bool {
    rules.places().iter().any(|place| locate::describes(place, field.as_str(), value))
}

/// Finds out whose token a request carries, once, and leaves in its headers what the app may see.
///
/// Before policy, which uses the claims; after the gate, which leaves one reading of headers and target.
///
/// # Errors
/// An invalid token, or two of them.
pub fn authenticate(
    desk: &TokenContext<'_>,
    parts: &mut Parts,
    host: &HostName,
    path: &CanonicalPath<'_>,
) -> Result<AuthenticatedToken, TokenRefusal> {
    if desk.rules.is_empty() {
        return Ok(AuthenticatedToken::default());
    }
    // Headers that are made from tokens must not come from the client (S-16).
    for name in desk.rules.made_headers() {
        parts.headers.remove(&**name);
    }
    // A browser sends a preflight without a token (Fetch §4.8); the actual request carries one.
    if is_preflight(parts) {
        return Ok(AuthenticatedToken::default());
    }
    let Some(located) = locate::locate(desk.rules, &parts.headers, path.query())? else {
        return Ok(AuthenticatedToken::default());
    };
    let verified = desk.verified(&located)?;
    verified.check_times(desk.now)?;
    if !verified.may_present(desk.peer.map(|peer| &peer.id)) {
        return Err(TokenRefusal::Presenter);
    }
    let place = desk.rules.places().get(located.place);
    let presented = ProofContext {
        token: &located.token,
        scheme: place.map_or("", scheme),
        certificate: desk.peer.map(|peer| &peer.leaf_sha256),
        method: &parts.method,
        host,
        path,
        normalization: desk.normalization,
        headers: &parts.headers,
        now: desk.now,
    };
    proof::check(&verified, &presented, desk.used_proofs)?;
    let hidden = place.filter(|_| !verified.rule.jwt.forward);
    Ok(leave(verified, hidden, parts))
}

impl TokenContext<'_> {
    /// The verdict about a token, from the cache when the same one came the same way before.
    fn verified(&self, located: &LocatedToken<'_>) -> Result<Arc<VerifiedToken>, TokenRefusal> {
        if located.token.len() > MAX_TOKEN_BYTES {
            return Err(TokenRefusal::TooLarge);
        }
        let key = cache::key(located.place, &located.token);
        if let Some(verified) = self.cache.get(self.rules, self.keys, &key) {
            return Ok(verified);
        }
        let verified =
            verify::verify(&located.token, located.place, self.rules, self.keys, self.unknown_key)?;
        let verified = Arc::new(verified);
        self.cache.put(self.rules, self.keys, key, verified.clone(), located.token.len());
        Ok(verified)
    }
}

/// Hides the token unless the app may see it, and sets the headers made of it.
fn leave(
    verified: Arc<VerifiedToken>,
    hidden: Option<&TokenPlace>,
    parts: &mut Parts,
) -> AuthenticatedToken {
    let mut hidden_parameters = Vec::new();
    if let Some(place) = hidden {
        locate::hide(place, &mut parts.headers);
        // A proof is useless without its token.
        parts.headers.remove(proof::DPOP);
        if let TokenPlace::Parameter(name) = place {
            hidden_parameters.push(name.clone());
        }
    }
    for (name, value) in &verified.made {
        parts.headers.insert(name.clone(), value.clone());
    }
    AuthenticatedToken { speaks: Some(Speaker::Bearer(verified)), hidden_parameters }
}

/// The scheme of a token in `Authorization`.
fn scheme(place: &TokenPlace) -> &str {
    match place {
        TokenPlace::Header { name, prefix } if **name == *"authorization" => prefix,
        _ => "",
    }
}

#[cfg(test)]
mod tests;
