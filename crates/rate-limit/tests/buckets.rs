//! The table of buckets against a slow reference, under floods, and from several threads.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rate_limit::{Buckets, KeyBudget, KeyDigests, Quota};

fn quota(requests: u32, per: Duration, burst: u32) -> Quota {
    Quota {
        requests: NonZeroU32::new(requests).unwrap(),
        per,
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

/// A bucket as one would draw it: so many tokens, filled evenly, in exact fractions of a nanosecond.
struct TokenBucket {
    /// Tokens times `per` in nanoseconds.
    level: u128,
    at: Duration,
}

impl TokenBucket {
    fn take(&mut self, quota: &Quota, now: Duration) -> bool {
        let (per, whole) = (quota.per.as_nanos(), u128::from(quota.burst.get()));
        let filled = (now - self.at).as_nanos() * u128::from(quota.requests.get());
        self.level = (self.level + filled).min(whole * per);
        self.at = now;
        let taken = self.level >= per;
        if taken {
            self.level -= per;
        }
        taken
    }
}

proptest! {
    /// Intervals are whole nanoseconds here, so that both count the same.
    #[test]
    fn decides_as_a_bucket_of_tokens(
        requests in prop::sample::select(vec![1u32, 2, 5, 10, 100, 1_000]),
        seconds in 1u64..100,
        burst in 1u32..20,
        steps in prop::collection::vec((0u8..4, 0u64..3_000_000_000), 1..300),
    ) {
        let quota = quota(requests, Duration::from_secs(seconds), burst);
        let buckets = Buckets::new(quota, Arc::new(KeyBudget::new(100)));
        let digests = KeyDigests::default();
        let mut reference: HashMap<u8, TokenBucket> = HashMap::new();
        let mut now = Duration::from_secs(1);
        for (caller, wait) in steps {
            now += Duration::from_nanos(wait);
            let full = quota.per.as_nanos() * u128::from(burst);
            let bucket = reference.entry(caller).or_insert(TokenBucket { level: full, at: now });
            let found = buckets.decide(digests.of(&[caller]), now);
            prop_assert_eq!(found.allowed, bucket.take(&quota, now));
            prop_assert_eq!(u128::from(found.remaining), bucket.level / quota.per.as_nanos());
            prop_assert!(!found.shared);
        }
    }

    #[test]
    fn a_refused_caller_that_waits_as_told_is_admitted(
        requests in 1u32..2_000, seconds in 1u64..3_600, burst in 1u32..50,
    ) {
        let quota = quota(requests, Duration::from_secs(seconds), burst);
        let buckets = Buckets::new(quota, Arc::new(KeyBudget::new(100)));
        let key = KeyDigests::default().of(b"ann");
        let now = Duration::from_secs(7);
        for _ in 0..burst {
            prop_assert!(buckets.decide(key, now).allowed);
        }
        let refused = buckets.decide(key, now);
        prop_assert!(!refused.allowed);
        prop_assert!(!buckets.decide(key, now + refused.retry_after - Duration::from_nanos(1)).allowed);
        prop_assert!(buckets.decide(key, now + refused.retry_after).allowed);
    }
}

#[test]
fn s48_a_million_callers_stay_in_bounded_memory() {
    let budget = Arc::new(KeyBudget::new(10_000));
    let day = Duration::from_secs(86_400);
    let buckets = Buckets::new(quota(5, day, 5), budget.clone());
    let digests = KeyDigests::default();
    let mut now = Duration::from_secs(1);
    let known = digests.of(b"known");
    assert!(buckets.decide(known, now).allowed);
    let (mut own, mut shared) = (0, 0);
    for caller in 0..1_000_000u32 {
        now += Duration::from_micros(10);
        let found = buckets.decide(digests.of(&caller.to_be_bytes()), now);
        match (found.shared, found.allowed) {
            (false, _) => own += 1,
            (true, true) => shared += 1,
            (true, false) => {}
        }
    }
    assert_eq!(own, 9_999, "as many as there was room for, beside the known one");
    assert_eq!(shared, 5, "all others together have one bucket, and never a fresh one");
    assert_eq!(budget.total(), 10_000);
    let found = buckets.decide(known, now);
    assert!(found.allowed && !found.shared && found.remaining == 3, "the known one keeps its own");

    // A day later every bucket is full, and there is room again.
    let found = buckets.decide(digests.of(b"tomorrow"), now + 2 * day);
    assert!(found.allowed && !found.shared);
    buckets.drop_full(now + 4 * day);
    assert_eq!((buckets.len(), budget.total()), (0, 0));
}

#[test]
fn s48_a_flood_at_one_limit_leaves_the_callers_of_another_their_buckets() {
    let budget = Arc::new(KeyBudget::new(1_000));
    let hour = Duration::from_secs(3_600);
    let by_address = Buckets::new(quota(10, hour, 10), budget.clone());
    let by_principal = Buckets::new(quota(10, hour, 10), budget.clone());
    let digests = KeyDigests::default();
    let now = Duration::from_secs(1);
    for caller in 0..100_000u32 {
        by_address.decide(digests.of(&caller.to_be_bytes()), now);
    }
    let own =
        (0..250u32).filter(|n| !by_principal.decide(digests.of(&n.to_be_bytes()), now).shared);
    assert_eq!(own.count(), 250);
    drop(by_address);
    assert_eq!(budget.total(), 250, "a limit that is gone leaves its room to the others");
}

#[test]
fn what_is_given_back_can_be_taken_again() {
    let buckets = Buckets::new(quota(1, Duration::from_secs(60), 1), Arc::new(KeyBudget::new(1)));
    let digests = KeyDigests::default();
    let now = Duration::from_secs(1);
    for (name, key, shared) in [("its own", "ann", false), ("the shared one", "bob", true)] {
        let key = digests.of(key.as_bytes());
        let found = buckets.decide(key, now);
        assert_eq!((found.allowed, found.shared), (true, shared), "{name}");
        assert!(!buckets.decide(key, now).allowed, "{name}");
        buckets.give_back(key, shared);
        assert!(buckets.decide(key, now).allowed, "{name}");
        assert!(!buckets.decide(key, now).allowed, "{name}");
    }
}

#[test]
fn threads_share_one_count() {
    let quota = quota(1, Duration::from_secs(3_600), 1_000);
    let buckets = Arc::new(Buckets::new(quota, Arc::new(KeyBudget::new(100))));
    let digests = Arc::new(KeyDigests::default());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (buckets, digests) = (buckets.clone(), digests.clone());
            std::thread::spawn(move || {
                let now = Duration::from_secs(1);
                (0..1_000).filter(|_| buckets.decide(digests.of(b"ann"), now).allowed).count()
            })
        })
        .collect();
    let admitted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(admitted, 1_000);
}
