//! The keys of a token issuer (JWKS, RFC 7517 §5), read once when they come in.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Algorithm, VerifyingKey};
use crate::json;

/// The most keys of a set: issuers publish a handful.
pub const MAX_KEYS: usize = 128;

/// Why a set of keys is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// No JSON object with a list `keys` of objects.
    #[error("not a JSON Web Key Set: a JSON object with a list `keys` (RFC 7517 §5)")]
    Malformed,
    /// More than 128 keys.
    #[error("more than 128 keys")]
    TooMany,
    /// No key in it can be used.
    #[error(
        "no usable key: RSA of 2048 to 8192 bits (none of the ROCA class, CVE-2017-15361), EC P-256, P-384 and P-521, Ed25519, for signatures, each `kid` once"
    )]
    NoUsableKey,
}

/// The keys of one issuer. A `kid` that stands there twice is unusable: which key it means would depend on the reader
/// (S-38).
#[derive(Debug, PartialEq, Eq)]
pub struct KeySet {
    by_id: HashMap<Box<str>, Option<VerifyingKey>>,
    nameless: Vec<VerifyingKey>,
}

impl KeySet {
    /// Reads a set. Keys that cannot be used are passed over (RFC 7517 §5).
    ///
    /// # Errors
    /// [`KeySetError`]; one is left at least.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        Self::read(text, VerifyingKey::for_signatures)
    }

    /// Reads the JWT authorities of a trust domain: keys with `use` = `jwt-svid` (JWT-SVID §6.1), or without `use`, as
    /// the Workload API hands them out (§6.2.2). What is for X.509-SVIDs is passed over.
    ///
    /// # Errors
    /// [`KeySetError`]; one is left at least.
    pub fn of_jwt_authorities(text: &[u8]) -> Result<Self, KeySetError> {
        Self::read(text, VerifyingKey::for_jwt_svids)
    }

    fn read(
        text: &[u8],
        key: impl Fn(&Map<String, Value>) -> Option<VerifyingKey>,
    ) -> Result<Self, KeySetError> {
        let set = json::object(text).map_err(|_| KeySetError::Malformed)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(KeySetError::Malformed)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut read = Self { by_id: HashMap::new(), nameless: Vec::new() };
        for jwk in keys {
            let jwk = jwk.as_object().ok_or(KeySetError::Malformed)?;
            read.add(jwk, key(jwk));
        }
        match read.nameless.is_empty() && read.by_id.values().all(Option::is_none) {
            true => Err(KeySetError::NoUsableKey),
            false => Ok(read),
        }
    }

    fn add(&mut self, jwk: &Map<String, Value>, key: Option<VerifyingKey>) {
        match jwk.get("kid").map(Value::as_str) {
            Some(Some(id)) => {
                let twice = self.by_id.contains_key(id);
                self.by_id.insert(id.into(), key.filter(|_| !twice));
            }
            // A `kid` that is no text names nothing.
            Some(None) => {}
            None => self.nameless.extend(key),
        }
    }

    /// The key that a token means by its `kid`; without one, the only key that fits its algorithm.
    #[must_use]
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&VerifyingKey> {
        if let Some(kid) = kid {
            return self.by_id.get(kid)?.as_ref();
        }
        let all = self.by_id.values().flatten().chain(&self.nameless);
        let mut fitting = all.filter(|key| key.fits(algorithm));
        let only = fitting.next()?;
        fitting.next().is_none().then_some(only)
    }
}
