//! Which requests a fault takes.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn rule(
    name: &str,
    headers: &[(&str, &str)],
    delay: Option<u8>,
    abort: Option<u8>,
) -> Arc<FaultRule> {
    let percentage = |percent| FaultPercentage::new(percent).unwrap();
    let header = |(name, value): &(&str, &str)| FaultHeader {
        name: (*name).into(),
        value: FaultValue::Exact((*value).into()),
    };
    let duration = Duration::from_secs(1);
    Arc::new(FaultRule {
        injection: name.into(),
        headers: headers.iter().map(header).collect(),
        delay: delay.map(|p| FaultDelay { percentage: percentage(p), duration }),
        abort: abort
            .map(|p| FaultAbort { percentage: percentage(p), status: AbortStatus::Http(503) }),
    })
}

fn request(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_first_rule_about_a_request_decides_alone() {
    let faults = Faults::new(vec![
        rule("web/slow", &[("x-test", "slow"), ("x-user", "ann")], Some(100), None),
        rule("web/test", &[("x-test", "slow")], None, Some(1)),
        rule("web/rest", &[("x-rest", "1")], None, Some(100)),
    ]);
    for (row, headers, random, expect) in [
        (
            "both headers",
            &[("x-test", "slow"), ("x-user", "ann")][..],
            0,
            Some(("web/slow", true, false)),
        ),
        ("one of them", &[("x-test", "slow")], 0, Some(("web/test", false, true))),
        ("one of them, spared", &[("x-test", "slow")], u64::MAX, None),
        (
            "spared, and the next is not asked",
            &[("x-test", "slow"), ("x-rest", "1")],
            u64::MAX,
            None,
        ),
        ("the last", &[("x-rest", "1")], u64::MAX, Some(("web/rest", false, true))),
        ("another value", &[("x-rest", "12")], 0, None),
        ("a value twice", &[("x-rest", "1"), ("x-rest", "1")], 0, None),
        ("none", &[], 0, None),
    ] {
        let headers = request(headers);
        let found = faults.decide(&headers, random);
        let found = found.map(|f| (&**f.injection, f.delay.is_some(), f.abort.is_some()));
        assert_eq!(found, expect, "{row}");
    }
}

#[test]
fn an_expression_is_about_the_whole_value() {
    let header = FaultHeader {
        name: "x-test".into(),
        value: FaultValue::Matching(RegularExpression::parse("slow-[0-9]+").unwrap()),
    };
    let mut one = (*rule("web/slow", &[], Some(100), None)).clone();
    one.headers = vec![header];
    let faults = Faults::new(vec![Arc::new(one)]);
    for (value, expect) in
        [("slow-12", true), ("slow-", false), ("xslow-1", false), ("slow-1x", false)]
    {
        let taken = faults.decide(&request(&[("x-test", value)]), 0).is_some();
        assert_eq!(taken, expect, "{value}");
    }
}

#[test]
fn a_percentage_takes_its_share() {
    for percent in [1u8, 10, 50, 99, 100] {
        let faults = Faults::new(vec![rule("web/f", &[], Some(percent), None)]);
        // Evenly spread numbers, a thousand of them.
        let drawn = (0..1000u64).map(|n| n * (u64::MAX / 1000));
        let taken = drawn.filter(|random| faults.decide(&(), *random).is_some()).count();
        assert!(taken.abs_diff(usize::from(percent) * 10) <= 1, "{percent}: {taken}");
    }
}

proptest! {
    /// Delay and abort are independent: each takes its share whatever the other's half of the number is.
    #[test]
    fn halves_are_independent(random in any::<u64>()) {
        let both = Faults::new(vec![rule("f", &[], Some(30), Some(70))]);
        let delay = u64::from(u32::try_from(random >> 32).unwrap()) * 100 < 30u64 << 32;
        let abort = (random & u64::from(u32::MAX)) * 100 < 70u64 << 32;
        let found = both.decide(&(), random).map(|f| (f.delay.is_some(), f.abort.is_some()));
        prop_assert_eq!(found.unwrap_or_default(), (delay, abort));
    }
}
