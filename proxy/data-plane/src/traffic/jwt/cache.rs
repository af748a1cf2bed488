//! Verdicts about tokens that were seen before, one cache per worker.
//!
//! Only positive verdicts are cached, and only what does not depend on the request: times, the peer and the proof are
//! checked each time. The key is a digest of every input the verdict depends on, each with its length before it (S-42);
//! the two that are large and shared, rules and keys, are compared by address, and a change of either empties the
//! cache.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use policy::TokenRules;

use super::keys::KeyBook;
use super::verify::VerifiedToken;

/// Verdicts kept before the older half is dropped: a thousand users a worker.
const MAX_ENTRIES: usize = 1024;
/// Bytes of tokens whose verdicts are kept; the parsed claims take a few times that.
const MAX_BYTES: usize = 2 << 20;

/// The key of a verdict.
pub(super) type CacheKey = [u8; 32];

/// The key of a token found in a place.
pub(super) fn key(place: usize, token: &[u8]) -> CacheKey {
    let place = place.to_le_bytes();
    let mut digest = Context::new(&SHA256);
    for part in [&place[..], token] {
        // Every length fits 64 bits.
        digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        digest.update(part);
    }
    let mut key = [0; 32];
    key.copy_from_slice(digest.finish().as_ref());
    key
}

/// A worker's cache. Its lock is the worker's own.
#[derive(Default)]
pub struct TokenCache(Mutex<TokenCacheState>);

/// Two halves: a verdict that is used moves into the young one; when that is full, it becomes the old one and the old
/// one is dropped.
#[derive(Default)]
struct TokenCacheState {
    rules: Option<Arc<TokenRules>>,
    book: Option<Arc<KeyBook>>,
    young: HashMap<CacheKey, (Arc<VerifiedToken>, usize)>,
    old: HashMap<CacheKey, (Arc<VerifiedToken>, usize)>,
    young_bytes: usize,
}

impl TokenCache {
    /// The verdict, if there is one by these rules and keys.
    pub(super) fn get(
        &self,
        rules: &Arc<TokenRules>,
        book: &Arc<KeyBook>,
        key: &CacheKey,
    ) -> Option<Arc<VerifiedToken>> {
        let mut inner = self.0.lock();
        inner.belong_to(rules, book);
        if let Some((verified, _)) = inner.young.get(key) {
            return Some(verified.clone());
        }
        let (verified, bytes) = inner.old.remove(key)?;
        inner.add(*key, verified.clone(), bytes);
        Some(verified)
    }

    /// Caches a verdict about a token of this many bytes, found by these rules and keys.
    pub(super) fn put(
        &self,
        rules: &Arc<TokenRules>,
        book: &Arc<KeyBook>,
        key: CacheKey,
        verified: Arc<VerifiedToken>,
        bytes: usize,
    ) {
        let mut inner = self.0.lock();
        inner.belong_to(rules, book);
        inner.add(key, verified, bytes);
    }
}

impl TokenCacheState {
    fn belong_to(&mut self, rules: &Arc<TokenRules>, book: &Arc<KeyBook>) {
        let same = self.rules.as_ref().is_some_and(|held| Arc::ptr_eq(held, rules))
            && self.book.as_ref().is_some_and(|held| Arc::ptr_eq(held, book));
        if !same {
            // Held, so that their addresses cannot be reused.
            *self =
                Self { rules: Some(rules.clone()), book: Some(book.clone()), ..Self::default() };
        }
    }

    fn add(&mut self, key: CacheKey, verified: Arc<VerifiedToken>, bytes: usize) {
        let full = self.young.len() >= MAX_ENTRIES / 2 || self.young_bytes + bytes > MAX_BYTES / 2;
        if full {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, (verified, bytes));
    }
}

#[cfg(test)]
impl TokenCache {
    /// How many verdicts are cached, and of how many bytes of tokens in the young half.
    pub(super) fn size(&self) -> (usize, usize) {
        let inner = self.0.lock();
        (inner.young.len() + inner.old.len(), inner.young_bytes)
    }
}
