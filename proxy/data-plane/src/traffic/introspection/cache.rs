//! What issuers have said of tokens, for a short while.
//!
//! The key is a digest of the policy's name and the token, each with its length before it (S-42); the rule is kept beside
//! the verdict, and one by other rules does not count. Tokens that are not taken have a part of their own: whoever sends
//! garbage pushes out nobody's good token. The token itself is not kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use policy::IntrospectionRule;

use super::verdict::IntrospectionVerdict;

/// Tokens that are active.
const MAX_ACTIVE: usize = 10_000;
/// Tokens that are not taken.
const MAX_REFUSED: usize = 2_000;
/// Bytes of the answers that active tokens were described in; the parsed claims take a few times that.
const MAX_BYTES: usize = 16 << 20;
/// Each with a lock of its own.
const PARTS: usize = 16;

/// The key of a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CacheKey([u8; 32]);

impl CacheKey {
    pub(super) fn new(policy: &str, token: &[u8]) -> Self {
        let mut digest = Context::new(&SHA256);
        for part in [policy.as_bytes(), token] {
            // Every length fits 64 bits.
            digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest.finish().as_ref());
        Self(key)
    }

    fn part(&self) -> usize {
        usize::from(self.0[0]) % PARTS
    }
}

/// The verdicts, shared by all workers.
pub(super) struct IntrospectionCache {
    started: Instant,
    active: Vec<Mutex<Shelf>>,
    refused: Vec<Mutex<Shelf>>,
}

/// One part of the cache, with its bounds.
struct Shelf {
    entries: HashMap<CacheKey, Entry>,
    bytes: usize,
    most_entries: usize,
    most_bytes: usize,
}

struct Entry {
    verdict: IntrospectionVerdict,
    rule: Arc<IntrospectionRule>,
    bytes: usize,
    /// From the start of the cache.
    ends: Duration,
}

impl IntrospectionCache {
    pub(super) fn new(started: Instant) -> Self {
        let shelves = |most: usize| {
            let shelf = || Shelf {
                entries: HashMap::new(),
                bytes: 0,
                most_entries: most / PARTS,
                most_bytes: MAX_BYTES / PARTS,
            };
            (0..PARTS).map(|_| Mutex::new(shelf())).collect()
        };
        Self { started, active: shelves(MAX_ACTIVE), refused: shelves(MAX_REFUSED) }
    }

    /// The verdict by this rule, if there is one that counts at `now`.
    pub(super) fn get(
        &self,
        key: &CacheKey,
        rule: &Arc<IntrospectionRule>,
        now: Instant,
    ) -> Option<IntrospectionVerdict> {
        let now = now.saturating_duration_since(self.started);
        let found = |shelves: &[Mutex<Shelf>]| {
            let shelf = shelves.get(key.part())?.lock();
            let entry = shelf.entries.get(key).filter(|entry| now < entry.ends)?;
            let same = Arc::ptr_eq(&entry.rule, rule) || *entry.rule == **rule;
            same.then(|| entry.verdict.clone())
        };
        found(&self.active).or_else(|| found(&self.refused))
    }

    /// Keeps a verdict that came in an answer of so many bytes, as long as the rule says and not beyond the token's own end.
    /// `now`: the same moment by both clocks, the second one in Unix seconds.
    pub(super) fn put(
        &self,
        key: CacheKey,
        rule: &Arc<IntrospectionRule>,
        verdict: IntrospectionVerdict,
        bytes: usize,
        (now, unix): (Instant, u64),
    ) {
        let settings = &rule.settings;
        let (shelves, lasts, bytes) = match &verdict {
            IntrospectionVerdict::Active(token) => {
                let left = token.expires.map(|ends| Duration::from_secs(ends.saturating_sub(unix)));
                let lasts = left.map_or(settings.active_for, |left| left.min(settings.active_for));
                (&self.active, lasts, bytes)
            }
            IntrospectionVerdict::Refused(_) => (&self.refused, settings.inactive_for, 0),
        };
        let now = now.saturating_duration_since(self.started);
        let Some(shelf) = shelves.get(key.part()).filter(|_| !lasts.is_zero()) else { return };
        let entry = Entry { verdict, rule: Arc::clone(rule), bytes, ends: now + lasts };
        shelf.lock().insert(key, entry, now);
    }
}

impl Shelf {
    fn insert(&mut self, key: CacheKey, entry: Entry, now: Duration) {
        self.remove(&key);
        if entry.bytes > self.most_bytes {
            return;
        }
        if !self.has_room(entry.bytes) {
            self.remove_over(now);
        }
        while !self.has_room(entry.bytes) {
            let next = self.entries.iter().min_by_key(|(_, entry)| entry.ends).map(|(key, _)| *key);
            let Some(next) = next else { break };
            self.remove(&next);
        }
        self.bytes += entry.bytes;
        self.entries.insert(key, entry);
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.entries.len() < self.most_entries && self.bytes + bytes <= self.most_bytes
    }

    fn remove(&mut self, key: &CacheKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
        }
    }

    fn remove_over(&mut self, now: Duration) {
        self.entries.retain(|_, entry| now < entry.ends);
        self.bytes = self.entries.values().map(|entry| entry.bytes).sum();
    }
}

#[cfg(test)]
mod tests;
