//! The tokens that people get: JSON Web Tokens (RFC 7519), signed with ES256.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Signs tokens with a key of its own.
pub struct Tokens {
    issuer: String,
    audience: String,
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

impl Tokens {
    /// For this audience, with the key of this file, which is made when it is not there, readable by nobody else.
    ///
    /// # Errors
    /// The file cannot be read or made, or has no P-256 key in it.
    pub fn open(issuer: &str, audience: &str, file: &Path) -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        if !file.exists() {
            make_key(file, &random).with_context(|| format!("making {}", file.display()))?;
        }
        let pkcs8 = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8)
            .map_err(|_| anyhow::anyhow!("{}: no P-256 key in PKCS#8", file.display()))?;
        let thumbprint = digest(&SHA256, key.public_key().as_ref());
        let key_id = URL_SAFE_NO_PAD.encode(thumbprint.as_ref().get(..12).unwrap_or_default());
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        Ok(Self { issuer, audience, key, key_id, random })
    }

    /// Who issues them.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A token that says these claims of a person, issued at this moment (Unix seconds) for as many seconds.
    ///
    /// # Errors
    /// The library has no random numbers.
    pub fn issue(
        &self,
        person: &str,
        more: &[(&str, &str)],
        now: i64,
        lifetime: i64,
    ) -> anyhow::Result<String> {
        let mut id = [0; 16];
        fill(&mut id).map_err(|_| anyhow::anyhow!("no random numbers"))?;
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.key_id});
        let mut claims = json!({
            "iss": self.issuer, "sub": person, "aud": self.audience, "iat": now, "exp": now + lifetime,
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        for (name, value) in more {
            claims[*name] = Value::from(*value);
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(&self.random, signed.as_bytes());
        let signature = signature.map_err(|_| anyhow::anyhow!("the key does not sign"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Where that key is found, for who knows the issuer alone (OpenID Connect Discovery 1.0 §3).
    #[must_use]
    pub fn discovery(&self) -> Value {
        let issuer = &self.issuer;
        json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/jwks.json"),
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// The key that verifies them, as a JWK set (RFC 7517 §5).
    #[must_use]
    pub fn keys(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.key.public_key().as_ref();
        let half =
            |from: usize| URL_SAFE_NO_PAD.encode(point.get(from..from + 32).unwrap_or_default());
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.key_id,
            "x": half(1), "y": half(33),
        }]})
    }
}

fn make_key(file: &Path, random: &SystemRandom) -> anyhow::Result<()> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, random)
        .map_err(|_| anyhow::anyhow!("no random numbers"))?;
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    made.write_all(pkcs8.as_ref())?;
    Ok(made.sync_all()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_token_is_verified_by_the_published_key_after_a_restart_too() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        let token = Tokens::open("http://login", "all", &file).unwrap();
        let token = token.issue("ann", &[("role", "teller")], 1000, 60).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let keys = Tokens::open("http://login", "all", &file).unwrap().keys();
        let part =
            |name: &str| URL_SAFE_NO_PAD.decode(keys["keys"][0][name].as_str().unwrap()).unwrap();
        let point = [&[4][..], &part("x"), &part("y")].concat();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        key.verify(signed.as_bytes(), &signature).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["sub"], &claims["exp"]), (&json!("ann"), &json!(1060)));
        assert_eq!((&claims["aud"], &claims["role"]), (&json!("all"), &json!("teller")));
    }
}
