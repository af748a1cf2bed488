//! The waits between tries that fail: each twice as long as the one before, up to a longest one, and spread so that a
//! fleet does not come back in one moment.
//!
//! There is no clock and no randomness in it: the caller sleeps, says when a try went well, and hands in the chance.
//!
//! ```
//! use std::time::Duration;
//! use back_off::{BackOff, spread};
//!
//! let mut back_off = BackOff::new(Duration::from_secs(1), Duration::from_secs(5));
//! let waits: Vec<u64> = (0..5).map(|_| back_off.next_wait().as_secs()).collect();
//! assert_eq!(waits, [1, 2, 4, 5, 5]);
//! back_off.reset();
//! assert_eq!(spread(back_off.next_wait(), 0.75..=1.25, 1.0), Duration::from_millis(1250));
//! ```

use std::ops::RangeInclusive;
use std::time::Duration;

/// 2^20 times the first wait is longer than any longest one.
const MOST_DOUBLINGS: u32 = 20;

/// How long to wait after a failure, and after the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackOff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl BackOff {
    /// Waits from `first` to `longest`, none of them taken yet.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        self.next_wait_within(self.longest)
    }

    /// The wait after one more failure where the longest one depends on the moment.
    pub fn next_wait_within(&mut self, longest: Duration) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.doubled(self.failures).min(longest)
    }

    /// The wait after so many failures in a row, for those who count them themselves; the first one for none.
    #[must_use]
    pub fn wait_after(&self, failures: u32) -> Duration {
        self.doubled(failures).min(self.longest)
    }

    fn doubled(&self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.saturating_sub(1).min(MOST_DOUBLINGS))
    }

    /// A try went well: the next wait is the first one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How many waits there were since the beginning or the last [`Self::reset`].
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// The wait times a factor within `factors`, by `chance`, which is 0 for the smallest and 1 for the largest. What is no
/// such number counts as the middle.
#[must_use]
pub fn spread(wait: Duration, factors: RangeInclusive<f64>, chance: f64) -> Duration {
    let chance = if chance.is_nan() { 0.5 } else { chance.clamp(0.0, 1.0) };
    let (least, most) = (factors.start().max(0.0), factors.end().max(0.0));
    let factor = least + (most - least).max(0.0) * chance;
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut back_off = BackOff::new(Duration::from_millis(200), Duration::from_secs(15));
        let mut next = || back_off.next_wait().as_millis();
        let waits: Vec<u128> = (0..9).map(|_| next()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000]);
        assert_eq!(back_off.failures(), 9);
        let after = |failures| back_off.wait_after(failures).as_millis();
        assert_eq!([0, 1, 2, 7, 8].map(after), [200, 200, 400, 12_800, 15_000]);
        back_off.reset();
        assert_eq!(back_off.next_wait(), Duration::from_millis(200));
        assert_eq!(back_off.next_wait_within(Duration::from_millis(300)).as_millis(), 300);
        assert_eq!(back_off.next_wait().as_millis(), 800, "a shorter bound was one wait long");
    }

    #[test]
    fn failures_without_end_stay_at_the_longest() {
        let longest = Duration::from_secs(u64::MAX);
        let mut back_off = BackOff::new(Duration::MAX, longest);
        back_off.failures = u32::MAX;
        assert_eq!(back_off.next_wait(), longest);
        assert_eq!(back_off.failures(), u32::MAX);
    }

    #[test]
    fn chance_moves_the_wait_within_its_factors() {
        let check = |factors, chance, expect: u64| {
            let wait = spread(Duration::from_secs(100), factors, chance);
            assert_eq!(wait.as_secs(), expect, "{chance}");
        };
        check(0.75..=1.25, 0.0, 75);
        check(0.75..=1.25, 0.5, 100);
        check(0.75..=1.25, 1.0, 125);
        check(0.5..=1.0, 0.5, 75);
        check(0.9..=1.0, 7.0, 100);
        check(0.75..=1.25, f64::NAN, 100);
        check(0.75..=1.25, f64::INFINITY, 125);
        check(-1.0..=1.0, 0.0, 0);
        assert_eq!(spread(Duration::MAX, 0.75..=1.25, 1.0), Duration::MAX);
    }
}
