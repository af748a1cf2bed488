//! What of other namespaces reaches a gateway's proxies.

use super::gateways::{
    GROUP, attached, edge, https, in_namespace, listener, listener_set, names_of, scene, told,
};
use super::*;

fn to_edge() -> Value {
    json!({"name": "edge", "namespace": "shop"})
}

fn to_set(of: &str) -> Value {
    json!({"group": GROUP, "kind": "ListenerSet", "name": of})
}

fn is_told(index: &Index, name: &str) -> bool {
    names_of(index).contains(&name.to_owned())
}

/// The gateway, with one listener that takes routes of these namespaces, and ListenerSets of those.
fn letting_in(routes: &Value, sets: Option<&Value>) -> Event {
    let mut listener = listener("http", "HTTP", 80);
    listener["allowedRoutes"] = json!({"namespaces": routes});
    let mut spec = json!({"gatewayClassName": "postern", "listeners": [listener]});
    if let Some(sets) = sets {
        spec["allowedListeners"] = json!({"namespaces": sets});
    }
    policy(PolicyKind::Gateway, "shop", "edge", &spec)
}

#[test]
fn what_a_gateway_does_not_let_in_is_not_told_to_it() {
    let of_team =
        |team: &str| json!({"from": "Selector", "selector": {"matchLabels": {"team": team}}});
    let (all, same) = (json!({"from": "All"}), json!({"from": "Same"}));
    let limit = json!({
        "targetRefs": [{"group": GROUP, "kind": "HTTPRoute", "name": "teller"}],
        "limits": [{"name": "l", "key": "clientAddress", "requests": 1, "per": "1s"}],
    });
    for (row, gateway, route, set) in [
        ("everybody", letting_in(&all, Some(&all)), true, true),
        ("nobody", letting_in(&same, None), false, false),
        ("routes alone", letting_in(&all, Some(&same)), true, false),
        ("ListenerSets alone", letting_in(&same, Some(&all)), false, true),
        ("by labels", letting_in(&of_team("bank"), Some(&of_team("bank"))), true, true),
        ("by others' labels", letting_in(&of_team("post"), Some(&of_team("post"))), false, false),
    ] {
        let mut index = index(scene());
        for event in [
            in_namespace("bank", "bank"),
            gateway,
            attached("bank", "teller", to_edge(), ("bank", "teller")),
            listener_set("bank", "extra"),
            attached("bank", "extra", to_set("extra"), ("bank", "teller")),
            policy(PolicyKind::RateLimitPolicy, "bank", "p", &limit),
        ] {
            index.apply(event);
        }
        assert!(index.refused().is_empty(), "{row}: {:?}", index.refused());
        assert_eq!(is_told(&index, "HTTPRoute/bank/teller"), route, "{row}");
        assert_eq!(is_told(&index, "ListenerSet/bank/extra"), set, "{row}");
        assert_eq!(is_told(&index, "HTTPRoute/bank/extra"), set, "{row}: what is attached to it");
        let limits = policies(&index, "shop", "edge-1");
        assert_eq!(!limits.is_empty(), route || set, "{row}: {limits:?}");
        let reviewed = index.reviewed_gateways().documents;
        for name in ["HTTPRoute/bank/teller", "ListenerSet/bank/extra"] {
            assert!(reviewed.contains_key(name), "{row}: {name} has a status");
        }
        index.apply(in_namespace("bank", "post"));
        assert_eq!(
            is_told(&index, "HTTPRoute/bank/teller"),
            route ^ row.contains("labels"),
            "{row}"
        );
    }
}

/// Whoever may write ListenerSets fills no gateway's memory with them.
#[test]
fn a_gateway_has_room_for_so_many_listener_sets() {
    let mut index = index(scene());
    for number in 0..70 {
        let Event::Policy(name, Some(mut object)) =
            listener_set("bank", &format!("set-{number:02}"))
        else {
            panic!("a policy")
        };
        let mut document = (*object.document).clone();
        let created = format!("2026-11-01T00:{:02}:00Z", 59 - number % 60);
        document["metadata"]["creationTimestamp"] = created.into();
        object.document = Arc::new(document);
        index.apply(Event::Policy(name, Some(object)));
    }
    let names = names_of(&index);
    let sets: Vec<&String> = names.iter().filter(|name| name.starts_with("ListenerSet/")).collect();
    assert_eq!(sets.len(), 64);
    assert!(!is_told(&index, "ListenerSet/bank/set-00"), "the youngest");
    assert!(is_told(&index, "ListenerSet/bank/set-59"), "the oldest");
}

