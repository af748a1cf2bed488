//! The API keys of requests (ApiKeyPolicy).
//!
//! [`authenticate`] handles one request: find the key, look it up by its hash, and take it out of what the app gets. A key
//! is nowhere kept and nowhere shown; what goes on is who its owner is. A key that is not accepted is 401, whatever policy
//! would say.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use http::request::Parts;
use policy::api_key::MAX_API_KEY_BYTES;
use policy::{ApiKey, ApiKeyFacts, ApiKeyHash, ApiKeyPlace, ApiKeyRefusal, ApiKeyRules};

use crate::http::headers::is_preflight;
use crate::http::query;

/// Whose key a request carries.
#[derive(Debug, Clone, Default)]
pub struct AuthenticatedApiKey {
    key: Option<Arc<ApiKey>>,
    hidden_parameter: Option<Box<str>>,
}

impl AuthenticatedApiKey {
    /// What policy may ask about it; `None` when there is no key.
    #[must_use]
    pub fn facts(&self) -> Option<&ApiKeyFacts> {
        self.key.as_ref().map(|key| &key.facts)
    }

    /// The key as policy describes it; `None` when there is none.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<ApiKey>> {
        self.key.as_ref()
    }

    /// Removes the key from the request's target, where the app must not see it. Called when the target is in place.
    pub fn hide_parameter(&self, parts: &mut Parts) {
        if let Some(name) = &self.hidden_parameter {
            query::remove(name, parts);
        }
    }
}

/// Finds out whose key a request carries, once, and leaves in its headers what the app may see. `target_query` is without
/// `?`; `now` is in Unix seconds.
///
/// # Errors
/// A key that is not accepted, two of them, or none where one is required.
pub fn authenticate(
    rules: ApiKeyRules<'_>,
    parts: &mut Parts,
    target_query: Option<&str>,
    now: u64,
) -> Result<AuthenticatedApiKey, ApiKeyRefusal> {
    if rules.is_empty() {
        return Ok(AuthenticatedApiKey::default());
    }
    let sent = locate(rules, parts, target_query)?;
    // A browser sends a preflight without a key (Fetch §4.8); the actual request carries one.
    if sent.is_none() && is_preflight(parts) {
        return Ok(AuthenticatedApiKey::default());
    }
    let judged = rules.judge(sent.as_ref().map(|(place, hash)| (*place, hash)), now)?;
    let hidden = sent.map(|(place, _)| place).filter(|place| !rules.is_forwarded(place));
    let mut found = AuthenticatedApiKey { key: judged.cloned(), hidden_parameter: None };
    match hidden {
        Some(ApiKeyPlace::Header(name)) => drop(parts.headers.remove(&**name)),
        Some(ApiKeyPlace::Query(name)) => found.hidden_parameter = Some(name.clone()),
        None => {}
    }
    Ok(found)
}

/// The hash of the request's key, and where the key is. Two of them, equal or not, are refused: the app might read the
/// other one (S-39).
fn locate<'r>(
    rules: ApiKeyRules<'r>,
    parts: &Parts,
    target_query: Option<&str>,
) -> Result<Option<(&'r ApiKeyPlace, ApiKeyHash)>, ApiKeyRefusal> {
    let mut found = None;
    let mut take = |place: &'r ApiKeyPlace, key: &[u8]| {
        if key.len() > MAX_API_KEY_BYTES || found.is_some() {
            return Err(ApiKeyRefusal::Invalid);
        }
        found = Some((place, hash(key)));
        Ok(())
    };
    for place in rules.places() {
        match place {
            ApiKeyPlace::Header(name) => {
                for value in parts.headers.get_all(&**name) {
                    take(place, value.as_bytes())?;
                }
            }
            ApiKeyPlace::Query(name) => {
                for value in query::values(target_query.unwrap_or(""), name) {
                    let value: Cow<'_, [u8]> = value;
                    take(place, &value)?;
                }
            }
        }
    }
    Ok(found)
}

/// The SHA-256 of a key, by which it is looked up: no comparison depends on the key itself.
#[must_use]
pub fn hash(key: &[u8]) -> ApiKeyHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, key).as_ref());
    ApiKeyHash(hash)
}

#[cfg(test)]
mod tests;
