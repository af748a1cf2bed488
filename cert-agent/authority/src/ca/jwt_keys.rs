//! The keys that sign JWT-SVIDs: one signs, the next is published well before it does, and the last
//! stays published until its last token is over (SPIFFE Federation §4.1).
//!
//! All replicas use one set, which lives in the store as one entry, so that a roll-over is one
//! compare-and-swap. What the set becomes with time is decided by [`KeySet::advanced`] alone.

use std::fmt;
use std::io;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use identity::jwt::{JwtKey, LEEWAY};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::store::live_value::LiveValue;
use crate::store::{self, EntryKey, Store};

/// A key signs for a day, seconds.
pub const SIGNS_FOR: u64 = 86_400;
/// A key is published this long before it signs, seconds: 12 times the refresh hint of our bundle
/// (Federation §4.1 recommends 3 to 5 times) and 120 times the agents' heartbeat.
pub const PUBLISHED_AHEAD: u64 = 3600;
/// The longest lifetime of a token, seconds.
pub const MAX_TOKEN_LIFETIME: u64 = 3600;
/// A key stays published this long after the next one began to sign, seconds: until its last token
/// is over for every verifier, whose clock may differ.
const PUBLISHED_AFTER: u64 = MAX_TOKEN_LIFETIME + 2 * LEEWAY;

/// The set at one moment, oldest first.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    keys: Vec<StoredKey>,
}

/// One key as it is kept.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    /// The SHA-256 of the public key, base64url without its last bits: 22 characters.
    kid: String,
    /// PKCS#8, base64.
    pkcs8: String,
    /// When it begins to sign, Unix seconds.
    signs_from: u64,
}

/// A key ready to sign.
pub struct JwtSigner {
    kid: String,
    pair: EcdsaKeyPair,
}

impl KeySet {
    /// What the set becomes at this moment; none when it stays as it is. The first key of all signs
    /// at once: nobody has a bundle from before it.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn advanced(&self, now: u64) -> anyhow::Result<Option<Self>> {
        let mut keys = self.keys.clone();
        let mut changed = false;
        match keys.last_mut() {
            None => {
                keys.push(StoredKey::new(now)?);
                changed = true;
            }
            // The clock was ahead when it was made.
            Some(newest) if newest.signs_from > now.saturating_add(PUBLISHED_AHEAD) => {
                newest.signs_from = now.saturating_add(PUBLISHED_AHEAD);
                changed = true;
            }
            Some(newest)
                if now >= newest.signs_from.saturating_add(SIGNS_FOR - PUBLISHED_AHEAD) =>
            {
                keys.push(StoredKey::new(now.saturating_add(PUBLISHED_AHEAD))?);
                changed = true;
            }
            Some(_) => {}
        }
        let over = |next: &StoredKey| now >= next.signs_from.saturating_add(PUBLISHED_AFTER);
        while keys.get(1).is_some_and(over) {
            keys.remove(0);
            changed = true;
        }
        Ok(changed.then_some(Self { keys }))
    }

    /// The newest key whose time has come; when the clock stands before all of them, the oldest.
    ///
    /// # Errors
    /// An empty set, or a key that cannot be read.
    pub fn signer(&self, now: u64) -> anyhow::Result<JwtSigner> {
        let due = self.keys.iter().rev().find(|key| key.signs_from <= now);
        let key = due.or(self.keys.first()).ok_or_else(|| anyhow!("there is no JWT key"))?;
        Ok(JwtSigner { kid: key.kid.clone(), pair: key.pair()? })
    }

    /// What is published of it.
    ///
    /// # Errors
    /// A key that cannot be read.
    pub fn published(&self) -> anyhow::Result<Vec<JwtKey>> {
        let public = |key: &StoredKey| {
            let pair = key.pair()?;
            JwtKey::p256(&key.kid, pair.public_key().as_ref()).context("a JWT key is damaged")
        };
        self.keys.iter().map(public).collect()
    }

    fn same_as(&self, other: &Self) -> bool {
        let facts = |set: &Self| -> Vec<(String, u64)> {
            set.keys.iter().map(|key| (key.kid.clone(), key.signs_from)).collect()
        };
        facts(self) == facts(other)
    }
}

impl StoredKey {
    fn new(signs_from: u64) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| anyhow!("cannot make a JWT key"))?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| anyhow!("cannot keep a JWT key"))?;
        let hash = digest(&SHA256, pair.public_key().as_ref());
        let kid: String = URL_SAFE_NO_PAD.encode(hash).chars().take(22).collect();
        Ok(Self { kid, pkcs8: STANDARD.encode(pkcs8.as_ref()), signs_from })
    }

    fn pair(&self) -> anyhow::Result<EcdsaKeyPair> {
        let pkcs8 = Zeroizing::new(STANDARD.decode(&self.pkcs8).context("a JWT key is damaged")?);
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8)
            .map_err(|_| anyhow!("a JWT key is damaged"))
    }
}

impl JwtSigner {
    /// The name of the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// A token with these claims (RFC 7519 §7.1): `alg`, `kid` and `typ`, and no other header (JWT-SVID §2).
    ///
    /// # Errors
    /// As [`JwtSigner::sign`].
    pub fn token(&self, claims: &Value) -> anyhow::Result<String> {
        let header = json!({ "alg": "ES256", "kid": self.kid, "typ": "JWT" });
        let encode = |part: String| URL_SAFE_NO_PAD.encode(part);
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// An ES256 signature in the form of a JWS (RFC 7518 §3.4).
    ///
    /// # Errors
    /// When the library refuses, which no input provokes.
    pub fn sign(&self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| anyhow!("cannot sign"))?.as_ref().to_vec())
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<&str> = self.keys.iter().map(|key| key.kid.as_str()).collect();
        f.debug_tuple("KeySet").field(&kids).finish()
    }
}

