//! An issuer of tokens, and one token of it.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Who signs.
pub(super) const ISSUER: &str = "https://issuer.example";
/// Whom the token is for.
pub(super) const AUDIENCE: &str = "bench";
/// How long it is good.
const LIFE: Duration = Duration::from_secs(12 * 3600);

/// A usual access token, ES256, and the key that it is checked by.
pub(super) struct Token {
    text: String,
    /// The issuer's keys (RFC 7517 §5).
    pub(super) keys: Value,
}

impl Token {
    /// Of a fresh key.
    pub(super) fn new() -> Result<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| anyhow!("making a key"))?;
        let point = key.public_key().as_ref().get(1..).context("a point")?;
        let (x, y) = point.split_at_checked(32).context("two coordinates")?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let keys = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "a", "x": x, "y": y},
        ]});
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let header = json!({"alg": "ES256", "kid": "a", "typ": "JWT"});
        let claims = json!({
            "iss": ISSUER, "aud": [AUDIENCE], "sub": "5f0c7a2e-8f6b-4f0e-9d77-0f6f0a8f8f11",
            "iat": now.as_secs(), "exp": (now + LIFE).as_secs(), "client_id": "web",
            "scope": "openid profile buy", "realm_access": {"roles": ["buyer", "reviewer"]},
            "email": "ann@shop.example", "email_verified": true,
        });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signed = key.sign(&SystemRandom::new(), message.as_bytes());
        let signature = signed.map_err(|_| anyhow!("signing"))?;
        let text = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        Ok(Self { text, keys })
    }

    /// The field of a request that has it.
    pub(super) fn field(&self) -> String {
        format!("Authorization: Bearer {}", self.text)
    }
}
