//! An issuer's public keys (JWK, JWKS: RFC 7517), read once when they come in.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::json;
use jsonwebtoken::{Algorithm, DecodingKey};
use policy::KeySource;
use serde_json::{Map, Value};

use super::{TokenRefusal, jws};

/// The most keys of a set: issuers publish a handful.
const MAX_KEYS: usize = 128;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// A public key and the algorithms it may be used with.
pub struct Key {
    decoding: DecodingKey,
    algorithms: Vec<Algorithm>,
}

impl Key {
    /// Reads a public JWK that is for signatures. `None`: it is for something else, of a kind we do not know, too weak, or holds a
    /// secret part.
    pub(super) fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.contains_key("d") || jwk.contains_key("k") || !is_for_verifying(jwk) {
            return None;
        }
        let (decoding, family) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (rsa(text("n")?, text("e")?)?, RSA),
            ("EC", Some("P-256")) => (ec(text("x")?, text("y")?, 32)?, &[Algorithm::ES256][..]),
            ("EC", Some("P-384")) => (ec(text("x")?, text("y")?, 48)?, &[Algorithm::ES384][..]),
            ("OKP", Some("Ed25519")) => (ed(text("x")?)?, &[Algorithm::EdDSA][..]),
            _ => return None,
        };
        let algorithms = match jwk.get("alg") {
            None => family.to_vec(),
            Some(named) => {
                let named = named.as_str().and_then(jws::algorithm)?;
                family.contains(&named).then(|| vec![named])?
            }
        };
        Some(Self { decoding, algorithms })
    }

    /// Whether it may be used with this algorithm.
    pub(super) fn verifies(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

/// `use` and `key_ops`, where they are there (RFC 7517 §4.2, §4.3).
fn is_for_verifying(jwk: &Map<String, Value>) -> bool {
    let usage = jwk.get("use").is_none_or(|usage| usage == "sig");
    let operations = jwk.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|list| list.iter().any(|item| item == "verify"))
    });
    usage && operations
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// 2048 to 8192 bits, as aws-lc-rs takes them (NIST SP 800-131A).
fn rsa(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    let (modulus, exponent) = (decode(modulus)?, decode(exponent)?);
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus = modulus.get(zeros..)?;
    let sized = (256..=1024).contains(&modulus.len()) && (1..=8).contains(&exponent.len());
    sized.then(|| DecodingKey::from_rsa_raw_components(modulus, &exponent))
}

/// An uncompressed point (SEC 1 §2.3.3). That it is on the curve is checked with every signature.
fn ec(x: &str, y: &str, length: usize) -> Option<DecodingKey> {
    let (x, y) = (decode(x)?, decode(y)?);
    let sized = x.len() == length && y.len() == length;
    sized.then(|| DecodingKey::from_ec_der(&[&[4][..], &x, &y].concat()))
}

fn ed(x: &str) -> Option<DecodingKey> {
    let x = decode(x)?;
    (x.len() == 32).then(|| DecodingKey::from_ed_der(&x))
}

/// The keys of one source. A `kid` that stands there twice is unusable: which key it means would depend on the reader (S-38).
pub struct KeySet {
    by_id: HashMap<Box<str>, Option<Key>>,
    nameless: Vec<Key>,
    fingerprint: [u8; 32],
}

/// Why a set of keys was not taken.
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
        "no usable key: RSA from 2048 bits, EC P-256 and P-384, Ed25519, for signatures, each `kid` once"
    )]
    NoUsableKey,
}

impl KeySet {
    /// Reads a set. Keys that cannot be used are passed over (RFC 7517 §5).
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        let set = json::object(text).map_err(|_| KeySetError::Malformed)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(KeySetError::Malformed)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut read =
            Self { by_id: HashMap::new(), nameless: Vec::new(), fingerprint: sha256(text) };
        for jwk in keys {
            read.add(jwk.as_object().ok_or(KeySetError::Malformed)?);
        }
        match read.nameless.is_empty() && read.by_id.values().all(Option::is_none) {
            true => Err(KeySetError::NoUsableKey),
            false => Ok(read),
        }
    }

    /// Whether another set was read from the very same text.
    #[must_use]
    pub fn is_of_same_text(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }

    fn add(&mut self, jwk: &Map<String, Value>) {
        let key = Key::read(jwk);
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

    /// The key a token means. Without a `kid` in the token there must be one key only that fits its algorithm.
    pub(super) fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&Key, TokenRefusal> {
        if let Some(id) = id {
            return self.by_id.get(id).and_then(Option::as_ref).ok_or(TokenRefusal::UnknownKey);
        }
        let all = self.by_id.values().flatten().chain(&self.nameless);
        let mut fitting = all.filter(|key| key.verifies(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(TokenRefusal::UnknownKey),
        }
    }
}

fn sha256(text: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text).as_ref());
    out
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("ids", &self.by_id.keys()).finish_non_exhaustive()
    }
}

/// All keys in force, by where they come from. Swapped whole; compared by address.
#[derive(Debug, Default, Clone)]
pub struct KeyBook(HashMap<KeySource, Arc<KeySet>>);

impl KeyBook {
    /// The keys of a source, when they are at hand.
    #[must_use]
    pub fn get(&self, source: &KeySource) -> Option<&Arc<KeySet>> {
        self.0.get(source)
    }

    /// A book with these keys of this source in place of any others of it.
    #[must_use]
    pub fn with(&self, source: &KeySource, keys: Option<Arc<KeySet>>) -> Self {
        let mut book = self.clone();
        match keys {
            Some(keys) => book.0.insert(source.clone(), keys),
            None => book.0.remove(source),
        };
        book
    }

    /// The sources whose keys are at hand.
    pub fn sources(&self) -> impl Iterator<Item = &KeySource> {
        self.0.keys()
    }

    /// A book without the sources that are not wanted any more.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&KeySource) -> bool) -> Self {
        let kept = self.0.iter().filter(|(source, _)| wanted(source));
        Self(kept.map(|(source, keys)| (source.clone(), Arc::clone(keys))).collect())
    }
}
