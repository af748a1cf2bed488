//! The script, what it is told, and what its answer means.

use std::sync::LazyLock;
use std::time::Duration;

use rate_limit::{Decision, Quota};
use redis_link::{Command, Script};

/// What runs in the store.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("gcra.lua")));
/// A request takes at least so long, as [`rate_limit`] has it: nanoseconds.
const SHORTEST_INTERVAL: u64 = 1_000;
/// A bucket is filled in at most so long, nanoseconds: 146 years, which Lua and `PX` can both count.
const LONGEST_WHOLE: u64 = 1 << 62;

/// What a bucket holds, in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measure {
    /// The time that one request takes of it, nanoseconds.
    interval: u64,
    /// The time in which an empty one is filled, nanoseconds.
    whole: u64,
}

impl Measure {
    pub(crate) fn of(quota: &Quota) -> Self {
        let requests = u128::from(quota.requests.get());
        let interval = (quota.per.as_nanos() + requests / 2) / requests;
        let interval = u64::try_from(interval).unwrap_or(LONGEST_WHOLE);
        let interval = interval.clamp(SHORTEST_INTERVAL, LONGEST_WHOLE);
        let whole = interval.saturating_mul(u64::from(quota.burst.get())).min(LONGEST_WHOLE);
        Self { interval, whole }
    }

    /// The smallest there is: what a connection is tried with.
    pub(crate) fn probe() -> Self {
        Self { interval: SHORTEST_INTERVAL, whole: SHORTEST_INTERVAL }
    }

    /// Takes one request of a bucket.
    pub(crate) fn take(self) -> Words {
        Words { whole: self.whole.to_string(), step: self.interval.to_string() }
    }

    /// Gives one back.
    pub(crate) fn give_back(self) -> Words {
        Words { whole: self.whole.to_string(), step: format!("-{}", self.interval) }
    }

    /// What the two numbers of an answer mean; none where they mean nothing.
    pub(crate) fn decision(self, numbers: &[i64]) -> Option<Decision> {
        let [allowed, missing] = numbers else { return None };
        let allowed = match allowed {
            0 => false,
            1 => true,
            _ => return None,
        };
        let missing = u64::try_from(*missing).ok().filter(|missing| *missing <= self.whole)?;
        let remaining = (self.whole - missing) / self.interval;
        let retry_after =
            if allowed { 0 } else { (missing + self.interval).saturating_sub(self.whole) };
        Some(Decision {
            allowed,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset_after: Duration::from_nanos(missing),
            retry_after: Duration::from_nanos(retry_after),
            shared: false,
        })
    }
}

/// What the script is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    whole: String,
    step: String,
}

impl Words {
    pub(crate) fn arguments(&self) -> [&[u8]; 2] {
        [self.whole.as_bytes(), self.step.as_bytes()]
    }
}

/// The command that runs the script over one bucket.
pub(crate) fn command<'a>(bucket: &'a [&'a [u8]; 1], arguments: &'a [&'a [u8]; 2]) -> Command<'a> {
    Command::Script { script: &SCRIPT, keys: bucket, arguments }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::num::NonZeroU32;

    use super::*;

    fn measure(requests: u32, seconds: u64, burst: u32) -> Measure {
        let (requests, burst) =
            (NonZeroU32::new(requests).unwrap(), NonZeroU32::new(burst).unwrap());
        Measure::of(&Quota { requests, per: Duration::from_secs(seconds), burst })
    }

    #[test]
    fn buckets_in_time() {
        for (name, found, interval, whole) in [
            ("a hundred a minute", measure(100, 60, 50), 600_000_000, 30_000_000_000),
            ("rounded", measure(3, 1, 3), 333_333_333, 999_999_999),
            ("faster than can be counted", measure(u32::MAX, 1, 2), 1_000, 2_000),
            ("longer than can be counted", measure(1, u64::MAX, u32::MAX), 1 << 62, 1 << 62),
        ] {
            assert_eq!((found.interval, found.whole), (interval, whole), "{name}");
        }
    }

    #[test]
    fn what_the_numbers_mean() {
        let measure = measure(60, 60, 3);
        let seconds = Duration::from_secs;
        for (name, numbers, expect) in [
            ("the first", &[1, 1_000_000_000][..], Some((true, 2, seconds(1), seconds(0)))),
            ("the last", &[1, 3_000_000_000], Some((true, 0, seconds(3), seconds(0)))),
            ("refused", &[0, 3_000_000_000], Some((false, 0, seconds(3), seconds(1)))),
            ("neither", &[2, 0], None),
            ("more than the whole", &[1, 3_000_000_001], None),
            ("less than nothing", &[1, -1], None),
            ("one number", &[1], None),
            ("three", &[1, 1, 1], None),
        ] {
            let found = measure.decision(numbers);
            let found = found.map(|d| (d.allowed, d.remaining, d.reset_after, d.retry_after));
            assert_eq!(found, expect, "{name}");
        }
    }

    #[test]
    fn what_the_script_is_told() {
        let arguments = |words: Words| [words.whole, words.step];
        assert_eq!(arguments(Measure::probe().take()), ["1000", "1000"]);
        assert_eq!(arguments(measure(2, 1, 3).give_back()), ["1500000000", "-500000000"]);
    }
}
