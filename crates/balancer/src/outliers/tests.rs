#![allow(clippy::unwrap_used)]

use super::*;
use crate::settings::SuccessRate;
use Outcome::{Cancelled, GatewayError, Overloaded, ServerError, Success, Unreachable};

const SECOND: u64 = 1_000_000;

/// Results, each so many times.
type Results = &'static [(usize, Outcome)];

fn limit(value: u16) -> Option<NonZeroU16> {
    NonZeroU16::new(value)
}

/// What the last of these results, one each hundredth of a second, leads to.
fn last(results: &[(usize, Outcome)], settings: &OutlierDetection) -> Option<EjectionCause> {
    let record = OutlierRecord::default();
    let each = results.iter().flat_map(|(times, outcome)| std::iter::repeat_n(*outcome, *times));
    let causes = each.zip(0..).map(|(outcome, at)| record.record(at * 10_000, outcome, settings));
    causes.last().flatten()
}

#[test]
fn an_endpoint_is_ejected_for_errors_in_a_row_or_for_too_many() {
    let default = OutlierDetection::default();
    let any = OutlierDetection { consecutive_errors: limit(3), ..default.clone() };
    let strict = SuccessRate { percent: 100, requests: 1 };
    let all = OutlierDetection { success_rate: Some(strict), ..default.clone() };
    let off = OutlierDetection::off();
    let (gateway, errors) = (Some(EjectionCause::GatewayErrors), Some(EjectionCause::Errors));
    let rate = Some(EjectionCause::SuccessRate);

    let rows: [(&str, &OutlierDetection, Results, Option<EjectionCause>); 20] = [
        ("a success", &default, &[(1, Success)], None),
        ("four gateway errors", &default, &[(4, GatewayError)], None),
        ("five gateway errors", &default, &[(5, GatewayError)], gateway),
        ("five that could not be reached", &default, &[(5, Unreachable)], gateway),
        ("either", &default, &[(3, Unreachable), (2, GatewayError)], gateway),
        (
            "a success between",
            &default,
            &[(4, GatewayError), (1, Success), (4, GatewayError)],
            None,
        ),
        (
            "an app's error between",
            &default,
            &[(4, GatewayError), (1, ServerError), (4, GatewayError)],
            None,
        ),
        (
            "who sheds load says nothing",
            &default,
            &[(4, GatewayError), (9, Overloaded), (1, GatewayError)],
            gateway,
        ),
        (
            "who went away says nothing",
            &default,
            &[(4, GatewayError), (9, Cancelled), (1, GatewayError)],
            gateway,
        ),
        ("an app's errors", &default, &[(19, ServerError)], None),
        ("an app's errors, twenty", &default, &[(20, ServerError)], rate),
        ("85 % of twenty", &default, &[(17, Success), (3, ServerError)], None),
        ("80 % of twenty", &default, &[(16, Success), (4, ServerError)], rate),
        ("84 % of a hundred", &default, &[(84, Success), (16, ServerError)], rate),
        ("too few to judge", &default, &[(15, Success), (4, ServerError)], None),
        ("overload is no failure", &default, &[(20, Success), (90, Overloaded)], None),
        (
            "a success is no reason",
            &default,
            &[(10, Success), (9, ServerError), (1, Success)],
            None,
        ),
        ("errors of any kind", &any, &[(2, ServerError), (1, GatewayError)], errors),
        ("every one must succeed", &all, &[(99, Success), (1, ServerError)], rate),
        ("off", &off, &[(99, GatewayError)], None),
    ];
    for (name, settings, results, expect) in rows {
        assert_eq!(last(results, settings), expect, "{name}");
    }
}

#[test]
fn what_is_older_than_the_window_is_not_judged() {
    let (record, settings) = (OutlierRecord::default(), OutlierDetection::default());
    let fail = |at| record.record(at, ServerError, &settings);
    assert!((0..19).all(|_| fail(0).is_none()));
    assert_eq!(fail(10 * SECOND), None);
    assert!((0..18).all(|_| fail(10 * SECOND).is_none()));
    assert_eq!(fail(19 * SECOND), Some(EjectionCause::SuccessRate));
}

#[test]
fn ejections_grow_and_shrink_again() {
    // The middle of the spread.
    const MIDDLE: u64 = u64::MAX / 2;
    let (record, settings) = (OutlierRecord::default(), OutlierDetection::default());
    let mut now = 1000 * SECOND;
    let mut eject = |healthy: u64, random| {
        now += healthy * SECOND;
        let time = record.begin_ejection(now, random, &settings);
        now += micros(time);
        (time.as_millis() + 5) / 10 * 10
    };
    let rows = [
        ("the first", 0, MIDDLE, 10_000),
        ("at once again", 0, MIDDLE, 20_000),
        ("and again", 9, MIDDLE, 30_000),
        ("after one base time of health", 10, MIDDLE, 30_000),
        ("after two", 20, MIDDLE, 20_000),
        ("after an hour", 3600, MIDDLE, 10_000),
        ("a tenth less", 3600, 0, 9_000),
        ("a tenth more", 3600, u64::MAX, 11_000),
    ];
    for (name, healthy, random, expect) in rows {
        assert_eq!(eject(healthy, random), expect, "{name}");
    }
    (0..100).for_each(|_| _ = eject(0, MIDDLE));
    assert_eq!(eject(0, MIDDLE), 300_000, "the longest");
    assert_eq!(eject(290, MIDDLE), 20_000, "no more than the longest is taken off");
}

#[test]
fn an_ejection_begins_a_new_record() {
    let (record, settings) = (OutlierRecord::default(), OutlierDetection::default());
    (0..5).for_each(|_| _ = record.record(0, GatewayError, &settings));
    record.begin_ejection(0, 0, &settings);
    assert_eq!(record.record(0, GatewayError, &settings), None);
    assert_eq!(record.recent.counts(0, settings.window), Counts { all: 1, failed: 1 });
}

#[test]
fn a_single_failure_among_successes_is_a_slip() {
    let rows: [(&str, Results, bool); 6] = [
        ("the first result of all", &[(1, ServerError)], false),
        ("after few successes", &[(8, Success), (1, ServerError)], false),
        ("after some", &[(9, Success), (1, ServerError)], true),
        ("the second in a row", &[(90, Success), (2, ServerError)], false),
        (
            "again, after a success",
            &[(20, Success), (1, ServerError), (1, Success), (1, ServerError)],
            true,
        ),
        (
            "more often than one of ten",
            &[(10, Success), (3, ServerError), (9, Success), (1, ServerError)],
            false,
        ),
    ];
    for (name, results, expect) in rows {
        let (record, settings) = (OutlierRecord::default(), OutlierDetection::default());
        for (times, outcome) in results {
            (0..*times).for_each(|_| _ = record.record(0, *outcome, &settings));
        }
        assert_eq!(record.is_slip(0, &settings), expect, "{name}");
    }
}

#[test]
fn extreme_settings_are_no_panic() {
    let record = OutlierRecord::default();
    for time in [Duration::ZERO, Duration::MAX] {
        let settings = OutlierDetection {
            window: time,
            base_ejection_time: time,
            max_ejection_time: time,
            max_ejection_percent: u8::MAX,
            min_health_percent: u8::MAX,
            ..OutlierDetection::default()
        };
        for now in [0, u64::MAX] {
            record.record(now, GatewayError, &settings);
            assert!(record.begin_ejection(now, u64::MAX, &settings) <= Duration::MAX);
        }
    }
}
