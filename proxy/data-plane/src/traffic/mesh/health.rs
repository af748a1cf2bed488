//! Whether a destination is worth an attempt, by the results of earlier attempts. Pure: times are passed in, coarse
//! seconds of the process clock.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The recent results of a destination, as one worker saw them.
///
/// One that could not be reached, or whose proxy could not reach the app, *is ejected*: others are preferred for a
/// while. One that failed just after it had answered may be about to be replaced by another (a rollout, of which the
/// proxy learns a moment late): for that it is worth *waiting* a moment.
#[derive(Debug, Default)]
pub struct DestinationHealth {
    /// Second of the last answer, plus one; 0 for none.
    answered: AtomicU32,
    /// Second of the first failure since then, plus one; 0 for none.
    gone: AtomicU32,
    /// Second of the last failure, plus one; 0 for none.
    failed: AtomicU32,
}

/// How long a destination without connections is remembered, seconds: longer than any wait.
const REMEMBERED: u32 = 60;

impl DestinationHealth {
    /// It has answered.
    pub fn answered(&self, now: u32) {
        self.answered.store(now + 1, Relaxed);
        if self.failed.load(Relaxed) != 0 {
            self.gone.store(0, Relaxed);
            self.failed.store(0, Relaxed);
        }
    }

    /// It, or the app behind it, could not be reached.
    pub fn failed(&self, now: u32) {
        self.failed.store(now + 1, Relaxed);
        if self.gone.load(Relaxed) == 0 {
            self.gone.store(now + 1, Relaxed);
        }
    }

    /// Whether others are to be preferred: it failed within the last `ejection` seconds.
    #[must_use]
    pub fn is_ejected(&self, now: u32, ejection: u32) -> bool {
        let failed = self.failed.load(Relaxed);
        failed != 0 && now < failed - 1 + ejection
    }

    /// Whether it had answered before and first failed within the last `wait` seconds.
    #[must_use]
    pub fn has_just_gone(&self, now: u32, wait: u32) -> bool {
        let gone = self.gone.load(Relaxed);
        gone != 0 && self.answered.load(Relaxed) != 0 && now <= gone - 1 + wait
    }

    /// Whether its results are still of use.
    #[must_use]
    pub fn is_recent(&self, now: u32) -> bool {
        let last = self.answered.load(Relaxed).max(self.failed.load(Relaxed));
        last != 0 && now < last - 1 + REMEMBERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One result of a destination.
    enum HealthSample {
        Answered(u32),
        Failed(u32),
    }
    use HealthSample::{Answered, Failed};

    #[test]
    fn is_ejected_after_a_failure_and_waited_for_only_when_it_was_there() {
        type Row = (&'static str, &'static [HealthSample], u32, (bool, bool));
        let rows: [Row; 9] = [
            ("nothing known", &[], 10, (false, false)),
            ("it answers", &[Answered(9)], 10, (false, false)),
            ("never there", &[Failed(10)], 10, (true, false)),
            ("just gone", &[Answered(9), Failed(10)], 10, (true, true)),
            ("gone for the longest wait", &[Answered(9), Failed(10)], 12, (true, true)),
            ("gone for longer", &[Answered(9), Failed(10)], 13, (true, false)),
            ("fails on", &[Answered(9), Failed(10), Failed(14)], 14, (true, false)),
            ("the ejection is over", &[Answered(9), Failed(10)], 15, (false, false)),
            ("there again", &[Answered(9), Failed(10), Answered(11)], 11, (false, false)),
        ];
        for (name, did, now, expect) in rows {
            let health = DestinationHealth::default();
            for one in did {
                match one {
                    Answered(at) => health.answered(*at),
                    Failed(at) => health.failed(*at),
                }
            }
            assert_eq!((health.is_ejected(now, 5), health.has_just_gone(now, 2)), expect, "{name}");
        }
    }

    #[test]
    fn is_remembered_for_a_minute() {
        let health = DestinationHealth::default();
        assert!(!health.is_recent(0));
        health.failed(0);
        assert!(health.is_recent(59) && !health.is_recent(60));
    }
}
