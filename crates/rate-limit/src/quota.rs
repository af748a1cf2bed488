//! How many requests in which time: GCRA, the generic cell rate algorithm (ITU-T I.371, appendix).
//!
//! A bucket is one number, the *theoretical arrival time*: when it will be full again. A request moves it on by the time
//! in which one request is given back; it is refused where that would lead further ahead than the whole bucket takes.

use std::num::NonZeroU32;
use std::time::Duration;

/// How many requests a caller may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How many in `per`, evenly: one is given back each `per / requests`.
    pub requests: NonZeroU32,
    /// In which time. At least a microsecond a request: what is faster is counted as that.
    pub per: Duration,
    /// How many at once, after a pause.
    pub burst: NonZeroU32,
}

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is within the limit. A refused request uses up nothing.
    pub allowed: bool,
    /// How many more would be admitted now.
    pub remaining: u32,
    /// When the bucket will be full again, from now.
    pub reset_after: Duration,
    /// When the next one will be admitted, from now; zero where it was allowed.
    pub retry_after: Duration,
    /// Whether it was counted in the bucket that all callers share for whom there was no room.
    pub shared: bool,
}

impl Quota {
    /// The time in which one request is given back, in nanoseconds.
    fn interval(&self) -> u64 {
        let requests = u128::from(self.requests.get());
        let nanos = (self.per.as_nanos() + requests / 2) / requests;
        u64::try_from(nanos).unwrap_or(u64::MAX).max(1_000)
    }

    /// A part of it for each of so many counters that do not know each other; never less than one request.
    #[must_use]
    pub fn among(self, counters: NonZeroU32) -> Self {
        let part =
            |whole: NonZeroU32| NonZeroU32::new(whole.get() / counters).unwrap_or(NonZeroU32::MIN);
        if self.requests < counters {
            // Less than one in `per` for each: one in the longer time.
            let per = self.per.saturating_mul(counters.get()) / self.requests.get();
            return Self { requests: NonZeroU32::MIN, per, burst: part(self.burst) };
        }
        Self { requests: part(self.requests), burst: part(self.burst), ..self }
    }

    /// Decides one request at `now`, for a bucket that is full at `full_at` (both in nanoseconds since any start), and
    /// says when it will be full then.
    pub(crate) fn decide(&self, full_at: u64, now: u64) -> (u64, Decision) {
        let interval = self.interval();
        let whole = interval.saturating_mul(u64::from(self.burst.get()));
        let missing = full_at.saturating_sub(now);
        let then = missing.saturating_add(interval);
        let allowed = then <= whole;
        let missing = if allowed { then } else { missing };
        let remaining = whole.saturating_sub(missing) / interval;
        let decision = Decision {
            allowed,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset_after: Duration::from_nanos(missing),
            retry_after: Duration::from_nanos(if allowed { 0 } else { then - whole }),
            shared: false,
        };
        (now.saturating_add(missing), decision)
    }

    /// When a bucket will be full that gets one request back.
    pub(crate) fn give_back(&self, full_at: u64) -> u64 {
        full_at.saturating_sub(self.interval())
    }
}

/// As buckets count time.
pub(crate) fn nanos(now: Duration) -> u64 {
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn quota(requests: u32, seconds: u64, burst: u32) -> Quota {
        Quota {
            requests: NonZeroU32::new(requests).unwrap(),
            per: Duration::from_secs(seconds),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    #[test]
    fn requests_one_after_another() {
        let quota = quota(60, 60, 3);
        let mut full_at = 0;
        for (name, second, allowed, remaining, reset, retry) in [
            ("the first of a full bucket", 100, true, 2, 1, 0),
            ("the second", 100, true, 1, 2, 0),
            ("the third", 100, true, 0, 3, 0),
            ("one too many", 100, false, 0, 3, 1),
            ("and another: it has used up nothing", 100, false, 0, 3, 1),
            ("one was given back", 101, true, 0, 3, 0),
            ("none yet", 101, false, 0, 3, 1),
            ("after a long pause there is a burst, and no more", 9_000, true, 2, 1, 0),
        ] {
            let now = nanos(Duration::from_secs(second));
            let (then, found) = quota.decide(full_at, now);
            full_at = then;
            assert_eq!((found.allowed, found.remaining), (allowed, remaining), "{name}");
            assert_eq!(found.reset_after, Duration::from_secs(reset), "{name}");
            assert_eq!(found.retry_after, Duration::from_secs(retry), "{name}");
        }
    }

    #[test]
    fn a_part_for_each() {
        for (name, whole, counters, part) in [
            ("evenly", quota(100, 60, 50), 2, quota(50, 60, 25)),
            ("never more than the whole", quota(100, 60, 100), 3, quota(33, 60, 33)),
            ("one of a small burst", quota(100, 60, 1), 4, quota(25, 60, 1)),
            ("less than one in the time", quota(2, 60, 2), 4, quota(1, 120, 1)),
            ("alone", quota(7, 1, 9), 1, quota(7, 1, 9)),
        ] {
            assert_eq!(whole.among(NonZeroU32::new(counters).unwrap()), part, "{name}");
        }
    }

    #[test]
    fn s48_numbers_at_the_edge_are_finite() {
        for (requests, seconds, burst) in
            [(1, 86_400, 1_000_000), (u32::MAX, 1, u32::MAX), (1, u64::MAX, u32::MAX)]
        {
            let quota = quota(requests, seconds, burst);
            let mut full_at = 0;
            for now in [0, 1, u64::MAX - 1, u64::MAX] {
                let (then, decision) = quota.decide(full_at, now);
                assert!(decision.allowed || decision.retry_after > Duration::ZERO);
                full_at = then;
            }
        }
    }
}
