//! How far this machine's clock stands from the authority's. Certificates and tokens mean the wall
//! clock, so a wrong one looks like a wrong certificate; every error where time is the cause says
//! what was measured.

use std::fmt;
use std::time::Duration;

use crate::renewal::rotation::ClockReading;

/// A difference below this is not reported, milliseconds. The authority's answer tells whole
/// seconds, and leaves are back-dated by a minute.
const TOLERATED: u64 = 10_000;

/// Our clock minus the authority's, in milliseconds: positive when ours is ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSkew(i64);

impl ClockSkew {
    /// From an answer: `server_time` in Unix seconds, cut to whole ones, against the middle between
    /// question and answer. Nothing when the authority told no time.
    #[must_use]
    pub fn measured(asked: ClockReading, answered: ClockReading, server_time: i64) -> Option<Self> {
        let round_trip = answered.monotonic.saturating_duration_since(asked.monotonic);
        Self::at(answered.unix_millis().checked_sub(millis(round_trip / 2))?, server_time)
    }

    /// From a message that was not asked for: its way is not known, and taken as nothing.
    #[must_use]
    pub fn of_message(received: ClockReading, server_time: i64) -> Option<Self> {
        Self::at(received.unix_millis(), server_time)
    }

    fn at(ours: i64, server_time: i64) -> Option<Self> {
        if server_time <= 0 {
            return None;
        }
        // Half a second is what the cut takes away on average.
        let theirs = server_time.checked_mul(1000)?.checked_add(500)?;
        ours.checked_sub(theirs).map(Self)
    }

    /// Milliseconds; positive when our clock is ahead.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Seconds; positive when our clock is ahead.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "for people and gauges")]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Whether the difference is large enough to report.
    #[must_use]
    pub fn matters(self) -> bool {
        self.0.unsigned_abs() > TOLERATED
    }

    /// The end of a sentence about a failure that time may have caused; empty when the clocks agree.
    #[must_use]
    pub fn remark(skew: Option<Self>) -> String {
        match skew {
            Some(skew) if skew.matters() => format!("; {skew}"),
            _ => String::new(),
        }
    }
}

impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.0 < 0 { "behind" } else { "ahead of" };
        let seconds = self.0.unsigned_abs().saturating_add(500) / 1000;
        write!(f, "our clock is {seconds}s {direction} the authority's")
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::time::{Instant, SystemTime};

    use super::*;

    #[test]
    fn f07_the_clocks_are_compared_at_the_middle_of_the_question() {
        let begin = Instant::now();
        let at = |unix_millis: u64, elapsed: u64| ClockReading {
            wall: SystemTime::UNIX_EPOCH + Duration::from_millis(unix_millis),
            monotonic: begin + Duration::from_millis(elapsed),
            boot: None,
        };
        let check = |answered: u64, elapsed: u64, server: i64, expect: Option<(i64, &str)>| {
            let skew = ClockSkew::measured(at(0, 0), at(answered, elapsed), server);
            assert_eq!(skew.map(ClockSkew::millis), expect.map(|(millis, _)| millis), "{server}");
            assert_eq!(
                ClockSkew::remark(skew),
                expect.map_or("", |(_, remark)| remark),
                "{server}"
            );
        };
        check(1_000_500, 0, 1000, Some((0, "")));
        check(1_002_500, 4000, 1000, Some((0, "")));
        check(1_011_000, 0, 1000, Some((10_500, "; our clock is 11s ahead of the authority's")));
        check(
            1_000_500,
            0,
            4600,
            Some((-3_600_000, "; our clock is 3600s behind the authority's")),
        );
        check(1_000_500, 0, 0, None);
        check(1_000_500, 0, i64::MAX, None);
    }
}
