//! What of a bundle document is passed over, and why: the standard wants it passed over, and whoever reads the log
//! wants to know.

use std::fmt;

use serde_json::{Map, Value};

use super::{JWT_SVID, X509_SVID, x509};
use crate::jwt::JwtKey;

/// A JWK that no SVID is verified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassedOver {
    /// Its place among the keys, from 0.
    pub index: usize,
    /// Why, and what it would have to say.
    pub reason: &'static str,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.index, self.reason)
    }
}

pub(super) fn among<'a>(
    jwks: impl Iterator<Item = (usize, &'a Map<String, Value>)>,
) -> Vec<PassedOver> {
    let reasons = jwks.filter_map(|(index, jwk)| Some((index, reason(jwk)?)));
    reasons.map(|(index, reason)| PassedOver { index, reason }).collect()
}

/// `None`: it is used.
fn reason(jwk: &Map<String, Value>) -> Option<&'static str> {
    match jwk.get("use").map(Value::as_str) {
        None => Some(
            "it has no `use`, which a SPIFFE bundle must set to `x509-svid` or `jwt-svid`; is this a plain JWK set?",
        ),
        Some(Some(X509_SVID)) if !x509::is_known_kind(jwk) => {
            Some("its `kty` is none of `EC`, `RSA` and `OKP`")
        }
        Some(Some(X509_SVID)) => {
            x509::x5c(jwk).is_none().then_some("it has no certificate in `x5c`")
        }
        Some(Some(JWT_SVID)) if !jwk.get("kid").is_some_and(Value::is_string) => {
            Some("it has no `kid`")
        }
        Some(Some(JWT_SVID)) => JwtKey::read(jwk).is_none().then_some(
            "its key cannot be used: RSA of 2048 to 8192 bits (none of the ROCA class), or EC on P-256, P-384 or P-521",
        ),
        Some(_) => Some("its `use` is neither `x509-svid` nor `jwt-svid`"),
    }
}
