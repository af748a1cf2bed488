//! Join tokens: a secret that is good for one identity, once, for a short time.
//!
//! The authority keeps only the hash: one entry of the store per token, named by it. Redeeming is
//! removing the entry at the version that was read; the store lets exactly one of many removals
//! succeed, which is the atomic compare-and-delete that S-32 asks for, across threads, processes
//! and replicas: `postern-authority token` mints while `run` redeems.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use identity::SpiffeId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::secret::{self, SecretHash};
use crate::store::{EntryKey, Store, StoreEntry};

/// What every token begins with, so that a secret scanner knows one.
pub const PREFIX: &str = "pjt_";
/// Unredeemed tokens at a time; above it `token` asks to revoke some first.
pub const MAX_TOKENS: usize = 10_000;
/// The kind of their entries.
const KIND: &str = "tokens";
/// The longest a token may wait for its use.
pub const MAX_TTL: Duration = Duration::from_secs(7 * 86_400);

/// The tokens of one authority.
#[derive(Debug, Clone)]
pub struct JoinTokens {
    store: Arc<dyn Store>,
}

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRecord {
    identity: String,
    created: u64,
    expires: u64,
}

/// A token as `tokens` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedToken {
    /// The first 12 digits of its hash: enough to name it, useless to redeem it.
    pub id: String,
    /// Whom it is for.
    pub identity: String,
    /// Unix seconds.
    pub expires: u64,
}

/// Why a token was refused.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// Never minted, already used, revoked or expired: the caller is not told which.
    #[error(
        "the join token is not (or no longer) good; mint another with `postern-authority token`"
    )]
    NotGood,
    /// The store failed.
    #[error("the token store failed: {0}")]
    Store(#[from] io::Error),
}

impl JoinTokens {
    /// The tokens kept in this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Makes a token for `identity`. `now` in Unix seconds. The caller shows it once; it cannot be
    /// had again.
    ///
    /// # Errors
    /// A lifetime of zero or above [`MAX_TTL`], [`MAX_TOKENS`] reached, or the store.
    pub fn mint(
        &self,
        identity: &SpiffeId,
        ttl: Duration,
        now: u64,
    ) -> anyhow::Result<Zeroizing<String>> {
        if ttl.is_zero() || ttl > MAX_TTL {
            bail!("a join token lives between 1s and 7d");
        }
        self.remove_expired(now)?;
        if self.list()?.len() >= MAX_TOKENS {
            bail!("{MAX_TOKENS} join tokens wait to be used; revoke some with `revoke-token`");
        }
        let token = Zeroizing::new(format!("{PREFIX}{}", secret::random_secret().as_str()));
        let record = TokenRecord {
            identity: identity.to_string(),
            created: now,
            expires: now.saturating_add(ttl.as_secs()),
        };
        let key = EntryKey::new(KIND, SecretHash::of(&token).as_str())?;
        if !self.store.create(&key, &serde_json::to_vec(&record)?)? {
            bail!(
                "the token's hash is taken, which chance does not do; check this machine's randomness"
            );
        }
        Ok(token)
    }

    /// Whom a token is for, if it is good now. Uses nothing up, and so promises nothing.
    ///
    /// # Errors
    /// [`RedeemError`].
    pub fn identity_of(&self, token: &str, now: u64) -> Result<SpiffeId, RedeemError> {
        let entry = self.store.get(&key_of(token)?)?.ok_or(RedeemError::NotGood)?;
        record_of(&entry).ok_or(RedeemError::NotGood)?.identity_at(now)
    }

    /// Uses a token up. Of any number of calls with one token, one succeeds.
    ///
    /// # Errors
    /// [`RedeemError`].
    pub fn redeem(&self, token: &str, now: u64) -> Result<SpiffeId, RedeemError> {
        let key = key_of(token)?;
        let entry = self.store.get(&key)?.ok_or(RedeemError::NotGood)?;
        let record = record_of(&entry).ok_or(RedeemError::NotGood)?;
        // The removal decides: whoever loses it is refused, whatever it read before.
        if !self.store.remove(&key, &entry.version)? {
            return Err(RedeemError::NotGood);
        }
        record.identity_at(now)
    }

    /// The tokens that wait to be used, oldest expiry first.
    ///
    /// # Errors
    /// The operating system's.
    pub fn list(&self) -> io::Result<Vec<ListedToken>> {
        let mut listed = Vec::new();
        for (key, entry) in self.store.list(KIND)? {
            if let Some(record) = record_of(&entry) {
                let id = key.name().chars().take(12).collect();
                listed.push(ListedToken { id, identity: record.identity, expires: record.expires });
            }
        }
        listed.sort_by(|a, b| (a.expires, &a.id).cmp(&(b.expires, &b.id)));
        Ok(listed)
    }

    /// Removes the token whose listed id this is. False when there is none.
    ///
    /// # Errors
    /// An id shorter than 8 digits, one that fits several tokens, or the store.
    pub fn revoke(&self, id: &str) -> anyhow::Result<bool> {
        if id.len() < 8 {
            bail!("give at least 8 digits of the token's id, as `tokens` lists it");
        }
        let mut fitting = self.store.list(KIND)?;
        fitting.retain(|(key, _)| key.name().starts_with(id));
        match fitting.as_slice() {
            [] => Ok(false),
            // False when it was used at this moment: then there is none any more.
            [(key, entry)] => Ok(self.store.remove(key, &entry.version)?),
            _ => bail!("several tokens begin with `{id}`; give more digits"),
        }
    }