impl fmt::Debug for JwtSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.kid)
    }
}

/// The set that is in the store, as it was seen last.
#[derive(Debug)]
pub struct JwtKeys {
    store: Arc<dyn Store>,
    seen: LiveValue<KeySet>,
}

impl JwtKeys {
    /// Reads the set from the store, or makes the first one there.
    ///
    /// # Errors
    /// The store's, or a set that cannot be read.
    pub fn open(store: Arc<dyn Store>, now: u64) -> anyhow::Result<Self> {
        let keys = Self { store, seen: LiveValue::default() };
        keys.refresh(now)?;
        Ok(keys)
    }

    /// The set as it was seen last.
    #[must_use]
    pub fn now(&self) -> Arc<KeySet> {
        self.seen.now()
    }

    /// Takes up what replicas did, and does what time asks for. Blocking.
    ///
    /// # Errors
    /// The store's, or a set that cannot be read; the set seen last stays.
    pub fn refresh(&self, now: u64) -> anyhow::Result<()> {
        let mut latest = KeySet::default();
        store::update(self.store.as_ref(), &place()?, |kept| {
            let set = kept.map(serde_json::from_slice::<KeySet>).transpose();
            let set = set.context("the JWT keys in the store cannot be read")?.unwrap_or_default();
            let advanced = set.advanced(now)?;
            let write = advanced.as_ref().map(serde_json::to_vec).transpose()?.map(Zeroizing::new);
            latest = advanced.unwrap_or(set);
            anyhow::Ok(write)
        })?;
        if !latest.same_as(&self.seen.now()) {
            latest.published()?;
            let names: Vec<_> = latest.keys.iter().map(|key| key.kid.as_str()).collect();
            tracing::info!(keys = names.join(" "), "JWT keys");
            self.seen.set(latest);
        }
        Ok(())
    }
}

fn place() -> io::Result<EntryKey> {
    EntryKey::new("jwt", "keys")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::store::directory_store::DirectoryStore;

    const START: u64 = 1_800_000_000;

    fn kids(set: &KeySet) -> Vec<String> {
        set.published().unwrap().iter().map(|key| key.kid().to_owned()).collect()
    }

    #[test]
    fn spiffe_federation_4_1_keys_are_published_before_they_sign_and_until_their_last_token_is_over()
     {
        let mut set = KeySet::default();
        let mut published_since = std::collections::HashMap::new();
        let mut last_signed = std::collections::HashMap::new();
        let mut removed = 0;
        // Ten days, looked at each minute.
        for now in (START..START + 10 * 86_400).step_by(60) {
            let before = kids(&set);
            set = set.advanced(now).unwrap().unwrap_or(set);
            for kid in before.iter().filter(|kid| !kids(&set).contains(kid)) {
                let over = last_signed[kid] + MAX_TOKEN_LIFETIME + LEEWAY;
                assert!(now > over, "removed while a token of it was good");
                removed += 1;
            }
            for kid in kids(&set) {
                published_since.entry(kid).or_insert(now);
            }
            let signer = set.signer(now).unwrap().kid().to_owned();
            let first = published_since.len() == 1;
            assert!(first || now >= published_since[&signer] + PUBLISHED_AHEAD, "{now}");
            last_signed.insert(signer, now);
            assert!(set.keys.len() <= 3);
        }
        assert_eq!((published_since.len(), removed), (11, 9));
    }

    #[test]
    fn f06_an_authority_that_was_away_signs_with_the_old_key_until_the_new_one_was_public() {
        let set = KeySet::default().advanced(START).unwrap().unwrap();
        let later = START + 30 * 86_400;
        let after = set.advanced(later).unwrap().unwrap();
        assert_eq!(kids(&after).len(), 2);
        assert_eq!(after.signer(later).unwrap().kid(), kids(&set)[0]);
        assert_eq!(after.signer(later + PUBLISHED_AHEAD).unwrap().kid(), kids(&after)[1]);
    }

    #[test]
    fn f07_clock_jumps_leave_a_key_that_signs() {
        let set = KeySet::default().advanced(START).unwrap().unwrap();
        let ahead = set.advanced(START + 300 * 86_400).unwrap().unwrap();
        assert_eq!(ahead.signer(START).unwrap().kid(), kids(&set)[0]);
        let back = ahead.advanced(START).unwrap().expect("the newest key's time is corrected");
        assert_eq!(back.keys[1].signs_from, START + PUBLISHED_AHEAD);
        assert!(back.advanced(START).unwrap().is_none());
        assert_eq!(back.signer(0).unwrap().kid(), kids(&set)[0]);
    }

    #[test]
    fn replicas_use_one_set_and_it_is_secret() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = || -> Arc<dyn Store> { Arc::new(DirectoryStore::new(dir.path())) };
        let (one, two) =
            (JwtKeys::open(store(), START).unwrap(), JwtKeys::open(store(), START).unwrap());
        assert_eq!(kids(&one.now()), kids(&two.now()));
        let later = START + SIGNS_FOR;
        one.refresh(later).unwrap();
        two.refresh(later).unwrap();
        assert_eq!(kids(&one.now()), kids(&two.now()));
        assert_eq!(kids(&one.now()).len(), 2);
        let file = dir.path().join("jwt").join("keys");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "{}").unwrap();
        assert!(one.refresh(later).is_err());
        assert_eq!(kids(&one.now()).len(), 2, "the set seen last stays");
    }
}
