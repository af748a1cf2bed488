//! How many requests of a caller may be under way at once.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::budget::KeyBudget;
use crate::digest::{ByDigest, KeyDigest};

const PARTS: usize = 32;

/// What callers have under way at one limit. Where there is no room for another caller, all those that are new count as
/// one.
#[derive(Debug)]
pub struct Underway {
    most: NonZeroU32,
    budget: Arc<KeyBudget>,
    held: AtomicUsize,
    parts: [Mutex<HashMap<u128, u32, ByDigest>>; PARTS],
    overflow: Mutex<u32>,
}

/// One request under way, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct UnderwayGuard {
    of: Arc<Underway>,
    /// `None`: it counts with those for whom there was no room.
    key: Option<KeyDigest>,
}

impl Underway {
    /// At most so many of each caller.
    #[must_use]
    pub fn new(most: NonZeroU32, budget: Arc<KeyBudget>) -> Self {
        budget.table_begins();
        let parts = std::array::from_fn(|_| Mutex::default());
        Self { most, budget, held: AtomicUsize::new(0), parts, overflow: Mutex::new(0) }
    }

    /// Begins a request; `None` where as many are under way as may be.
    pub fn begin(self: &Arc<Self>, key: KeyDigest) -> Option<UnderwayGuard> {
        let mut part = self.part(key).lock();
        let known = part.get_mut(&key.0);
        if known.is_none() && !self.budget.take(&self.held) {
            drop(part);
            return self.one_more(&mut self.overflow.lock(), None);
        }
        let count = part.entry(key.0).or_insert(0);
        self.one_more(count, Some(key))
    }

    fn one_more(
        self: &Arc<Self>,
        count: &mut u32,
        key: Option<KeyDigest>,
    ) -> Option<UnderwayGuard> {
        if *count >= self.most.get() {
            return None;
        }
        *count += 1;
        Some(UnderwayGuard { of: Arc::clone(self), key })
    }

    fn end(&self, key: Option<KeyDigest>) {
        let Some(key) = key else {
            let mut count = self.overflow.lock();
            *count = count.saturating_sub(1);
            return;
        };
        let mut part = self.part(key).lock();
        let Some(count) = part.get_mut(&key.0) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            part.remove(&key.0);
            self.budget.give_back(&self.held, 1);
        }
    }

    /// How many callers have a request under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, key: KeyDigest) -> &Mutex<HashMap<u128, u32, ByDigest>> {
        &self.parts[key.part(PARTS)]
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.budget.table_ends(self.held.load(Relaxed));
    }
}

impl Drop for UnderwayGuard {
    fn drop(&mut self) {
        self.of.end(self.key);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::KeyDigests;

    #[test]
    fn each_caller_has_its_own_count() {
        let budget = Arc::new(KeyBudget::new(10));
        let limit = Arc::new(Underway::new(NonZeroU32::new(2).unwrap(), budget.clone()));
        let digests = KeyDigests::default();
        let (ann, bob) = (digests.of(b"ann"), digests.of(b"bob"));
        let first = limit.begin(ann);
        let second = limit.begin(ann);
        assert!(first.is_some() && second.is_some());
        assert!(limit.begin(ann).is_none(), "the third of one caller");
        let other = limit.begin(bob);
        assert!(other.is_some(), "the first of another");
        drop(first);
        let again = limit.begin(ann);
        assert!(again.is_some(), "one has ended");
        drop((second, again, other));
        assert_eq!((limit.len(), budget.total()), (0, 0), "nothing is kept of what has ended");
    }

    #[test]
    fn s48_without_room_new_callers_count_as_one() {
        let budget = Arc::new(KeyBudget::new(1));
        let limit = Arc::new(Underway::new(NonZeroU32::new(1).unwrap(), budget.clone()));
        let digests = KeyDigests::default();
        let known = limit.begin(digests.of(b"known"));
        let shared = limit.begin(digests.of(b"new"));
        assert!(known.is_some() && shared.is_some());
        assert!(limit.begin(digests.of(b"newer")).is_none());
        drop(shared);
        let shared = limit.begin(digests.of(b"newest"));
        assert!(shared.is_some());
        assert_eq!(budget.total(), 1);
    }
}
