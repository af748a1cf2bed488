//! The keys of token issuers (JWKS, RFC 7517), fetched when they are needed and kept.
//!
//! Keys are looked for anew after five minutes, and at once (at most every 30 s) when a token names one that is not
//! there (S-38). Those that cannot be renewed hold for a day. One fetch at a time for a source; the others wait for
//! it, within their request's deadline.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::json;
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::OidcError::{self, NotGood, Unavailable};
use super::fetch;
use super::jws::{self, Jws};
use crate::authority::files;
use crate::authority::registry::oidc::KeySource;

/// Kept keys are used without a look for newer ones.
const FRESH: Duration = Duration::from_secs(300);
/// Between two looks, whatever tokens say.
const PAUSE: Duration = Duration::from_secs(30);
/// Kept keys that could not be renewed are let go.
const STALE: Duration = Duration::from_secs(86_400);
/// Issuers publish a handful.
const MAX_KEYS: usize = 128;

/// The keys at hand.
#[derive(Debug, Default)]
pub struct Keys {
    sources: Mutex<BTreeMap<KeySource, Arc<tokio::sync::Mutex<Held>>>>,
}

#[derive(Debug, Default)]
struct Held {
    keys: Option<Arc<KeySet>>,
    taken: Option<Instant>,
    tried: Option<Instant>,
    error: String,
}

impl Keys {
    /// Checks a token's signature with the keys of this source.
    pub(super) async fn verify(&self, source: &KeySource, jws: &Jws<'_>) -> Result<(), OidcError> {
        let held = Arc::clone(self.sources.lock().entry(source.clone()).or_default());
        let keys = {
            let mut held = held.lock().await;
            held.look(source, |keys| keys.find(jws).is_some()).await;
            held.keys.clone().ok_or_else(|| Unavailable(held.error.clone()))?
        };
        let key = keys.find(jws).ok_or(NotGood("none of its issuer's keys signed it"))?;
        match jsonwebtoken::crypto::verify(
            jws.signature,
            jws.signed.as_bytes(),
            &key.decoding,
            jws.algorithm,
        ) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(NotGood("none of its issuer's keys signed it")),
        }
    }
}

impl Held {
    /// Fetches where that is due.
    async fn look(&mut self, source: &KeySource, enough: impl Fn(&KeySet) -> bool) {
        let now = Instant::now();
        let within = |since: Option<Instant>, limit| since.is_some_and(|at| now - at < limit);
        let knows = self.keys.as_deref().is_some_and(enough);
        if (knows && within(self.taken, FRESH)) || within(self.tried, PAUSE) {
            return;
        }
        self.tried = Some(now);
        match read(source).await {
            Ok(keys) => (self.keys, self.taken) = (Some(Arc::new(keys)), Some(now)),
            Err(error) => {
                tracing::warn!(error, "the keys of a token issuer cannot be renewed");
                self.error = error;
                if !within(self.taken, STALE) {
                    self.keys = None;
                }
            }
        }
    }
}

async fn read(source: &KeySource) -> Result<KeySet, String> {
    let (text, at) = match source {
        KeySource::File(path) => {
            (files::read(path).map_err(|error| error.to_string())?, path.display().to_string())
        }
        KeySource::Uri { uri, ca_file, allow_local } => {
            (fetch::get(uri, ca_file, *allow_local).await?, uri.clone())
        }
    };
    KeySet::parse(&text).map_err(|reason| format!("{at}: {reason}"))
}

/// A public key and the algorithms it may be used with.
struct Key {
    decoding: DecodingKey,
    algorithms: Vec<Algorithm>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Key").field(&self.algorithms).finish()
    }
}

/// The keys of one source. An id that stands there twice is unusable: which key it means would depend on the reader.
#[derive(Debug)]
struct KeySet {
    by_id: HashMap<String, Option<Key>>,
    nameless: Vec<Key>,
}

