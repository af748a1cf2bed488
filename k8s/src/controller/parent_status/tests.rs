#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::controller::index::{ObjectName, PolicyKind, PolicyName};

fn condition(holds: bool, reason: &'static str) -> ParentCondition {
    ParentCondition { holds, reason, message: "m".into() }
}

/// A verdict on a route at two parents, over what its status says.
fn verdict(said: Vec<Value>) -> RouteVerdict {
    let object = ObjectName::new("shop", "split");
    let parent = |name: &str, resolved: bool| ParentVerdict {
        parent: json!({"group": "", "kind": "Service", "name": name}),
        accepted: condition(true, "Accepted"),
        resolved_refs: Some(match resolved {
            true => condition(true, "ResolvedRefs"),
            false => condition(false, "BackendNotFound"),
        }),
    };
    RouteVerdict {
        controller: CONTROLLER_NAME,
        name: PolicyName { kind: PolicyKind::HTTPRoute, object },
        api_version: "gateway.networking.k8s.io/v1".into(),
        generation: 3,
        resource_version: "7".into(),
        said,
        parents: vec![parent("cart", true), parent("basket", false)],
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What was written at `EARLIER`, from nothing.
fn written() -> Vec<Value> {
    parents(&verdict(Vec::new()), at(EARLIER))
}

const EARLIER: &str = "2026-11-29T12:00:00Z";
const NOW: &str = "2026-11-29T13:00:00Z";

#[test]
fn what_is_written_is_what_is_said() {
    assert!(!says(&verdict(Vec::new())));
    assert!(says(&verdict(written())));
    let theirs = json!({"parentRef": {"name": "cart"}, "controllerName": "example.com/other"});
    assert!(says(&verdict([vec![theirs], written()].concat())), "others say what they like");
    type Change = fn(&mut Vec<Value>);
    let rows: [(&str, Change); 8] = [
        ("another state", |said| said[0]["conditions"][0]["status"] = "False".into()),
        ("another reason", |said| said[1]["conditions"][1]["reason"] = "InvalidKind".into()),
        ("another message", |said| said[0]["conditions"][0]["message"] = "n".into()),
        ("another generation", |said| said[0]["conditions"][0]["observedGeneration"] = 2.into()),
        ("a condition too few", |said| drop(said[0]["conditions"].as_array_mut().unwrap().pop())),
        ("a condition too many", |said| {
            let more = json!({"type": "Programmed", "status": "True"});
            said[0]["conditions"].as_array_mut().unwrap().push(more);
        }),
        ("an entry too few", |said| drop(said.pop())),
        ("an entry too many", |said| {
            let mut more = said[0].clone();
            more["parentRef"]["name"] = "gone".into();
            said.push(more);
        }),
    ];
    for (row, change) in rows {
        let mut said = written();
        change(&mut said);
        let verdict = verdict(said);
        assert!(!says(&verdict), "{row}");
        let now = parents(&verdict, at(NOW));
        assert!(says(&RouteVerdict { said: now, ..verdict }), "{row}");
    }
}

#[test]
fn entries_of_others_stay_and_times_are_those_of_the_change() {
    let theirs = json!({"parentRef": {"name": "edge"}, "controllerName": "example.com/other"});
    let mut said = [vec![theirs.clone()], written()].concat();
    said[1]["conditions"][1]["status"] = "False".into();
    said[1]["conditions"][0]["reason"] = "Pending".into();
    let now = parents(&verdict(said), at(NOW));
    assert_eq!((now.len(), &now[0]), (3, &theirs));
    for (row, entry, condition, expect) in [
        ("it held all the time, for another reason", 1, 0, EARLIER),
        ("it holds since now", 1, 1, NOW),
        ("nothing has changed", 2, 1, EARLIER),
    ] {
        let since = now[entry]["conditions"][condition]["lastTransitionTime"].as_str().unwrap();
        assert_eq!(at(since), at(expect), "{row}");
    }
}
