//! One bucket a caller, in bounded memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use indexmap::IndexMap;
use parking_lot::Mutex;

use crate::budget::KeyBudget;
use crate::digest::{ByDigest, KeyDigest};
use crate::quota::{Decision, Quota, nanos};

/// How many parts a table has, each with its own lock: as many threads seldom meet in one.
const PARTS: usize = 32;
/// How many buckets are looked at whenever another one is wanted: full ones are found faster than new ones are made.
const LOOKED_AT: usize = 8;

/// The buckets of one limit.
#[derive(Debug)]
pub struct Buckets {
    quota: Quota,
    budget: Arc<KeyBudget>,
    held: AtomicUsize,
    parts: [Mutex<Part>; PARTS],
    /// When the bucket is full that all share for whom there is no room.
    overflow: Mutex<u64>,
}

/// When each bucket is full again, and where the next one is looked for that is full by now.
#[derive(Debug, Default)]
struct Part {
    full_at: IndexMap<u128, u64, ByDigest>,
    hand: usize,
}

impl Buckets {
    /// No buckets yet; each is full at the first request of its caller.
    #[must_use]
    pub fn new(quota: Quota, budget: Arc<KeyBudget>) -> Self {
        budget.table_begins();
        let parts = std::array::from_fn(|_| Mutex::default());
        Self { quota, budget, held: AtomicUsize::new(0), parts, overflow: Mutex::new(0) }
    }

    /// What each bucket holds.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// How many callers have a bucket of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Whether nobody has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes one request of a caller, or refuses it. `now` never goes back by more than threads differ.
    pub fn decide(&self, key: KeyDigest, now: Duration) -> Decision {
        let now = nanos(now);
        let mut part = self.part(key).lock();
        if let Some(full_at) = part.full_at.get_mut(&key.0) {
            return self.take(full_at, now);
        }
        let full = part.drop_full(now, LOOKED_AT);
        self.budget.give_back(&self.held, full);
        if self.budget.take(&self.held) {
            return self.take(part.full_at.entry(key.0).or_insert(0), now);
        }
        drop(part);
        let decision = self.take(&mut self.overflow.lock(), now);
        Decision { shared: true, ..decision }
    }

    /// Gives one request back that was allowed and then refused by something else.
    pub fn give_back(&self, key: KeyDigest, shared: bool) {
        if shared {
            let mut full_at = self.overflow.lock();
            *full_at = self.quota.give_back(*full_at);
        } else if let Some(full_at) = self.part(key).lock().full_at.get_mut(&key.0) {
            *full_at = self.quota.give_back(*full_at);
        }
    }

    /// Drops every bucket that is full: it says no more than one that is not there.
    pub fn drop_full(&self, now: Duration) {
        for part in &self.parts {
            let mut part = part.lock();
            let whole = part.full_at.len();
            let full = part.drop_full(nanos(now), whole);
            let room = part.full_at.len().saturating_mul(2);
            part.full_at.shrink_to(room);
            self.budget.give_back(&self.held, full);
        }
    }

    fn take(&self, full_at: &mut u64, now: u64) -> Decision {
        let (then, decision) = self.quota.decide(*full_at, now);
        *full_at = then;
        decision
    }

    fn part(&self, key: KeyDigest) -> &Mutex<Part> {
        &self.parts[key.part(PARTS)]
    }
}

impl Drop for Buckets {
    fn drop(&mut self) {
        self.budget.table_ends(self.held.load(Relaxed));
    }
}

impl Part {
    /// Looks at so many buckets, each in its turn, and drops the full ones. Returns how many those were.
    fn drop_full(&mut self, now: u64, most: usize) -> usize {
        let mut dropped = 0;
        for _ in 0..most {
            if self.hand >= self.full_at.len() {
                self.hand = 0;
            }
            match self.full_at.get_index(self.hand) {
                None => break,
                // Another one takes its place, and is looked at next.
                Some((_, full_at)) if *full_at <= now => {
                    self.full_at.swap_remove_index(self.hand);
                    dropped += 1;
                }
                Some(_) => self.hand += 1,
            }
        }
        dropped
    }
}
