//! A provider for tests: one key, and tokens that it signs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::jws::KeySet;
use serde_json::{Map, Value, json};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const CLIENT: &str = "shop";

pub(crate) struct Provider {
    pair: EcdsaKeyPair,
}

impl Provider {
    pub(crate) fn new() -> Self {
        Self { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    pub(crate) fn keys(&self) -> KeySet {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": encode(x), "y": encode(y)});
        KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).unwrap()
    }

    pub(crate) fn sign(&self, claims: &Map<String, Value>) -> String {
        self.sign_with(&json!({"alg": "ES256", "kid": "a"}), claims)
    }

    pub(crate) fn sign_with(&self, header: &Value, claims: &Map<String, Value>) -> String {
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let claims = Value::Object(claims.clone()).to_string();
        let message = format!("{}.{}", encode(header.to_string()), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// With some members set; those that are null are taken out.
pub(crate) fn changed(claims: &Value, changes: Value) -> Map<String, Value> {
    let mut claims = claims.as_object().unwrap().clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.remove(name),
            _ => claims.insert(name.clone(), value.clone()),
        };
    }
    claims
}
