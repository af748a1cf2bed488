//! A compact JWS (RFC 7515 §7.1) taken apart, before anything in it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::json;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::OidcError;
use super::OidcError::NotGood;

/// Longer tokens are refused unread.
const MAX_TOKEN: usize = 16 * 1024;

/// The algorithms of public keys that we verify. `none` and HS* are not among them, so no header can ask for them
/// (S-37).
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The algorithm of that name.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// A token whose signature has not been checked yet.
pub(super) struct Jws<'t> {
    /// The claims.
    pub(super) claims: Map<String, Value>,
    /// Which key it says to be signed by.
    pub(super) key_id: Option<String>,
    /// What `alg` says; the key must agree.
    pub(super) algorithm: Algorithm,
    /// What is signed.
    pub(super) signed: &'t str,
    /// Base64url.
    pub(super) signature: &'t str,
}

impl<'t> Jws<'t> {
    /// Takes a token apart: size, exactly two dots, base64url, strict JSON, no extension that must be understood
    /// (RFC 7515 §4.1.11), an algorithm of a public key.
    pub(super) fn parse(token: &'t str) -> Result<Self, OidcError> {
        if token.len() > MAX_TOKEN {
            return Err(NotGood("it is larger than 16 KiB"));
        }
        let malformed = NotGood("it is no signed JSON Web Token");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| malformed.clone())?;
        let (header, claims) = signed.split_once('.').ok_or_else(|| malformed.clone())?;
        if signature.is_empty() || claims.contains('.') {
            return Err(malformed);
        }
        let part = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
            json::object(&bytes).ok()
        };
        let header = part(header).ok_or_else(|| malformed.clone())?;
        if header.contains_key("crit") || header.contains_key("zip") || header.contains_key("enc") {
            return Err(NotGood("an extension in it must be understood, and is not"));
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(algorithm);
        let algorithm =
            algorithm.ok_or(NotGood("it is signed by an algorithm that is not taken"))?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(malformed),
        };
        let claims = part(claims).ok_or(malformed)?;
        Ok(Self { claims, key_id, algorithm, signed, signature })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn s33_ca_dos_json_of_others() {
        let deep = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let check = |name: &str, claims: &str, expect: bool| {
            let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
            let token = format!("{}.{}.c2ln", part(r#"{"alg":"ES256"}"#), part(claims));
            assert_eq!(Jws::parse(&token).is_ok(), expect, "{name}");
        };
        check("an object", r#"{"a":[1,-1,1.5,"x",null,true]}"#, true);
        check("32 levels", &deep(32), true);
        check("33 levels", &deep(33), false);
        check("1,500 levels", &deep(1500), false);
        check("10,000 lists", &format!("{{\"a\":{}", "[".repeat(10_000)), false);
        check("a member twice", r#"{"a":1,"a":1}"#, false);
        check("twice further in", r#"{"a":{"b":1,"b":2}}"#, false);
        check("something after it", "{}{}", false);
        check("no object", "[]", false);
        check("nothing", "", false);
    }
}
