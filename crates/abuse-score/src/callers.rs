//! All callers that one set of rules is about, in bounded memory.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use indexmap::IndexMap;
use parking_lot::Mutex;
use rate_limit::{ByDigest, KeyDigest};

use crate::standing::{AbuseRules, Answer, Block, Blocked, Standing};

/// How many parts a table has, each with its own lock: as many threads seldom meet in one.
const PARTS: usize = 32;
/// How many callers are looked at whenever there is to be room for another.
const LOOKED_AT: usize = 8;

/// What callers were answered, and which of them are blocked.
#[derive(Debug)]
pub struct Callers<W> {
    rules: AbuseRules,
    /// How many callers a part keeps.
    room: AtomicUsize,
    parts: [Mutex<Part<W>>; PARTS],
}

/// What was found when everybody was looked at.
#[derive(Debug)]
pub struct Sweep<W> {
    /// The blocks that have ended by themselves since the last time.
    pub ended: Vec<Block<W>>,
    /// How many callers are kept.
    pub callers: usize,
    /// How many of them are blocked.
    pub blocked: usize,
}

#[derive(Debug)]
struct Part<W> {
    standings: IndexMap<KeyDigest, Standing<W>, ByDigest>,
    /// Where the next one is looked for that may be forgotten.
    hand: usize,
}

impl<W: Clone> Callers<W> {
    /// Nobody yet; at most so many are kept.
    #[must_use]
    pub fn new(rules: AbuseRules, room: usize) -> Self {
        let callers = Self {
            rules,
            room: AtomicUsize::new(0),
            parts: std::array::from_fn(|_| Mutex::new(Part::empty())),
        };
        callers.set_room(room);
        callers
    }

    /// What is too much.
    #[must_use]
    pub fn rules(&self) -> &AbuseRules {
        &self.rules
    }

    /// From now on so many are kept; where there are more, they stay until they say nothing any more.
    pub fn set_room(&self, callers: usize) {
        self.room.store((callers / PARTS).max(1), Relaxed);
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().standings.len()).sum()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a caller is blocked, and for how much longer.
    pub fn blocked(&self, caller: KeyDigest, now: Duration) -> Option<Blocked> {
        let part = self.part(caller).lock();
        let block = part.standings.get(&caller)?.blocked(now)?;
        Some(Blocked { left: block.until.saturating_sub(now), cause: block.cause })
    }

    /// Adds an answer of a caller, and returns the block that begins with it. `who` is asked for only then.
    ///
    /// A caller that there is no room for is not counted: where all others that were looked at are blocked.
    pub fn answered(
        &self,
        caller: KeyDigest,
        answer: Answer,
        now: Duration,
        who: impl FnOnce() -> W,
    ) -> Option<Block<W>> {
        let mut part = self.part(caller).lock();
        if let Some(standing) = part.standings.get_mut(&caller) {
            return standing.answered(answer, now, &self.rules, who);
        }
        if part.standings.len() >= self.room.load(Relaxed) && !part.make_room(now, &self.rules) {
            return None;
        }
        let standing = part.standings.entry(caller).or_insert_with(|| Standing::new(now));
        standing.answered(answer, now, &self.rules, who)
    }

    /// Forgets everybody of whom nothing counts any more, and tells what has changed since the last time.
    pub fn sweep(&self, now: Duration) -> Sweep<W> {
        let mut sweep = Sweep { ended: Vec::new(), callers: 0, blocked: 0 };
        for part in &self.parts {
            let mut part = part.lock();
            part.standings.retain(|_, standing| {
                sweep.ended.extend(standing.ended(now));
                sweep.blocked += usize::from(standing.blocked(now).is_some());
                !standing.is_over(now, &self.rules)
            });
            sweep.callers += part.standings.len();
            let room = part.standings.len().saturating_mul(2);
            part.standings.shrink_to(room);
        }
        sweep
    }

    /// The blocks that last, the latest first, at most so many; and how many there are.
    #[must_use]
    pub fn blocks(&self, now: Duration, most: usize) -> (Vec<Block<W>>, usize) {
        let mut all = Vec::new();
        for part in &self.parts {
            let part = part.lock();
            all.extend(
                part.standings.values().filter_map(|standing| standing.blocked(now)).cloned(),
            );
        }
        let count = all.len();
        all.sort_by_key(|block| std::cmp::Reverse(block.since));
        all.truncate(most);
        (all, count)
    }

    fn part(&self, caller: KeyDigest) -> &Mutex<Part<W>> {
        &self.parts[caller.part(PARTS)]
    }
}

impl<W: Clone> Part<W> {
    fn empty() -> Self {
        Self { standings: IndexMap::default(), hand: 0 }
    }

    /// Looks at a few callers, each in its turn, and forgets those who may be; if there is none, the one with the least
    /// against it that is not blocked. Whether there is room then.
    fn make_room(&mut self, now: Duration, rules: &AbuseRules) -> bool {
        let mut least: Option<((bool, u32), KeyDigest)> = None;
        for _ in 0..LOOKED_AT {
            if self.hand >= self.standings.len() {
                self.hand = 0;
            }
            let Some((caller, standing)) = self.standings.get_index(self.hand) else { return true };
            if standing.is_over(now, rules) {
                self.standings.swap_remove_index(self.hand);
                return true;
            }
            if let Some(weight) = standing.weight(now)
                && least.is_none_or(|(least, _)| weight < least)
            {
                least = Some((weight, *caller));
            }
            self.hand += 1;
        }
        least.is_some_and(|(_, caller)| self.standings.swap_remove(&caller).is_some())
    }
}
