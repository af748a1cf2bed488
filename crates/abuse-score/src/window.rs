//! What a caller was answered within the last time: a window that slides, kept as two that follow each other.

use std::time::Duration;

use crate::distinct::DistinctSet;
use crate::standing::Answer;

/// Two windows: the one that is open, and the one before it, of which as much counts as the last time still covers.
#[derive(Debug, Default)]
pub(crate) struct SlidingWindow {
    began: Duration,
    open: AnswerCounts,
    before: AnswerCounts,
    /// What was missing, in each; most callers have none.
    missing: Option<Box<MissingPaths>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct AnswerCounts {
    answers: u32,
    refused: u32,
}

#[derive(Debug, Default)]
struct MissingPaths {
    open: DistinctSet,
    before: DistinctSet,
}

/// What the last time holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) answers: u32,
    pub(crate) refused: u32,
    pub(crate) missing: u32,
}

impl SlidingWindow {
    pub(crate) fn new(now: Duration) -> Self {
        Self { began: now, ..Self::default() }
    }

    /// Adds an answer.
    pub(crate) fn add(&mut self, answer: Answer, now: Duration, length: Duration) {
        self.slide(now, length);
        self.open.answers = self.open.answers.saturating_add(1);
        match answer {
            Answer::Accepted => return,
            Answer::Refused => {}
            Answer::Missing(path) => self.missing.get_or_insert_default().open.add(path),
        }
        self.open.refused = self.open.refused.saturating_add(1);
    }

    /// What the last `length` holds.
    pub(crate) fn seen(&mut self, now: Duration, length: Duration) -> Seen {
        self.slide(now, length);
        let covered = length.saturating_sub(now.saturating_sub(self.began));
        let part = |count: u32| part_of(count, covered, length);
        let missing = self.missing.as_ref().map_or(0, |missing| {
            let open = missing.open.len();
            let earlier = missing.open.len_with(&missing.before).saturating_sub(open);
            open.saturating_add(part(earlier))
        });
        Seen {
            answers: self.open.answers.saturating_add(part(self.before.answers)),
            refused: self.open.refused.saturating_add(part(self.before.refused)),
            missing,
        }
    }

    /// Whether nothing of it counts any more.
    pub(crate) fn is_over(&self, now: Duration, length: Duration) -> bool {
        now.saturating_sub(self.began) >= length.saturating_mul(2)
    }

    /// How much speaks against the caller, roughly.
    pub(crate) fn refused(&self) -> u32 {
        self.open.refused.saturating_add(self.before.refused)
    }

    fn slide(&mut self, now: Duration, length: Duration) {
        if self.is_over(now, length) {
            *self = Self::new(now);
        } else if now.saturating_sub(self.began) >= length {
            self.began = self.began.saturating_add(length);
            self.before = std::mem::take(&mut self.open);
            if let Some(missing) = &mut self.missing {
                missing.before = std::mem::take(&mut missing.open);
            }
        }
    }
}

/// As much of a count as one time is of another, rounded up: what is nearly over counts to the end.
fn part_of(count: u32, covered: Duration, length: Duration) -> u32 {
    let part = (u128::from(count) * covered.as_nanos()).div_ceil(length.as_nanos().max(1));
    u32::try_from(part).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_window_slides() {
        for (name, at, expect) in [
            ("at once", 0, (10, 5)),
            ("to its end", 59, (10, 5)),
            ("half of it is left", 90, (5, 3)),
            ("a moment of it", 119, (1, 1)),
            ("nothing", 120, (0, 0)),
            ("nothing, much later", 1_000_000, (0, 0)),
        ] {
            let mut window = SlidingWindow::new(Duration::ZERO);
            for number in 0..10 {
                let answer = if number % 2 == 0 { Answer::Refused } else { Answer::Accepted };
                window.add(answer, Duration::ZERO, MINUTE);
            }
            let seen = window.seen(Duration::from_secs(at), MINUTE);
            assert_eq!((seen.answers, seen.refused), expect, "{name}");
        }
    }

    #[test]
    fn what_was_missing_slides_too_and_counts_once() {
        let digests = rate_limit::KeyDigests::default();
        let mut window = SlidingWindow::new(Duration::ZERO);
        let ask = |window: &mut SlidingWindow, seconds| {
            for id in 0..8_u32 {
                let path = digests.of(&id.to_be_bytes());
                window.add(Answer::Missing(path), Duration::from_secs(seconds), MINUTE);
            }
            window.seen(Duration::from_secs(seconds), MINUTE).missing
        };
        let first = ask(&mut window, 0);
        assert!((4..=12).contains(&first), "{first}");
        assert_eq!(ask(&mut window, 30), first, "the same again");
        assert_eq!(ask(&mut window, 70), first, "in the next window as well");
        assert_eq!(window.seen(Duration::from_secs(500), MINUTE).missing, 0);
    }

    #[test]
    fn time_that_goes_back_is_no_other_time() {
        let mut window = SlidingWindow::new(Duration::from_secs(10));
        window.add(Answer::Refused, Duration::from_secs(9), MINUTE);
        assert_eq!(window.seen(Duration::from_secs(9), MINUTE).refused, 1);
    }
}
