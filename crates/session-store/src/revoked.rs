//! The revocations that this process knows. There is no clock in it: moments are handed in.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;

use crate::ending::Ending;
use crate::key::{RevokedKey, StoreKey};

/// Revocations that are known at once: where each is kept for 8 h, three and a half logouts a second.
pub const MOST_REVOKED: usize = 100_000;

/// That some sessions ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Which ones.
    pub key: RevokedKey,
    /// Those that began until then, Unix time in milliseconds: whoever signs in after it is signed in. [`u64::MAX`]:
    /// all of them.
    pub begun_until: u64,
    /// How long it is remembered, Unix time in milliseconds: until the last of these sessions would have ended.
    pub until: u64,
}

/// What is known, and asked by every request.
#[derive(Debug)]
pub(crate) struct Revoked {
    known: RwLock<Known>,
    heard: AtomicU64,
}

#[derive(Debug)]
struct Known {
    entries: Ending<u64, u64>,
    /// One was dropped before its end, and when that would have been.
    dropped_until: u64,
}

impl Revoked {
    pub(crate) fn new() -> Self {
        let known = RwLock::new(Known { entries: Ending::new(), dropped_until: 0 });
        Self { known, heard: AtomicU64::new(0) }
    }

    /// Whether one of these was revoked for a session that began then.
    pub(crate) fn holds(&self, keys: &[RevokedKey], began: u64) -> bool {
        let known = self.known.read();
        let entries = &known.entries;
        keys.iter().any(|key| entries.get(key.key()).is_some_and(|(_, until)| began <= *until))
    }

    /// Adds one; what was known of the same key is only ever extended. Whether anything changed.
    pub(crate) fn add(&self, revocation: &Revocation, now: u64) -> bool {
        let Revocation { key, begun_until, until } = *revocation;
        let mut known = self.known.write();
        known.entries.drop_ended(now, drop);
        let before = known.entries.get(key.key()).copied().unwrap_or((0, 0));
        let after = (before.0.max(until), before.1.max(begun_until));
        if until <= now || before == after {
            return false;
        }
        known.entries.insert(*key.key(), after.0, after.1);
        known.keep_bound();
        drop(known);
        self.heard.fetch_add(1, Relaxed);
        true
    }

    /// How often one was added that said something new.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Relaxed)
    }

    /// All that have not ended.
    pub(crate) fn all(&self, now: u64) -> Vec<Revocation> {
        let known = self.known.read();
        let of = |(key, end, begun_until): (&StoreKey, &u64, &u64)| Revocation {
            key: RevokedKey::from(*key),
            begun_until: *begun_until,
            until: *end,
        };
        known.entries.iter().map(of).filter(|revocation| revocation.until > now).collect()
    }

    /// Whether one was dropped that has not ended: as many are known as may be.
    pub(crate) fn is_full(&self, now: u64) -> bool {
        now < self.known.read().dropped_until
    }

    pub(crate) fn len(&self) -> usize {
        self.known.read().entries.len()
    }
}

impl Known {
    /// The next to end goes: what it revokes would soon have ended by itself.
    fn keep_bound(&mut self) {
        while self.entries.len() > MOST_REVOKED {
            let Some((end, _)) = self.entries.pop_next() else { return };
            self.dropped_until = self.dropped_until.max(end);
        }
    }
}

/// Milliseconds since 1970; zero before.
pub(crate) fn unix_millis(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(subject: u32) -> RevokedKey {
        RevokedKey::subject("https://id.example", "shop", &subject.to_string())
    }

    fn revocation(subject: u32, begun_until: u64, until: u64) -> Revocation {
        Revocation { key: of(subject), begun_until, until }
    }

    #[test]
    fn sessions_that_began_before_are_revoked_and_later_ones_are_not() {
        let revoked = Revoked::new();
        assert!(!revoked.holds(&[of(1)], 0), "none is known");
        assert!(revoked.add(&revocation(1, 50, 1_000), 10));
        for (name, keys, began, expect) in [
            ("before", &[of(1)][..], 49, true),
            ("in that moment", &[of(1)], 50, true),
            ("after", &[of(1)], 51, false),
            ("another user", &[of(2)], 0, false),
            ("one of several", &[of(2), of(1)], 0, true),
            ("none", &[], 0, false),
        ] {
            assert_eq!(revoked.holds(keys, began), expect, "{name}");
        }
    }

    #[test]
    fn a_revocation_is_only_extended() {
        let revoked = Revoked::new();
        assert!(revoked.add(&revocation(1, 50, 1_000), 10));
        assert!(!revoked.add(&revocation(1, 40, 900), 10), "nothing new");
        assert_eq!(revoked.heard(), 1);
        assert!(revoked.add(&revocation(1, 60, 900), 10));
        assert!(revoked.holds(&[of(1)], 60));
        assert!(!revoked.add(&revocation(2, 60, 10), 10), "ended already");
        revoked.add(&revocation(3, 60, 2_000), 999);
        assert!(revoked.holds(&[of(1)], 60), "its end was kept");
        revoked.add(&revocation(4, 60, 2_000), 1_000);
        assert_eq!((revoked.holds(&[of(1)], 60), revoked.len()), (false, 2), "ended");
    }

    #[test]
    fn s41_a_million_revocations_are_bounded_and_the_next_to_end_goes() {
        let revoked = Revoked::new();
        for subject in 0..1_000_000 {
            revoked.add(&revocation(subject, 50, 1_000_000 + u64::from(subject)), 10);
        }
        assert_eq!(revoked.len(), MOST_REVOKED);
        assert!(!revoked.holds(&[of(899_999)], 50) && revoked.holds(&[of(900_000)], 50));
        assert!(revoked.is_full(1_899_998) && !revoked.is_full(1_899_999));
    }
}
