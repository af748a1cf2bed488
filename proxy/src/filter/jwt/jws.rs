//! A compact JWS (RFC 7515 §7.1) taken apart, before anything in it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::json;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::keys::Key;
use super::{MAX_TOKEN_BYTES, TokenRefusal};

/// A JWS whose signature has not been checked yet.
pub(super) struct Jws<'t> {
    /// The JOSE header.
    pub(super) header: Map<String, Value>,
    /// The claims.
    pub(super) claims: Map<String, Value>,
    /// The second part as it stood there.
    pub(super) payload: &'t str,
    /// What `alg` says.
    pub(super) algorithm: Algorithm,
    signed: &'t str,
    signature: &'t str,
}

/// The algorithms of a public key that aws-lc-rs verifies. `none` and HS* are not among them, so no header can ask for them.
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    // Its name since RFC 9864.
    ("Ed25519", Algorithm::EdDSA),
];

/// The algorithm of that name.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

impl<'t> Jws<'t> {
    /// Takes a token apart: size, exactly two dots, base64url, strict JSON, no extension that must be understood (`crit`), an
    /// algorithm of a public key.
    pub(super) fn parse(token: &'t [u8]) -> Result<Self, TokenRefusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenRefusal::TooLarge);
        }
        let text = std::str::from_utf8(token).map_err(|_| TokenRefusal::Malformed("not ASCII"))?;
        let (header, payload, signature) = three_parts(text)?;
        let signed = &text[..header.len() + 1 + payload.len()];
        let header = part(header)?;
        if header.contains_key("crit") {
            return Err(TokenRefusal::Malformed("an extension that must be understood (`crit`)"));
        }
        if header.contains_key("enc") || header.contains_key("zip") {
            return Err(TokenRefusal::Malformed("an encrypted token"));
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(algorithm);
        let algorithm = algorithm.ok_or(TokenRefusal::Algorithm)?;
        let claims = part(payload)?;
        Ok(Self { header, claims, payload, algorithm, signed, signature })
    }

    /// Checks the signature. The key decides which algorithms may be asked for.
    pub(super) fn verify(&self, key: &Key) -> Result<(), TokenRefusal> {
        let message = self.signed.as_bytes();
        let fits = key.verifies(self.algorithm);
        if !fits {
            return Err(TokenRefusal::Algorithm);
        }
        match jsonwebtoken::crypto::verify(self.signature, message, key.decoding(), self.algorithm)
        {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(TokenRefusal::Signature),
        }
    }
}

fn three_parts(text: &str) -> Result<(&str, &str, &str), TokenRefusal> {
    let mut parts = text.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) if !signature.is_empty() => {
            Ok((header, payload, signature))
        }
        (_, _, Some(""), None) => Err(TokenRefusal::Malformed("no signature")),
        _ => Err(TokenRefusal::Malformed("not three parts between two dots")),
    }
}

fn part(text: &str) -> Result<Map<String, Value>, TokenRefusal> {
    let bytes =
        URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenRefusal::Malformed("not base64url"))?;
    json::object(&bytes).map_err(|_| {
        TokenRefusal::Malformed("not a JSON object whose members each stand there once")
    })
}