/// A guest's policy with a mistake closes the route that it is about, and nobody else's.
#[test]
fn a_route_is_closed_whose_policy_was_never_without_a_mistake() {
    let target = |kind: &str, name: &str| json!([{"group": GROUP, "kind": kind, "name": name}]);
    for (row, kind, targets, pay, other) in [
        ("its keys", PolicyKind::ApiKeyPolicy, target("HTTPRoute", "pay"), false, true),
        ("its callers", PolicyKind::AuthorizationPolicy, target("HTTPRoute", "pay"), false, true),
        ("in another case", PolicyKind::ApiKeyPolicy, target("httproute", "pay"), false, true),
        ("of another kind", PolicyKind::ApiKeyPolicy, target("GRPCRoute", "pay"), true, true),
        ("no name", PolicyKind::ApiKeyPolicy, json!([{"kind": "HTTPRoute"}]), false, false),
        (
            "a Service",
            PolicyKind::AuthorizationPolicy,
            json!([{"kind": "Service", "name": "pay"}]),
            true,
            true,
        ),
    ] {
        let mut index = index(scene());
        index.apply(attached("bank", "pay", to_edge(), ("bank", "pay")));
        index.apply(attached("bank", "other", to_edge(), ("bank", "other")));
        index.apply(attached("shop", "cart", to_edge(), ("shop", "cart")));
        let broken = policy(kind, "bank", "p", &json!({"targetRefs": targets, "mistake": 1}));
        index.apply(broken.clone());
        assert_eq!(is_told(&index, "HTTPRoute/bank/pay"), pay, "{row}");
        assert_eq!(is_told(&index, "HTTPRoute/bank/other"), other, "{row}");
        assert!(is_told(&index, "HTTPRoute/shop/cart"), "{row}");
        assert!(policies(&index, "shop", "edge-1").is_empty(), "{row}: others are not closed");
        index.apply(model::without(broken));
        assert!(is_told(&index, "HTTPRoute/bank/pay"), "{row}: when it is gone");
    }
}

/// Nothing answers in the place of what is closed: its host is not left to a listener that takes more.
#[test]
fn the_host_of_a_closed_listener_set_is_not_anothers() {
    let mut wide = listener("http", "HTTP", 80);
    wide["allowedRoutes"] = json!({"namespaces": {"from": "All"}});
    let mut narrow = listener("pay", "HTTP", 80);
    narrow["hostname"] = "pay.example".into();
    let set = json!({"parentRef": to_edge(), "listeners": [narrow]});
    let both = json!({
        "parentRefs": [to_edge(), to_set("pay")],
        "rules": [{"backendRefs": [{"name": "pay", "port": 80}]}],
    });
    let mut index = index(scene());
    index.apply(edge(json!([wide, https("shop", "cert")])));
    index.apply(policy(PolicyKind::ListenerSet, "bank", "pay", &set));
    index.apply(policy(PolicyKind::HTTPRoute, "bank", "pay", &both));
    let routes_of = |index: &Index, expect: usize| {
        let files = told(index, "shop", "edge-1").into_iter();
        let files = files.map(|(name, value)| policy::SourceFile {
            name,
            bytes: value.to_string().into_bytes(),
        });
        let read = policy::Resources::parse(&files.collect::<Vec<_>>(), "postern-system").unwrap();
        let selection = policy::GatewaySelection::default();
        let plan = policy::GatewayPlan::build(&read, &selection);
        let listeners = plan.listeners().iter().filter(|of| *of.listener.name == *"pay");
        let attached = listeners.filter(|of| of.is_accepted()).map(|of| of.attached_routes);
        assert_eq!(attached.collect::<Vec<_>>(), [expect]);
    };
    routes_of(&index, 1);
    let broken = json!({"targetRefs": [{"group": GROUP, "kind": "ListenerSet", "name": "pay"}]});
    index.apply(policy(PolicyKind::ApiKeyPolicy, "bank", "keys", &broken));
    routes_of(&index, 0);
}
