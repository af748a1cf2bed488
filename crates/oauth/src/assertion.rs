//! A client that proves itself by a signature: `private_key_jwt` (RFC 7523 §2.2, OpenID Connect Core §9).

use std::fmt;

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use zeroize::Zeroizing;

/// How long an assertion is good, in seconds: for one request.
const LIFETIME: u64 = 60;
/// The largest file of a key, in bytes.
const MAX_PEM: usize = 16 * 1024;
/// The longest `kid`, in bytes.
const MAX_KEY_ID: usize = 256;

/// Why a file is no key to sign assertions with. Never holds any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionKeyError {
    /// No PEM block `PRIVATE KEY`.
    #[error("no PEM of a PKCS#8 key (`-----BEGIN PRIVATE KEY-----`, not encrypted)")]
    NoPkcs8,
    /// A key of another kind, or too weak.
    #[error("the key is none of EC P-256, EC P-384, Ed25519, and RSA of 2048 to 8192 bits")]
    Kind,
    /// An empty or overlong `kid`.
    #[error("the key id has no 1 to 256 bytes")]
    KeyId,
}

/// A client's private key. `Debug` does not show it.
pub struct AssertionKey {
    pair: KeyPair,
    key_id: Option<Box<str>>,
}

enum KeyPair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl AssertionKey {
    /// Reads a private key (PKCS#8 in PEM). It signs by ES256, ES384, EdDSA or RS256, as the key is. `key_id`: the
    /// `kid` that the provider knows its public half by, where it demands one.
    ///
    /// # Errors
    /// [`AssertionKeyError`].
    pub fn from_pem(pem: &[u8], key_id: Option<&str>) -> Result<Self, AssertionKeyError> {
        if pem.len() > MAX_PEM {
            return Err(AssertionKeyError::NoPkcs8);
        }
        if key_id.is_some_and(|id| !(1..=MAX_KEY_ID).contains(&id.len())) {
            return Err(AssertionKeyError::KeyId);
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem);
        let der = der.map_err(|_| AssertionKeyError::NoPkcs8)?;
        let pair = KeyPair::read(der.secret_pkcs8_der()).ok_or(AssertionKeyError::Kind)?;
        Ok(Self { pair, key_id: key_id.map(Into::into) })
    }

    /// An assertion of this client for one request (RFC 7523 §3). `None`: the system cannot sign.
    pub(crate) fn sign(
        &self,
        client_id: &str,
        (audience, id): (&str, &str),
        now: u64,
        random: &dyn SecureRandom,
    ) -> Option<Zeroizing<String>> {
        let mut header = json!({"alg": self.pair.algorithm(), "typ": "JWT"});
        if let (Some(members), Some(id)) = (header.as_object_mut(), &self.key_id) {
            members.insert("kid".to_owned(), json!(id));
        }
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": audience, "jti": id,
            "iat": now, "exp": now.saturating_add(LIFETIME),
        });
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.pair.sign(message.as_bytes(), random)?;
        Some(Zeroizing::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

impl KeyPair {
    fn read(pkcs8: &[u8]) -> Option<Self> {
        let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok();
        let p384 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8).ok();
        let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok();
        let rsa = || RsaKeyPair::from_pkcs8(pkcs8).ok().filter(is_strong);
        (p256().map(Self::P256))
            .or_else(|| p384().map(Self::P384))
            .or_else(|| ed25519().map(Self::Ed25519))
            .or_else(|| rsa().map(Self::Rsa))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    fn sign(&self, message: &[u8], random: &dyn SecureRandom) -> Option<Vec<u8>> {
        match self {
            Self::P256(pair) | Self::P384(pair) => {
                pair.sign(random, message).ok().map(|signature| signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

/// 2048 to 8192 bits, as for keys of others.
fn is_strong(pair: &RsaKeyPair) -> bool {
    (256..=1024).contains(&pair.public_modulus_len())
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({})", self.pair.algorithm())
    }
}
