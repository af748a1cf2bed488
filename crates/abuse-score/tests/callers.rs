//! Who is blocked, for how long, and what a flood of callers changes about it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use abuse_score::{AbuseRules, Answer, Block, BlockCause, Callers};
use rate_limit::{KeyDigest, KeyDigests};

const RULES: AbuseRules = AbuseRules {
    window: Duration::from_secs(60),
    requests: 20,
    refused_percent: 50,
    distinct_missing: 30,
    block_for: Duration::from_secs(300),
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A caller, and the answers that it gets.
struct Asked<'c> {
    callers: &'c Callers<&'static str>,
    digests: &'c KeyDigests,
    caller: KeyDigest,
}

impl Asked<'_> {
    fn get(&self, answer: Answer, now: Duration) -> Option<Block<&'static str>> {
        self.callers.answered(self.caller, answer, now, || "caller")
    }

    fn enumerate(&self, paths: u32, now: Duration) -> Option<Block<&'static str>> {
        (0..paths).find_map(|id| {
            let path = self.digests.of(&id.to_be_bytes());
            self.get(Answer::Missing(path), now)
        })
    }
}

#[test]
fn what_is_too_much() {
    let check = |name: &str, accepted: u32, refused: u32, missing: u32, same: u32, expect| {
        let (callers, digests) = (Callers::new(RULES, 100), KeyDigests::default());
        let asked = Asked { callers: &callers, digests: &digests, caller: digests.of(b"a") };
        let now = seconds(5);
        let mut blocks = Vec::new();
        (0..accepted).for_each(|_| blocks.extend(asked.get(Answer::Accepted, now)));
        (0..refused).for_each(|_| blocks.extend(asked.get(Answer::Refused, now)));
        blocks.extend(asked.enumerate(missing, now));
        let one = digests.of(b"one");
        (0..same).for_each(|_| blocks.extend(asked.get(Answer::Missing(one), now)));
        assert_eq!(blocks.first().map(|block| block.cause), expect, "{name}");
        assert!(blocks.len() <= 1, "{name}: one block, not {}", blocks.len());
        assert_eq!(callers.blocked(asked.caller, now).map(|b| b.cause), expect, "{name}");
    };
    let refusals = Some(BlockCause::Refusals);
    check("nothing", 0, 0, 0, 0, None);
    check("well behaved", 10_000, 0, 0, 0, None);
    check("few refusals", 100, 90, 0, 0, None);
    check("as many refusals as answers", 100, 100, 0, 0, refusals);
    check("refusals alone, fewer than are looked at", 0, 19, 0, 0, None);
    check("refusals alone", 0, 20, 0, 0, refusals);
    check(
        "many paths that are not there, among many that are",
        1_000,
        0,
        60,
        0,
        Some(BlockCause::Enumeration),
    );
    check("some paths that are not there", 1_000, 0, 15, 0, None);
    check("one path that is not there, over and over", 1_000, 0, 0, 300, None);
}

#[test]
fn a_block_ends_and_the_next_is_longer_up_to_a_bound() {
    let (callers, digests) = (Callers::new(RULES, 100), KeyDigests::default());
    let asked = Asked { callers: &callers, digests: &digests, caller: digests.of(b"a") };
    let mut now = seconds(1);
    for (length, repeated) in [(300, 0), (600, 1), (1200, 2), (2400, 3), (2400, 3)] {
        let block = asked.enumerate(60, now).unwrap();
        assert_eq!((block.until - block.since, block.repeated), (seconds(length), repeated));
        assert_eq!(callers.blocked(asked.caller, now).unwrap().left, seconds(length));
        assert!(asked.enumerate(500, now).is_none(), "what comes during a block is not counted");
        assert_eq!(callers.sweep(now).ended, []);
        now += seconds(length) - Duration::from_nanos(1);
        assert!(callers.blocked(asked.caller, now).is_some());
        now += Duration::from_nanos(1);
        assert!(callers.blocked(asked.caller, now).is_none());
        let ended = callers.sweep(now).ended;
        assert_eq!(ended, [block], "told once");
        assert_eq!(callers.sweep(now).ended, []);
    }
    now += seconds(2400);
    assert_eq!(
        asked.enumerate(60, now).unwrap().repeated,
        0,
        "after as long, it is the first again"
    );
}

#[test]
fn no_block_is_longer_than_a_day() {
    let rules = AbuseRules { block_for: seconds(80_000), ..RULES };
    let (callers, digests) = (Callers::new(rules, 100), KeyDigests::default());
    let asked = Asked { callers: &callers, digests: &digests, caller: digests.of(b"a") };
    let first = asked.enumerate(60, seconds(1)).unwrap();
    let second = asked.enumerate(60, first.until).unwrap();
    assert_eq!(second.until - second.since, seconds(86_400));
}

#[test]
fn nothing_is_kept_of_what_is_over() {
    let (callers, digests) = (Callers::new(RULES, 1_000), KeyDigests::default());
    for id in 0..500_u32 {
        callers.answered(digests.of(&id.to_be_bytes()), Answer::Refused, seconds(1), || "x");
    }
    assert!(callers.len() > 400);
    callers.sweep(seconds(60));
    assert!(callers.len() > 400, "it still counts");
    callers.sweep(seconds(121));
    assert!(callers.is_empty());
}

#[test]
fn s48_a_million_callers_take_bounded_memory_and_end_no_block() {
    const ROOM: usize = 10_000;
    let (callers, digests) = (Callers::new(RULES, ROOM), KeyDigests::default());
    let now = seconds(1);
    let asked = Asked { callers: &callers, digests: &digests, caller: digests.of(b"attacker") };
    asked.enumerate(60, now).unwrap();
    let suspect = Asked { caller: digests.of(b"suspect"), ..asked };
    (0..19).for_each(|_| assert!(suspect.get(Answer::Refused, now).is_none()));
    for id in 0..1_000_000_u32 {
        let caller = digests.of(&id.to_be_bytes());
        callers.answered(caller, Answer::Accepted, now, || "x");
        assert!(id % 100_000 != 0 || callers.len() <= ROOM);
    }
    assert!(callers.len() <= ROOM);
    assert!(callers.blocked(asked.caller, now).is_some(), "a blocked caller stays blocked");
    assert!(
        suspect.get(Answer::Refused, now).is_some(),
        "who has something against it gives way last"
    );
}

#[test]
fn s48_where_all_are_blocked_a_new_caller_is_let_in_and_not_counted() {
    let (callers, digests) = (Callers::new(RULES, 1), KeyDigests::default());
    let now = seconds(1);
    let blocked: Vec<_> = (0..1_000_u32)
        .map(|id| Asked {
            callers: &callers,
            digests: &digests,
            caller: digests.of(&id.to_be_bytes()),
        })
        .filter(|asked| asked.enumerate(60, now).is_some())
        .collect();
    assert_eq!((blocked.len(), callers.len()), (32, 32), "one a part");
    assert!(blocked.iter().all(|asked| callers.blocked(asked.caller, now).is_some()));
    assert_eq!(callers.blocks(now, 10), (callers.blocks(now, 32).0[..10].to_vec(), 32));
}
