//! What is said of routes at their parents.

use super::routes::{grant, leading, route};
use super::*;

/// The reasons, at each parent, that are to be told of a route and are not yet.
fn reasons(index: &Index, of: &str) -> Vec<(String, &'static str, &'static str)> {
    let verdicts = index.unreported_routes(|_, _| true, usize::MAX);
    let verdict = verdicts.into_iter().find(|verdict| &*verdict.name.object.name == of);
    let parents = verdict.map(|verdict| verdict.parents).unwrap_or_default();
    let told = parents.into_iter().map(|parent| {
        let name = parent.parent["name"].as_str().unwrap().to_owned();
        let resolved = parent.resolved_refs.map_or("", |condition| condition.reason);
        (name, parent.accepted.reason, resolved)
    });
    told.collect()
}

#[test]
fn what_is_told_of_a_route() {
    let mut parts = shop();
    parts.push(service("bank", "teller", "10.96.0.9", 80));
    let cart = json!({"group": "", "kind": "Service", "name": "cart"});
    let with = |key: &str, value: Value| {
        let mut parent = cart.clone();
        parent[key] = value;
        parent
    };
    let to = |name: &str| json!({"name": name, "port": 80});
    let teller = json!({"name": "teller", "namespace": "bank", "port": 80});
    let (yes, found) = ("Accepted", "ResolvedRefs");
    let check = |row: &str, parent: &Value, backend: &Value, expect: (&str, &str)| {
        let mut index = index(parts.clone());
        let rules = json!([{"backendRefs": [backend]}]);
        index.apply(route("shop", "r", &json!({"parentRefs": [parent], "rules": rules})));
        let told = reasons(&index, "r");
        let told: Vec<_> = told.iter().map(|(_, accepted, found)| (*accepted, *found)).collect();
        assert_eq!(told, [expect], "{row}");
    };
    check("all is there", &cart, &to("frontend"), (yes, found));
    check("a port that is there", &with("port", 80.into()), &to("frontend"), (yes, found));
    let no_parent = "NoMatchingParent";
    check("no such port", &with("port", 81.into()), &to("frontend"), (no_parent, found));
    check("a port's name", &with("sectionName", "http".into()), &to("cart"), (yes, found));
    check("no such name", &with("sectionName", "grpc".into()), &to("cart"), (no_parent, found));
    check("no such Service", &with("name", "card".into()), &to("cart"), (no_parent, found));
    check("no such backend", &cart, &to("card"), (yes, "BackendNotFound"));
    let other_port = json!({"name": "frontend", "port": 81});
    check("no such port of it", &cart, &other_port, (yes, "BackendNotFound"));
    let bucket = json!({"name": "b", "kind": "Bucket", "group": "example.com"});
    check("a backend of another kind", &cart, &bucket, (yes, "InvalidKind"));
    check("a backend of another namespace", &cart, &teller, (yes, "RefNotPermitted"));
    let mistaken = json!({"name": "frontend", "port": 80, "wieght": 1});
    check("a mistake", &cart, &mistaken, ("UnsupportedValue", ""));
}

#[test]
fn a_parent_of_another_kind_is_somebody_elses() {
    let mut index = index(shop());
    let mut spec = leading(&[("shop", "cart")], ("shop", "cart"));
    spec["rules"][0]["whatever"] = json!("a gateway understands");
    for (row, parents, ours) in [
        ("a gateway", json!([{"name": "edge"}]), 0),
        ("a gateway and a Service", json!([{"name": "edge"}, spec["parentRefs"][0]]), 1),
        ("a gateway again", json!([{"name": "edge"}]), 0),
    ] {
        spec["parentRefs"] = parents;
        index.apply(route("shop", "r", &spec));
        assert_eq!((index.unreported_route_count(), index.refused().len()), (ours, ours), "{row}");
    }
}

#[test]
fn a_verdict_follows_whatever_it_follows_from() {
    let mut index = index(shop());
    let spec = leading(&[("shop", "cart")], ("bank", "teller"));
    index.apply(route("shop", "r", &spec));
    let any = json!({"group": "", "kind": "Service"});
    let gone = model::without;
    let tcp = |of: &str| {
        policy(PolicyKind::TCPRoute, "shop", of, &leading(&[("shop", "cart")], ("shop", "cart")))
    };
    let (yes, found) = ("Accepted", "ResolvedRefs");
    for (row, event, expect) in [
        ("no grant", service("bank", "teller", "10.96.0.9", 80), (yes, "RefNotPermitted")),
        ("a grant", grant("bank", "g", &["shop"], any.clone()), (yes, found)),
        ("no backend", gone(service("bank", "teller", "10.96.0.9", 80)), (yes, "BackendNotFound")),
        ("another port", service("bank", "teller", "10.96.0.9", 81), (yes, "BackendNotFound")),
        ("the port", service("bank", "teller", "10.96.0.9", 80), (yes, found)),
        ("a route of a later kind", tcp("bytes"), (yes, found)),
        ("no parent", gone(service("shop", "cart", "10.96.0.1", 80)), ("NoMatchingParent", found)),
        ("the parent", service("shop", "cart", "10.96.0.1", 80), (yes, found)),
        ("no grant again", gone(grant("bank", "g", &[], any)), (yes, "RefNotPermitted")),
    ] {
        index.apply(event);
        assert_eq!(reasons(&index, "r"), [("cart".into(), expect.0, expect.1)], "{row}");
    }
    assert_eq!(reasons(&index, "bytes"), [("cart".into(), "Conflicted", found)]);
    index.apply(gone(route("shop", "r", &spec)));
    assert_eq!(reasons(&index, "bytes"), [("cart".into(), yes, found)], "it acts now");
    assert!(reasons(&index, "r").is_empty());
}
