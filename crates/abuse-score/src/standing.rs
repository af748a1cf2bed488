//! What one caller has against it, and whether it is blocked.

use std::time::Duration;

use rate_limit::KeyDigest;

use crate::window::SlidingWindow;

/// A block is at most so many times as long as the first of its caller.
pub const MOST_REPEATED: u32 = 8;
/// The longest block, however long the first one is: a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbuseRules {
    /// In which time answers are counted; it slides.
    pub window: Duration,
    /// Below so many answers within it nothing is said of the refused ones among them.
    pub requests: u32,
    /// From how many refused ones in a hundred a caller is blocked.
    pub refused_percent: u32,
    /// From about how many different paths that are not there a caller is blocked; at most 500.
    pub distinct_missing: u32,
    /// How long the first block lasts. One that follows soon is twice as long as the one before, up to
    /// [`MOST_REPEATED`] times, and never longer than a day.
    pub block_for: Duration,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing that speaks against its caller.
    Accepted,
    /// It was refused.
    Refused,
    /// What it asked for is not there; this path.
    Missing(KeyDigest),
}

/// Why a caller is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockCause {
    /// Too many of its requests were refused.
    Refusals,
    /// It looked for too many things that are not there.
    Enumeration,
}

/// A block of somebody, as the one who asks calls them. Times are as they were handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<W> {
    /// Who is blocked.
    pub who: W,
    /// Why.
    pub cause: BlockCause,
    /// Since when.
    pub since: Duration,
    /// Until when.
    pub until: Duration,
    /// How many blocks of this caller were soon followed by the next one, up to this.
    pub repeated: u32,
}

/// A caller that is blocked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// For how much longer.
    pub left: Duration,
    /// Why.
    pub cause: BlockCause,
}

impl BlockCause {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refusals => "refusals",
            Self::Enumeration => "enumeration",
        }
    }
}

/// One caller.
#[derive(Debug)]
pub(crate) struct Standing<W> {
    window: SlidingWindow,
    /// The last block, as long as it lasts or makes the next one longer.
    block: Option<Box<Block<W>>>,
    is_told: bool,
}

impl<W: Clone> Standing<W> {
    pub(crate) fn new(now: Duration) -> Self {
        Self { window: SlidingWindow::new(now), block: None, is_told: true }
    }

    /// The block that lasts.
    pub(crate) fn blocked(&self, now: Duration) -> Option<&Block<W>> {
        self.block.as_deref().filter(|block| now < block.until)
    }

    /// Adds an answer, and returns the block that begins with it. Answers during a block do not count: a client that tries
    /// again and again gets out of it all the same.
    pub(crate) fn answered(
        &mut self,
        answer: Answer,
        now: Duration,
        rules: &AbuseRules,
        who: impl FnOnce() -> W,
    ) -> Option<Block<W>> {
        if self.blocked(now).is_some() {
            return None;
        }
        self.window.add(answer, now, rules.window);
        if answer == Answer::Accepted {
            // One more that is well never makes too much of what was not.
            return None;
        }
        let cause = self.cause(now, rules)?;
        let repeated = self.block.as_ref().map_or(0, |last| repeated(last, now, rules));
        let length = rules.length(repeated);
        let block = Block { who: who(), cause, since: now, until: now + length, repeated };
        self.window = SlidingWindow::new(now);
        self.block = Some(Box::new(block.clone()));
        self.is_told = false;
        Some(block)
    }

    fn cause(&mut self, now: Duration, rules: &AbuseRules) -> Option<BlockCause> {
        let seen = self.window.seen(now, rules.window);
        if seen.missing >= rules.distinct_missing {
            return Some(BlockCause::Enumeration);
        }
        let refused = u64::from(seen.refused) * 100;
        let most = u64::from(seen.answers) * u64::from(rules.refused_percent);
        (seen.answers >= rules.requests && refused >= most).then_some(BlockCause::Refusals)
    }

    /// The block that has ended and nobody was told of.
    pub(crate) fn ended(&mut self, now: Duration) -> Option<Block<W>> {
        let ended = self.block.as_deref().filter(|block| block.until <= now && !self.is_told)?;
        self.is_told = true;
        Some(ended.clone())
    }

    /// Whether it says no more than one that is not there.
    pub(crate) fn is_over(&self, now: Duration, rules: &AbuseRules) -> bool {
        let block = self.block.as_deref();
        let forgotten = block.is_none_or(|block| self.is_told && rules.is_forgotten(block, now));
        forgotten && self.window.is_over(now, rules.window)
    }

    /// What it would be a pity to forget, for comparisons: `None` for what must not be forgotten.
    pub(crate) fn weight(&self, now: Duration) -> Option<(bool, u32)> {
        let block = self.block.as_deref();
        // One whose end is to be told stays until then, too.
        if block.is_some_and(|block| now < block.until || !self.is_told) {
            return None;
        }
        Some((block.is_some(), self.window.refused()))
    }
}

impl AbuseRules {
    /// How long a block lasts.
    fn length(&self, repeated: u32) -> Duration {
        let times = 1_u32.checked_shl(repeated).unwrap_or(MOST_REPEATED).min(MOST_REPEATED);
        self.block_for.saturating_mul(times).min(LONGEST.max(self.block_for))
    }

    /// After as long without a block as the longest one takes, the next is the first again.
    fn is_forgotten<W>(&self, last: &Block<W>, now: Duration) -> bool {
        now.saturating_sub(last.until) >= self.length(MOST_REPEATED.ilog2())
    }
}

fn repeated<W>(last: &Block<W>, now: Duration, rules: &AbuseRules) -> u32 {
    match rules.is_forgotten(last, now) {
        true => 0,
        false => last.repeated.saturating_add(1).min(MOST_REPEATED.ilog2()),
    }
}
