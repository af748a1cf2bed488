#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use serde_json::{Value, json};

use super::*;

/// A route of the Service `cart` with the fields `more` beside its parents.
fn route(name: &str, more: &Value) -> ResourceDocument {
    let mut spec = json!({"parentRefs": [{"group": "", "kind": "Service", "name": "cart"}]});
    let fields = more.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(fields);
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    });
    document(&format!("HTTPRoute/shop/{name}"), &route)
}

fn document(name: &str, value: &Value) -> ResourceDocument {
    let bytes = value.to_string().into_bytes();
    ResourceDocument { name: name.into(), version: format!("{}", bytes.len()), bytes }
}

fn to(backend: &str) -> Value {
    json!({"rules": [{"backendRefs": [{"name": backend, "port": 80}]}]})
}

fn backends(cache: &TrafficCache) -> Vec<String> {
    let resources = cache.resources();
    let rules = resources.routes().iter().flat_map(|route| &route.rules);
    let backends = rules.flat_map(|definition| &definition.rule.backends);
    backends.map(|backend| backend.name.to_string()).collect()
}

#[test]
fn a_route_with_a_mistake_keeps_its_last_accepted_version() {
    let mut cache = TrafficCache::new("postern-system");
    let bad = json!({"rulse": []});
    cache.take(vec![route("a", &to("one")), route("b", &to("two")), route("never", &bad)], &[]);
    assert_eq!(backends(&cache), ["one", "two"]);
    cache.take(vec![route("a", &bad)], &[]);
    assert_eq!(backends(&cache), ["one", "two"]);
    let refused: Vec<String> = cache.refused().collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].starts_with("HTTPRoute/shop/a: ") && refused[0].contains("rulse"));
    cache.take(vec![route("a", &to("three"))], &["HTTPRoute/shop/never".to_owned()]);
    assert_eq!(backends(&cache), ["three", "two"]);
    assert_eq!((cache.refused().count(), cache.versions().len()), (0, 2));
    cache.take(vec![], &["HTTPRoute/shop/a".to_owned()]);
    assert_eq!(backends(&cache), ["two"]);
}

#[test]
fn a_route_comes_with_its_grant() {
    let mut cache = TrafficCache::new("postern-system");
    let spec = json!({
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}],
        "to": [{"group": "", "kind": "Service", "name": "teller"}],
    });
    let grant = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant",
        "metadata": {"name": "granted-1", "namespace": "bank"}, "spec": spec,
    });
    let alone: Value = serde_json::from_slice(&route("a", &to("cart")).bytes).unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [alone, grant]});
    cache.take(vec![document("HTTPRoute/shop/a", &list)], &[]);
    assert_eq!(cache.resources().reference_grants().len(), 1);
    assert_eq!(backends(&cache), ["cart"]);
}

/// What says whom a workload lets in comes by another way, and is not taken here.
#[test]
fn a_policy_among_routes_allows_nothing() {
    let mut cache = TrafficCache::new("postern-system");
    let policy = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "shop"}, "spec": {"action": "ALLOW", "rules": [{}]},
    });
    cache.take(vec![document("AuthorizationPolicy/shop/p", &policy)], &[]);
    assert!(cache.resources().is_empty());
}

#[test]
fn a_destination_rule_of_which_nothing_could_be_read_is_missed() {
    let mut cache = TrafficCache::new("postern-system");
    let rule = |key: &str| {
        let spec = json!({"host": "api.example.com", "trafficPolicy": {key: {"mode": "SIMPLE"}}});
        let rule = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"name": "api", "namespace": "shop"}, "spec": spec,
        });
        document("DestinationRule/shop/api", &rule)
    };
    assert!(!cache.is_incomplete(), "nothing is there");
    for (name, key, expect) in [
        ("never read", "tsl", true),
        ("read", "tls", false),
        ("a mistake after a good version", "tsl", false),
    ] {
        cache.take(vec![rule(key)], &[]);
        assert_eq!(cache.is_incomplete(), expect, "{name}");
    }
    cache.take(vec![route("a", &json!({"rulse": []}))], &["DestinationRule/shop/api".to_owned()]);
    assert!(!cache.is_incomplete(), "a route asks for no TLS");
}
