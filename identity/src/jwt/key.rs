//! A key that verifies JWT-SVIDs (JWT-SVID §6.1): a JWK with a name.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::jws::{Algorithm, JwkPublicKey, VerifyingKey};

/// The longest `kid`, in bytes. Ours have 22.
pub const MAX_KID: usize = 256;

/// A JWT authority: a public key with its name, for signatures of JWT-SVIDs and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtKey {
    kid: Box<str>,
    key: VerifyingKey,
}

impl JwtKey {
    /// A P-256 key from its uncompressed point (SEC 1 §2.3.3: 65 bytes that begin with 4). `None` when the point is not
    /// on the curve, or `kid` is empty or longer than 256 bytes.
    #[must_use]
    pub fn p256(kid: &str, point: &[u8]) -> Option<Self> {
        let key = VerifyingKey::p256(point)?;
        (1..=MAX_KID).contains(&kid.len()).then(|| Self { kid: kid.into(), key })
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Reads a JWK whose `use` is known to be right. `None`: no `kid` (JWT-SVID §6.1), or a key that
    /// [`VerifyingKey::read`] does not take, or Ed25519, which no algorithm of JWT-SVIDs is for (§2.1).
    pub(crate) fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let kid = jwk.get("kid").and_then(Value::as_str);
        let kid = kid.filter(|kid| (1..=MAX_KID).contains(&kid.len()))?;
        let key = VerifyingKey::read(jwk)?;
        (!matches!(key.public(), JwkPublicKey::Ed25519(_))).then(|| Self { kid: kid.into(), key })
    }

    /// As a JWK with `kid`, and with `use` when one is given.
    pub(crate) fn to_jwk(&self, usage: Option<&str>) -> Value {
        let mut jwk = self.key.to_jwk();
        jwk.insert("kid".into(), json!(self.kid));
        if let Some(usage) = usage {
            jwk.insert("use".into(), json!(usage));
        }
        Value::Object(jwk)
    }

    /// Whether it may be used with this algorithm.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.key.fits(algorithm)
    }

    pub(crate) fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwtKey({})", self.kid)
    }
}
