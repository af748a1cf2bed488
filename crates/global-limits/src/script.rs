//! The script, the commands that run it, and what its answer means.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rate_limit::{Decision, Quota};

use crate::bucket::Bucket;

/// What runs in the store.
const SCRIPT: &str = include_str!("gcra.lua");
/// Its name there: SHA-1, as `EVALSHA` wants it. Nothing is proved by it.
static SCRIPT_NAME: LazyLock<String> = LazyLock::new(|| {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, SCRIPT.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
});
/// A request takes at least so long, as [`rate_limit`] has it: nanoseconds.
const SHORTEST_INTERVAL: u64 = 1_000;
/// A bucket is filled in at most so long, nanoseconds: 146 years, which Lua and `PX` can both count.
const LONGEST_WHOLE: u64 = 1 << 62;

/// How the store is asked for the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// By its name: short.
    ByName,
    /// With its text, which the store then knows by name.
    WithText,
}

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

    /// The command that takes one request of the bucket.
    pub(crate) fn take(self, call: Call, bucket: &Bucket) -> Vec<u8> {
        self.command(call, bucket, &self.interval.to_string())
    }

    /// The command that gives one back.
    pub(crate) fn give_back(self, call: Call, bucket: &Bucket) -> Vec<u8> {
        self.command(call, bucket, &format!("-{}", self.interval))
    }

    fn command(self, call: Call, bucket: &Bucket, step: &str) -> Vec<u8> {
        let (verb, script) = match call {
            Call::ByName => ("EVALSHA", SCRIPT_NAME.as_str()),
            Call::WithText => ("EVAL", SCRIPT),
        };
        let whole = self.whole.to_string();
        command(&[
            verb.as_bytes(),
            script.as_bytes(),
            b"1",
            bucket.key(),
            whole.as_bytes(),
            step.as_bytes(),
        ])
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

/// A command as the protocol has it: a list of strings, each with its length.
pub(crate) fn command(words: &[&[u8]]) -> Vec<u8> {
    // A length has at most 20 digits, and 5 bytes around it.
    let length = words.iter().map(|word| word.len() + 25).sum::<usize>() + 25;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
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
    fn commands_as_the_protocol_has_them() {
        assert_eq!(command(&[b"AUTH", b"a\r\nb"]), b"*2\r\n$4\r\nAUTH\r\n$4\r\na\r\nb\r\n");
        let bucket = Bucket::probe("p");
        let text = String::from_utf8(Measure::probe().take(Call::ByName, &bucket)).unwrap();
        let end = "\r\n$1\r\n1\r\n$9\r\n{p:probe}\r\n$4\r\n1000\r\n$4\r\n1000\r\n";
        assert!(
            text.starts_with("*6\r\n$7\r\nEVALSHA\r\n$40\r\n") && text.ends_with(end),
            "{text}"
        );
        let text = String::from_utf8(Measure::probe().give_back(Call::WithText, &bucket)).unwrap();
        assert!(text.contains(SCRIPT) && text.ends_with("$5\r\n-1000\r\n"), "{text}");
    }
}
