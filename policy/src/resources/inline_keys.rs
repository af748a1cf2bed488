//! The keys of an issuer that stand in a RequestAuthentication itself (`jwks`).

use std::collections::HashSet;
use std::sync::Arc;

use identity::jws::{KeySet, KeySetError, unusable};
use serde_json::{Map, Value as Json};

/// The longest inline key set, in bytes: a hundred RSA keys.
const MAX_JWKS_BYTES: usize = 64 << 10;

/// Reads a set as the proxy will: with no key in it that can be used, every token would be refused. A private or secret
/// key has no business in a policy, and a `kid` twice names no key at all.
///
/// # Errors
/// What to write.
pub(super) fn read(text: &str) -> Result<Arc<str>, String> {
    if text.len() > MAX_JWKS_BYTES {
        return Err("at most 64 KiB".into());
    }
    let set: Json = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let keys = set.get("keys").and_then(Json::as_array).filter(|keys| !keys.is_empty());
    let keys = keys.ok_or("write {\"keys\": [{\"kty\": …}]} with at least one key")?;
    let keys: Option<Vec<_>> = keys.iter().map(Json::as_object).collect();
    let keys = keys.ok_or("every key is a JSON object")?;
    keys.iter().try_for_each(|key| refuse_misplaced(key))?;
    refuse_second_kid(&keys)?;
    match KeySet::parse(text.as_bytes()) {
        Ok(_) => Ok(text.into()),
        Err(error @ KeySetError::NoUsableKey) => Err(format!("{}: {error}", reasons(&keys))),
        Err(error) => Err(error.to_string()),
    }
}

fn refuse_misplaced(key: &Map<String, Json>) -> Result<(), &'static str> {
    if key.contains_key("d") || key.contains_key("k") {
        return Err(
            "a private or secret key is in the set; write the public keys only, and replace this one",
        );
    }
    match key.get("kty").and_then(Json::as_str) {
        Some("RSA" | "EC" | "OKP") => Ok(()),
        _ => Err("every key has a `kty` of RSA, EC or OKP"),
    }
}

/// Which key is meant would depend on the reader (S-38).
fn refuse_second_kid(keys: &[&Map<String, Json>]) -> Result<(), String> {
    let mut seen = HashSet::new();
    let mut kids = keys.iter().filter_map(|key| key.get("kid")?.as_str());
    match kids.find(|kid| !seen.insert(*kid)) {
        Some(kid) => Err(format!("two keys have the `kid` {kid:?}; give each its own")),
        None => Ok(()),
    }
}

/// What is wrong with each key, by its `kid` where it has one, else by its place from 0.
fn reasons(keys: &[&Map<String, Json>]) -> String {
    let reasons = keys.iter().enumerate().filter_map(|(index, key)| {
        let reason = unusable(key)?;
        Some(match key.get("kid").and_then(Json::as_str) {
            Some(kid) => format!("key {kid:?}: {reason}"),
            None => format!("key {index}: {reason}"),
        })
    });
    // The first ones are enough to see what sort of set it is.
    reasons.take(4).collect::<Vec<_>>().join("; ")
}
