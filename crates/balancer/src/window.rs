//! How many of the recent events there were, and how many of them failed: exact, in buckets of time.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::micros;

/// A window is counted in so many buckets, of which the newest is not yet full: it reaches back by nine to ten tenths.
const BUCKETS: usize = 10;

/// The bits of each count in a bucket: a million events; more are not counted.
const COUNT_BITS: u32 = 20;

/// The largest count.
const MOST: u64 = (1 << COUNT_BITS) - 1;

/// The bits of a bucket's number that are kept. A bucket that was not touched for 2^24 buckets (194 days, of 1 s) is
/// taken for a recent one.
const EPOCH: u64 = (1 << (64 - 2 * COUNT_BITS)) - 1;

/// Counts of a sliding window; the same length must be handed in each time. Each bucket is one word: the number of its
/// moment, all events, those that failed.
#[derive(Debug)]
pub(crate) struct Window([AtomicU64; BUCKETS]);

/// What a window has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) all: u64,
    pub(crate) failed: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Window {
    /// Counts `all` events, of which `failed` failed.
    pub(crate) fn add(&self, now: u64, length: Duration, added: Counts) {
        let number = number(now, length);
        let add = |word: u64| {
            let counts =
                if epoch(word) == number & EPOCH { counts(word) } else { Counts::default() };
            let all = counts.all.saturating_add(added.all).min(MOST);
            let failed = counts.failed.saturating_add(added.failed).min(MOST);
            Some(((number & EPOCH) << COUNT_BITS | all) << COUNT_BITS | failed)
        };
        if let Some(bucket) = self.bucket(number) {
            // It always adds.
            let _ = bucket.fetch_update(Relaxed, Relaxed, add);
        }
    }

    /// What was counted within the last `length`.
    pub(crate) fn counts(&self, now: u64, length: Duration) -> Counts {
        let newest = number(now, length);
        (newest.saturating_sub(BUCKETS as u64 - 1)..=newest).fold(
            Counts::default(),
            |sum, number| {
                let word = self.bucket(number).map_or(0, |bucket| bucket.load(Relaxed));
                match counts(word) {
                    Counts { all, failed } if epoch(word) == number & EPOCH => {
                        Counts { all: sum.all + all, failed: sum.failed + failed }
                    }
                    _ => sum,
                }
            },
        )
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        self.0.iter().for_each(|bucket| bucket.store(0, Relaxed));
    }

    fn bucket(&self, number: u64) -> Option<&AtomicU64> {
        self.0.get(usize::try_from(number % BUCKETS as u64).ok()?)
    }
}

/// The number of the bucket that a moment belongs to.
fn number(now: u64, length: Duration) -> u64 {
    now / (micros(length) / BUCKETS as u64).max(1)
}

fn epoch(word: u64) -> u64 {
    word >> (2 * COUNT_BITS)
}

fn counts(word: u64) -> Counts {
    Counts { all: word >> COUNT_BITS & MOST, failed: word & MOST }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);
    const SECOND: u64 = 1_000_000;

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let one = |failed| Counts { all: 1, failed };
        /// Events at a second, failed (1) or not.
        type Events = &'static [(u64, u64)];
        let rows: [(&str, Events, u64, Counts); 7] = [
            ("nothing", &[], 5, Counts::default()),
            ("this second", &[(5, 0)], 5, one(0)),
            ("nine seconds ago", &[(5, 1)], 14, one(1)),
            ("ten seconds ago", &[(5, 1)], 15, Counts::default()),
            ("over the end of the ring", &[(8, 0), (12, 1)], 13, Counts { all: 2, failed: 1 }),
            ("a bucket used again", &[(2, 1), (12, 0)], 12, one(0)),
            ("much later", &[(2, 1)], u64::MAX / SECOND, Counts::default()),
        ];
        for (name, events, now, expect) in rows {
            let window = Window::default();
            for (at, failed) in events {
                window.add(at * SECOND, LENGTH, one(*failed));
            }
            assert_eq!(window.counts(now * SECOND, LENGTH), expect, "{name}");
        }
    }

    #[test]
    fn counts_stop_at_their_largest() {
        let window = Window::default();
        let many = Counts { all: MOST, failed: u64::MAX };
        window.add(0, LENGTH, many);
        window.add(0, LENGTH, Counts { all: 1, failed: 1 });
        assert_eq!(window.counts(0, LENGTH), Counts { all: MOST, failed: MOST });
        window.clear();
        assert_eq!(window.counts(0, LENGTH), Counts::default());
    }

    #[test]
    fn a_window_of_no_length_is_no_division_by_zero() {
        let window = Window::default();
        window.add(7, Duration::ZERO, Counts { all: 1, failed: 0 });
        assert_eq!(window.counts(7, Duration::ZERO).all, 1);
    }

    #[test]
    fn threads_count_every_event() {
        let window = Window::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let window = &window;
                scope.spawn(move || {
                    (0..10_000)
                        .for_each(|_| window.add(0, LENGTH, Counts { all: 1, failed: thread % 2 }));
                });
            }
        });
        assert_eq!(window.counts(0, LENGTH), Counts { all: 40_000, failed: 20_000 });
    }
}