    /// Removes every unused token of an identity, and says how many.
    ///
    /// # Errors
    /// The store's.
    pub fn revoke_identity(&self, identity: &str) -> io::Result<usize> {
        let mut removed = 0;
        for (key, entry) in self.store.list(KIND)? {
            if record_of(&entry).is_some_and(|record| record.identity == identity) {
                // False when it was used at this moment: gone all the same.
                removed += usize::from(self.store.remove(&key, &entry.version)?);
            }
        }
        Ok(removed)
    }

    /// Removes tokens that have expired.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove_expired(&self, now: u64) -> io::Result<()> {
        for (key, entry) in self.store.list(KIND)? {
            if record_of(&entry).is_some_and(|record| now >= record.expires) {
                // False when it was used or revoked at this moment: gone all the same.
                self.store.remove(&key, &entry.version)?;
            }
        }
        Ok(())
    }
}

impl TokenRecord {
    fn identity_at(&self, now: u64) -> Result<SpiffeId, RedeemError> {
        if now >= self.expires {
            return Err(RedeemError::NotGood);
        }
        SpiffeId::parse(&self.identity).map_err(|_| RedeemError::NotGood)
    }
}

fn key_of(token: &str) -> Result<EntryKey, RedeemError> {
    if !token.starts_with(PREFIX) || token.len() > 128 {
        return Err(RedeemError::NotGood);
    }
    Ok(EntryKey::new(KIND, SecretHash::of(token).as_str())?)
}

/// None when the entry is not a record of ours: such a token is not good.
fn record_of(entry: &StoreEntry) -> Option<TokenRecord> {
    serde_json::from_slice(&entry.value).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::fs;
    use std::sync::Barrier;

    use super::*;
    use crate::store::directory_store::DirectoryStore;

    const NOW: u64 = 1_800_000_000;
    const TTL: Duration = Duration::from_secs(600);

    fn cart() -> SpiffeId {
        SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/cart").unwrap()
    }

    fn tokens() -> (tempfile::TempDir, JoinTokens) {
        let dir = tempfile::tempdir().unwrap();
        let tokens = JoinTokens::new(Arc::new(DirectoryStore::new(dir.path())));
        (dir, tokens)
    }

    #[test]
    fn a_token_is_good_once() {
        let (_dir, tokens) = tokens();
        let token = tokens.mint(&cart(), TTL, NOW).unwrap();
        assert_eq!(tokens.identity_of(&token, NOW).unwrap(), cart());
        assert_eq!(tokens.redeem(&token, NOW).unwrap(), cart());
        assert!(tokens.identity_of(&token, NOW).is_err());
        assert!(matches!(tokens.redeem(&token, NOW), Err(RedeemError::NotGood)));
    }

    #[test]
    fn s32_attestation_confusion_one_hundred_parallel_uses_at_two_authorities() {
        let (dir, tokens) = tokens();
        // A second authority on the same state.
        let other = JoinTokens::new(Arc::new(DirectoryStore::new(dir.path())));
        for _ in 0..5 {
            let token = tokens.mint(&cart(), TTL, NOW).unwrap();
            let barrier = Barrier::new(100);
            let good = std::thread::scope(|scope| {
                let uses: Vec<_> = (0..100)
                    .map(|n| {
                        let tokens = if n % 2 == 0 { &tokens } else { &other };
                        let (barrier, token) = (&barrier, &token);
                        scope.spawn(move || {
                            barrier.wait();
                            tokens.redeem(token, NOW).is_ok()
                        })
                    })
                    .collect();
                uses.into_iter().map(|u| u.join().unwrap()).filter(|ok| *ok).count()
            });
            assert_eq!(good, 1);
        }
    }

    #[test]
    fn what_is_not_a_good_token_is_refused() {
        let (_dir, tokens) = tokens();
        let expired = tokens.mint(&cart(), TTL, NOW).unwrap();
        assert!(tokens.redeem(&expired, NOW + 600).is_err());
        assert!(tokens.redeem(&expired, NOW).is_err(), "an expired token is used up too");
        let long = "x".repeat(1_000_000);
        for token in ["", "pjt_", "pjt_../../root.key.pem", "pjt_\0", long.as_str()] {
            assert!(matches!(tokens.redeem(token, NOW), Err(RedeemError::NotGood)), "{token:.20}");
        }
    }

    #[test]
    fn tokens_are_listed_without_their_secret_and_revoked_by_id() {
        let (dir, tokens) = tokens();
        let token = tokens.mint(&cart(), TTL, NOW).unwrap();
        let listed = tokens.list().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].identity, cart().to_string());
        assert!(!token.contains(&listed[0].id));
        for entry in fs::read_dir(dir.path().join("tokens")).unwrap() {
            let content = fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(!content.contains(&token[PREFIX.len()..]));
        }
        assert!(tokens.revoke("abc").is_err());
        assert!(tokens.revoke(&listed[0].id).unwrap());
        assert!(!tokens.revoke(&listed[0].id).unwrap());
        assert!(tokens.redeem(&token, NOW).is_err());
    }

    #[test]
    fn expired_tokens_make_room() {
        let (_dir, tokens) = tokens();
        tokens.mint(&cart(), TTL, NOW).unwrap();
        tokens.mint(&cart(), TTL, NOW + 601).unwrap();
        assert_eq!(tokens.list().unwrap().len(), 1);
        assert!(tokens.mint(&cart(), Duration::ZERO, NOW).is_err());
        assert!(tokens.mint(&cart(), MAX_TTL + TTL, NOW).is_err());
    }
}
