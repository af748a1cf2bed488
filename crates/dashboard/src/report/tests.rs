#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use serde_json::{Value, json};

use super::*;
use crate::denials::{RefusedTraffic, SeenRequest, grouped};

fn edge(n: usize) -> Value {
    json!({"direction": "inbound", "source": format!("td/{n}"), "destination": "", "allowed": 1, "denied": 0, "failed": 0})
}

fn example() -> Value {
    json!({"method": "GET", "host": "cart", "path": "/a", "count": 1, "last": 1})
}

fn group(examples: usize) -> Value {
    json!({"decision": "deny", "reason": "no_matching_allow", "policy": null, "rule": null, "source_principal": null,
        "source_ip": "10.0.0.7", "destination": "10.0.0.9:8080", "count": 1, "last": 1, "first": 1,
        "examples": {"shown": vec![example(); examples], "left_out": 0}})
}

fn of(edges: Vec<Value>, denials: Vec<Value>) -> Value {
    json!({"edges": {"shown": edges, "left_out": 0}, "denials": {"shown": denials, "left_out": 0}})
}

#[test]
fn a_report_has_bounds_and_beyond_them_it_is_refused() {
    use ReportProblem::{Invalid, OutOfBounds, TooLarge, Unreadable};
    let check = |name: &str, message: &Value, expect: Option<ReportProblem>| {
        let read = ProxyReport::read(message.to_string().as_bytes());
        assert_eq!(read.err(), expect, "{name}");
    };
    let with = |mut of: Value, at: &str, value: Value| {
        *of.pointer_mut(at).unwrap() = value;
        of
    };
    let in_group = |at: &str, value: Value| of(vec![], vec![with(group(1), at, value)]);
    check("nothing is as before", &json!({}), None);
    check("more than we know", &json!({"edges": null, "newer": [1]}), None);
    check("as many edges as may be", &of((0..EDGES).map(edge).collect(), vec![]), None);
    let many = of((0..=EDGES).map(edge).collect(), vec![]);
    check("one edge more", &many, Some(OutOfBounds));
    check("as many groups as may be", &of(vec![], vec![group(1); DENIALS]), None);
    check("one group more", &of(vec![], vec![group(1); DENIALS + 1]), Some(OutOfBounds));
    check("too many examples", &of(vec![], vec![group(EXAMPLES + 1)]), Some(OutOfBounds));
    check("a group without a request", &of(vec![], vec![group(0)]), Some(Invalid));
    check("a longer text", &in_group("/reason", "x".repeat(TEXT + 1).into()), Some(OutOfBounds));
    let path = "/examples/shown/0/path";
    check("a longer path", &in_group(path, "x".repeat(TEXT + 1).into()), Some(OutOfBounds));
    check("a method without a path", &in_group(path, Value::Null), Some(Invalid));
    check("another decision", &in_group("/decision", "allow".into()), Some(Invalid));
    let sideways = of(vec![with(edge(1), "/direction", "sideways".into())], vec![]);
    check("another direction", &sideways, Some(Invalid));
    check("no report", &json!([1]), Some(Unreadable));
    check("a negative count", &in_group("/count", (-1).into()), Some(Unreadable));
    check("larger", &json!({"newer": "x".repeat(REPORT_BYTES)}), Some(TooLarge));
    assert_eq!(ProxyReport::read(b"{\"edges\":").err(), Some(Unreadable), "cut off");
}

#[test]
fn what_a_proxy_makes_fits_and_is_taken_whatever_it_was_asked() {
    // A quote takes two bytes in JSON, a control character six.
    for (name, letter) in [("plain", "x"), ("quotes", "\""), ("control characters", "\u{1}")] {
        let long = letter.repeat(4 * TEXT);
        let callers: Vec<_> = (0..DENIALS).map(|n| format!("td/{n}{long}")).collect();
        let denials = grouped(callers.iter().map(|caller| RefusedTraffic {
            source_principal: Some(caller),
            request: Some(SeenRequest { method: "GET", host: &long, path: &long }),
            ..RefusedTraffic::of("10.0.0.7", "10.0.0.9:8080")
        }));
        let edges = callers.iter().map(|caller| Edge {
            direction: "inbound".to_owned(),
            source: caller.clone(),
            destination: long.clone(),
            allowed: 0,
            denied: 1,
            failed: 0,
        });
        let report = ProxyReport::fitting(Listed::first(EDGES, edges), denials, None);
        let message = report.message();
        assert!(message.len() <= REPORT_BYTES, "{name}: {}", message.len());
        let read = ProxyReport::read(&message);
        assert_eq!(read.as_ref(), Ok(&report), "{name}");
        let denials = report.denials.unwrap();
        assert!(!denials.shown.is_empty(), "{name}");
        assert_eq!(denials.shown.len() + denials.left_out, DENIALS, "{name}: the rest is counted");
    }
}

#[test]
fn only_what_changed_is_said_again() {
    let before = ProxyReport::read(of(vec![edge(1)], vec![group(1)]).to_string().as_bytes());
    let before = before.unwrap();
    assert_eq!(before.since(None), before);
    assert!(before.since(Some(&before)).is_empty());
    let now = ProxyReport { edges: Some(Listed::default()), ..before.clone() };
    let said = now.since(Some(&before));
    assert_eq!((said.edges.is_some(), said.denials.is_some()), (true, false));
    assert_eq!(said.over(before), now);
}