impl KeySet {
    /// Reads a set. Keys that cannot be used are passed over (RFC 7517 §5).
    fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let set = json::object(text).map_err(|_| "not a JSON Web Key Set")?;
        let list = set.get("keys").and_then(Value::as_array).ok_or("not a JSON Web Key Set")?;
        if list.len() > MAX_KEYS {
            return Err("more than 128 keys");
        }
        let mut read = Self { by_id: HashMap::new(), nameless: Vec::new() };
        for jwk in list {
            let jwk = jwk.as_object().ok_or("not a JSON Web Key Set")?;
            let key = key(jwk);
            match jwk.get("kid") {
                None => read.nameless.extend(key),
                Some(Value::String(id)) => {
                    let twice = read.by_id.contains_key(id);
                    read.by_id.insert(id.clone(), key.filter(|_| !twice));
                }
                Some(_) => {}
            }
        }
        match read.nameless.is_empty() && read.by_id.values().all(Option::is_none) {
            true => Err(
                "no usable key: RSA of 2048 to 8192 bits, EC P-256 or P-384, Ed25519, for signatures",
            ),
            false => Ok(read),
        }
    }

    /// The key a token means. Without an id in the token there must be one key only that fits its algorithm.
    fn find(&self, jws: &Jws<'_>) -> Option<&Key> {
        let fits = |key: &&Key| key.algorithms.contains(&jws.algorithm);
        if let Some(id) = &jws.key_id {
            return self.by_id.get(id)?.as_ref().filter(fits);
        }
        let mut fitting = self.by_id.values().flatten().chain(&self.nameless).filter(fits);
        let only = fitting.next()?;
        fitting.next().is_none().then_some(only)
    }
}

/// A public key for signatures; the key, not the token, says which algorithms it is for. None: it is for something
/// else, of a kind we do not know, too weak, or holds a secret part.
fn key(jwk: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let for_signatures = jwk.get("use").is_none_or(|usage| usage == "sig")
        && jwk.get("key_ops").is_none_or(|operations| {
            operations.as_array().is_some_and(|list| list.iter().any(|item| item == "verify"))
        });
    if jwk.contains_key("d") || jwk.contains_key("k") || !for_signatures {
        return None;
    }
    let point = |length: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        // An uncompressed point (SEC 1 §2.3.3); that it is on the curve is checked with every signature.
        let sized = x.len() == length && y.len() == length;
        sized.then(|| DecodingKey::from_ec_der(&[&[4][..], &x, &y].concat()))
    };
    let (decoding, natural) = match (text("kty")?, text("crv")) {
        ("EC", Some("P-256")) => (point(32)?, Algorithm::ES256),
        ("EC", Some("P-384")) => (point(48)?, Algorithm::ES384),
        ("OKP", Some("Ed25519")) => {
            let x = bytes("x").filter(|x| x.len() == 32)?;
            (DecodingKey::from_ed_der(&x), Algorithm::EdDSA)
        }
        ("RSA", _) => (rsa(&bytes("n")?, &bytes("e")?)?, Algorithm::RS256),
        _ => return None,
    };
    let named = text("alg").map(jws::algorithm);
    let algorithms = match (named, natural) {
        (None, Algorithm::RS256) if !jwk.contains_key("alg") => {
            vec![Algorithm::RS256, Algorithm::PS256]
        }
        (None, natural) if !jwk.contains_key("alg") => vec![natural],
        (Some(Some(named)), natural) if same_kind(named, natural) => vec![named],
        _ => return None,
    };
    Some(Key { decoding, algorithms })
}

fn same_kind(named: Algorithm, natural: Algorithm) -> bool {
    use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
    let rsa = matches!(named, RS256 | RS384 | RS512 | PS256 | PS384 | PS512);
    if natural == RS256 { rsa } else { named == natural }
}

/// 2048 to 8192 bits, as the library takes them.
fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<DecodingKey> {
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus = modulus.get(zeros..)?;
    let sized = (256..=1024).contains(&modulus.len()) && (1..=8).contains(&exponent.len());
    sized.then(|| DecodingKey::from_rsa_raw_components(modulus, exponent))
}
