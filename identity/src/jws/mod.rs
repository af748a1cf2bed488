//! A parser of compact JWS (RFC 7515 §7.1), which trusts nothing that it reads: the one reader of signed tokens, for
//! JWT-SVIDs, for the tokens of end users and their proofs, and for those of workloads at other issuers. Which issuers
//! are trusted, and which claims are required, is up to each caller.

mod algorithm;
mod key;
mod key_set;
mod unusable;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

pub use algorithm::Algorithm;
pub use key::VerifyingKey;
pub(crate) use key::{Curve, JwkPublicKey};
pub use key_set::{KeySet, KeySetError, MAX_KEYS};
pub use unusable::unusable;

use crate::json;

/// The longest token that is read, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Header parameters that change what the other parts mean: extensions that must be understood (RFC 7515 §4.1.11), and
/// what only encrypted tokens have (RFC 7516 §4.1). We understand none.
const CHANGE_THE_MEANING: [&str; 3] = ["crit", "enc", "zip"];

/// Why a text is no JWS that could be verified. Never holds any part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Longer than [`MAX_TOKEN`].
    #[error("the token is longer than 16 KiB")]
    TooLarge,
    /// Not three parts of base64url, or one of them no strict JSON object.
    #[error("not a compact JWS: {0}")]
    Malformed(&'static str),
    /// It has the header parameter `crit`, `enc` or `zip`.
    #[error("the header has `{0}`, an extension that must be understood and is not")]
    Extension(&'static str),
    /// `alg` is missing, or none of [`Algorithm`].
    #[error("`alg` names no signature algorithm that is taken")]
    Algorithm,
    /// The third part is empty.
    #[error("not signed")]
    Unsigned,
    /// The third part is not base64url without padding.
    #[error("the signature is not base64url")]
    SignatureEncoding,
}

/// A JWS whose signature has not been checked yet.
#[derive(Debug)]
pub struct Jws<'t> {
    header: Map<String, Value>,
    algorithm: Algorithm,
    payload: &'t str,
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// Takes a token apart and reads its header: size, exactly two dots, base64url without padding, strict JSON
    /// ([`json::object`]), nothing that changes the meaning of the rest, an algorithm of a public key. The payload is
    /// not looked at: [`Jws::claims`] does, when it is worth it.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn open(token: &'t [u8]) -> Result<Self, JwsError> {
        if token.len() > MAX_TOKEN {
            return Err(JwsError::TooLarge);
        }
        let token = std::str::from_utf8(token).map_err(|_| JwsError::Malformed("not ASCII"))?;
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwsError::Malformed("not three parts between two dots"));
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let header = object(header)?;
        if let Some(name) = CHANGE_THE_MEANING.into_iter().find(|name| header.contains_key(*name)) {
            return Err(JwsError::Extension(name));
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
        let algorithm = algorithm.ok_or(JwsError::Algorithm)?;
        if signature.is_empty() {
            return Err(JwsError::Unsigned);
        }
        let signature = decode(signature).ok_or(JwsError::SignatureEncoding)?;
        Ok(Self { header, algorithm, payload, signed, signature })
    }

    /// The JOSE header, whole.
    #[must_use]
    pub fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// What `alg` says. The key must agree.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The name of the key that it says to be signed by (RFC 7515 §4.1.4).
    ///
    /// # Errors
    /// [`JwsError::Malformed`] for a `kid` that is no text.
    pub fn kid(&self) -> Result<Option<&str>, JwsError> {
        match self.header.get("kid") {
            None => Ok(None),
            Some(Value::String(kid)) => Ok(Some(kid)),
            Some(_) => Err(JwsError::Malformed("`kid` is not a text")),
        }
    }

    /// The second part as it stood there.
    #[must_use]
    pub fn payload(&self) -> &'t str {
        self.payload
    }

    /// The claims (RFC 7519 §4), each of them once. They count only after [`Jws::is_signed_by`] has returned true.
    ///
    /// # Errors
    /// [`JwsError::Malformed`].
    pub fn claims(&self) -> Result<Map<String, Value>, JwsError> {
        object(self.payload)
    }

    /// Whether this key made the signature, by an algorithm that the key is for.
    #[must_use]
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.fits(self.algorithm)
            && self.algorithm.verifies(key.public(), self.signed.as_bytes(), &self.signature)
    }
}

fn object(part: &str) -> Result<Map<String, Value>, JwsError> {
    let bytes = decode(part).ok_or(JwsError::Malformed("not base64url"))?;
    json::object(&bytes)
        .map_err(|_| JwsError::Malformed("not a JSON object whose members each stand there once"))
}

/// Base64url without padding, and no second spelling of the same bytes (RFC 7515 §2).
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    #[test]
    fn s37_jws_algorithm_and_key_what_is_no_jws() {
        let good = token(r#"{"alg":"ES256"}"#, "{}");
        let (message, _) = good.rsplit_once('.').unwrap();
        let parts = Err(JwsError::Malformed("not three parts between two dots"));
        let base64 = Err(JwsError::Malformed("not base64url"));
        let object =
            Err(JwsError::Malformed("not a JSON object whose members each stand there once"));
        let changes = |name| Err(JwsError::Extension(name));
        for (name, token, expect) in [
            ("good", good.clone(), Ok(())),
            ("nothing", String::new(), parts),
            ("two parts", message.to_owned(), parts),
            ("four parts", format!("{good}.c2ln"), parts),
            ("no signature", format!("{message}."), Err(JwsError::Unsigned)),
            ("padded signature", format!("{message}.AA=="), Err(JwsError::SignatureEncoding)),
            ("another spelling of it", format!("{message}.AB"), Err(JwsError::SignatureEncoding)),
            ("blank before it", format!(" {good}"), base64),
            ("header no JSON", "AAAA.AAAA.AAAA".to_owned(), object),
            ("alg twice", token(r#"{"alg":"ES256","alg":"ES256"}"#, "{}"), object),
            ("crit", token(r#"{"alg":"ES256","crit":[]}"#, "{}"), changes("crit")),
            ("enc", token(r#"{"alg":"ES256","enc":"A128GCM"}"#, "{}"), changes("enc")),
            ("zip", token(r#"{"alg":"ES256","zip":"DEF"}"#, "{}"), changes("zip")),
            ("no alg", token("{}", "{}"), Err(JwsError::Algorithm)),
            ("none", token(r#"{"alg":"none"}"#, "{}"), Err(JwsError::Algorithm)),
            ("HMAC", token(r#"{"alg":"HS256"}"#, "{}"), Err(JwsError::Algorithm)),
            ("small letters", token(r#"{"alg":"es256"}"#, "{}"), Err(JwsError::Algorithm)),
            ("16 KiB", format!("{message}.{}", "A".repeat(MAX_TOKEN - message.len() - 1)), Ok(())),
            ("more", format!("{message}.{}", "A".repeat(MAX_TOKEN)), Err(JwsError::TooLarge)),
        ] {
            assert_eq!(Jws::open(token.as_bytes()).map(drop), expect, "{name}");
        }
        assert_eq!(Jws::open(b"\xff").map(drop), Err(JwsError::Malformed("not ASCII")));
        let numbered = token(r#"{"alg":"ES256","kid":1}"#, "{}");
        assert!(Jws::open(numbered.as_bytes()).unwrap().kid().is_err());
    }

    #[test]
    fn s33_ca_dos_json_of_others() {
        let deep = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let check = |name: &str, claims: &str, expect: bool| {
            let token = token(r#"{"alg":"ES256"}"#, claims);
            assert_eq!(Jws::open(token.as_bytes()).unwrap().claims().is_ok(), expect, "{name}");
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
