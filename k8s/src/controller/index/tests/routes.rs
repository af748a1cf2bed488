//! Which routes, grants and traffic policies a proxy is told of.

use super::*;

/// The spec of a route: attached to Services (a namespace and a name each), leading to one.
pub(in super::super) fn leading(parents: &[(&str, &str)], backend: (&str, &str)) -> Value {
    let parent = |(namespace, name): &(&str, &str)| json!({"group": "", "kind": "Service", "namespace": namespace, "name": name});
    let backend = json!({"namespace": backend.0, "name": backend.1, "port": 80});
    json!({
        "parentRefs": parents.iter().map(parent).collect::<Vec<_>>(),
        "rules": [{"backendRefs": [backend]}],
    })
}

pub(in super::super) fn route(namespace: &str, of: &str, spec: &Value) -> Event {
    policy(PolicyKind::HTTPRoute, namespace, of, spec)
}

/// A grant of `namespace` for HTTPRoutes of these namespaces.
pub(in super::super) fn grant(namespace: &str, of: &str, from: &[&str], to: Value) -> Event {
    let from = from.iter().map(|namespace| {
        json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": namespace})
    });
    let spec = json!({"from": from.collect::<Vec<_>>(), "to": [to]});
    policy(PolicyKind::ReferenceGrant, namespace, of, &spec)
}

fn rule(namespace: &str, of: &str) -> Event {
    let policy_of = json!({"connectionPool": {"tcp": {"maxConnections": 7}}});
    let spec = json!({"host": "cart.shop.svc.cluster.local", "trafficPolicy": policy_of});
    policy(PolicyKind::DestinationRule, namespace, of, &spec)
}

fn fault(namespace: &str, of: &str) -> Event {
    let spec = json!({
        "targetRefs": [{"kind": "Service", "name": "cart"}],
        "abort": {"percentage": 10, "httpStatus": 503},
    });
    policy(PolicyKind::FaultInjection, namespace, of, &spec)
}

/// Two namespaces: `cart` and `frontend` of the shop, `teller` of the bank.
fn cluster() -> Vec<Event> {
    let mut events = shop();
    events.extend([
        pod("bank", "teller-1", "teller", "10.1.0.9"),
        service("bank", "teller", "10.96.0.9", 80),
        slice("bank", "teller", &[("10.1.0.9", "teller-1")]),
    ]);
    events
}

/// What a proxy that asks for these destinations is told of how they are called.
fn told(index: &Index, client: (&str, &str), keys: &[&str]) -> Vec<String> {
    let delta = asks(index, client.0, client.1, keys).traffic.unwrap_or_default();
    assert!(delta.removed.is_empty(), "{delta:?}");
    delta.changed.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_proxy_is_told_of_what_it_asks_for_and_may_know() {
    let mut events = cluster();
    events.extend([
        route("shop", "producer", &leading(&[("shop", "cart")], ("shop", "cart"))),
        route("bank", "consumer", &leading(&[("shop", "cart")], ("shop", "cart"))),
        route("bank", "teller", &leading(&[("bank", "teller")], ("bank", "teller"))),
    ]);
    let index = index(events);
    let check = |row: &str, client: (&str, &str), keys: &[&str], expect: &[&str]| {
        assert_eq!(told(&index, client, keys), expect, "{row}");
    };
    let (frontend, teller) = (("shop", "frontend-1"), ("bank", "teller-1"));
    let (producer, consumer) = ("HTTPRoute/shop/producer", "HTTPRoute/bank/consumer");
    check("nothing is asked for", frontend, &[], &[]);
    check("another service", frontend, &["frontend"], &[]);
    check("a producer route, by name", frontend, &["cart"], &[producer]);
    check(
        "by the whole name and a port",
        frontend,
        &["cart.shop.svc.cluster.local:80"],
        &[producer],
    );
    check("by the cluster's address", frontend, &["10.96.0.1:80"], &[producer]);
    check("by a pod's address", frontend, &["10.1.0.1:8080"], &[producer]);
    check("from another namespace, both", teller, &["cart.shop"], &[consumer, producer]);
    check("one of two", teller, &["teller"], &["HTTPRoute/bank/teller"]);
}

#[test]
fn traffic_policies_are_those_of_the_clients_namespace() {
    let mut events = cluster();
    let root = "postern-system";
    events.extend([rule("shop", "own"), rule("bank", "theirs"), rule(root, "all")]);
    events.extend([fault("shop", "own"), fault(root, "nobody")]);
    let index = index(events);
    let frontend = told(&index, ("shop", "frontend-1"), &[]);
    let expect = [
        "DestinationRule/postern-system/all",
        "DestinationRule/shop/own",
        "FaultInjection/shop/own",
    ];
    assert_eq!(frontend, expect);
    let teller = told(&index, ("bank", "teller-1"), &[]);
    assert_eq!(teller, ["DestinationRule/bank/theirs", "DestinationRule/postern-system/all"]);
}

#[test]
fn a_change_tells_the_one_that_changed() {
    let mut index = index(cluster());
    let spec = leading(&[("shop", "cart")], ("shop", "cart"));
    for number in 0..100 {
        index.apply(route("shop", &format!("route-{number}"), &spec));
    }
    let mut subscriber = Subscriber::new(name("shop", "frontend-1"), "frontend-1".into());
    subscriber.ask_traffic(HashMap::new());
    subscriber.ask_services(vec!["cart".into()], HashMap::new()).unwrap();
    let mut hear = |index: &Index| {
        let delta = index.delta(&mut subscriber).unwrap().traffic.unwrap_or_default();
        let changed = delta.changed.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        (changed, delta.removed)
    };
    assert_eq!(hear(&index).0.len(), 100);
    assert_eq!(hear(&index), (vec![], vec![]));
    let other = leading(&[("shop", "cart")], ("shop", "frontend"));
    assert!(index.apply(route("shop", "route-7", &other)), "proxies are woken");
    assert_eq!(hear(&index), (vec!["HTTPRoute/shop/route-7".into()], vec![]));
    let elsewhere = leading(&[("shop", "frontend")], ("shop", "frontend"));
    index.apply(route("shop", "route-7", &elsewhere));
    assert_eq!(hear(&index), (vec![], vec!["HTTPRoute/shop/route-7".into()]));
    index.apply(model::without(route("shop", "route-8", &spec)));
    assert_eq!(hear(&index), (vec![], vec!["HTTPRoute/shop/route-8".into()]));
    subscriber.forget_services(&["cart".into()]);
    let delta = index.delta(&mut subscriber).unwrap().traffic.unwrap();
    assert_eq!(delta.removed.len(), 98, "what is not called any more is not kept");
}

#[test]
fn a_proxy_that_comes_back_keeps_its_routes_until_it_has_said_what_it_calls() {
    let mut events = cluster();
    let spec = leading(&[("shop", "cart")], ("shop", "cart"));
    events.push(route("shop", "same", &spec));
    let index = index(events);
    let document =
        asks(&index, "shop", "frontend-1", &["cart"]).traffic.unwrap().changed[0].1.clone();
    let has = HashMap::from([
        ("HTTPRoute/shop/same".to_owned(), document.version.clone()),
        ("HTTPRoute/shop/gone".to_owned(), "1".to_owned()),
    ]);
    let mut subscriber = Subscriber::new(name("shop", "frontend-1"), "frontend-1".into());
    subscriber.ask_traffic(has);
    assert_eq!(index.delta(&mut subscriber).unwrap().traffic, None);
    subscriber.ask_services(vec!["cart".into()], HashMap::new()).unwrap();
    let delta = index.delta(&mut subscriber).unwrap();
    let expect = TypeDelta { changed: vec![], removed: vec!["HTTPRoute/shop/gone".into()] };
    assert_eq!(delta.traffic, Some(expect));
    assert!(delta.services.is_some());
}

#[test]
fn of_a_grant_a_route_takes_what_it_needs() {
    let spec = leading(&[("shop", "cart")], ("bank", "teller"));
    let mut index = index(cluster());
    index.apply(route("shop", "lead", &spec));
    let document = |index: &Index| -> Value {
        let delta = asks(index, "shop", "frontend-1", &["cart"]).traffic.unwrap();
        serde_json::from_slice(&delta.changed[0].1.bytes).unwrap()
    };
    let teller = json!({"group": "", "kind": "Service", "name": "teller"});
    let any = json!({"group": "", "kind": "Service"});
    let other = json!({"group": "", "kind": "Service", "name": "vault"});
    for (row, events, expect) in [
        ("none", vec![], false),
        ("for another Service", vec![grant("bank", "g", &["shop"], other)], false),
        ("for another namespace", vec![grant("bank", "g", &["post"], any.clone())], false),
        ("of another namespace", vec![grant("shop", "g", &["shop"], any.clone())], false),
        ("for this Service", vec![grant("bank", "g", &["post", "shop"], teller)], true),
        ("for any Service", vec![grant("bank", "g", &["post", "shop"], any.clone())], true),
        ("one of two", vec![grant("bank", "h", &["shop"], any)], true),
        ("the other is gone", vec![model::without(grant("bank", "g", &[], json!({})))], true),
        ("both are gone", vec![model::without(grant("bank", "h", &[], json!({})))], false),
    ] {
        for event in events {
            index.apply(event);
        }
        let found = document(&index);
        assert_eq!(found["kind"] == "List", expect, "{row}: {found}");
        if expect {
            let granted = &found["items"][1];
            assert_eq!(found["items"][0]["metadata"]["name"], "lead", "{row}");
            assert_eq!(granted["metadata"]["namespace"], "bank", "{row}");
            let from = json!([{
                "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop",
            }]);
            let to = json!([{"group": "", "kind": "Service", "name": "teller"}]);
            assert_eq!(granted["spec"], json!({"from": from, "to": to}), "{row}");
        }
        let file = policy::SourceFile { name: row.into(), bytes: found.to_string().into_bytes() };
        let read = policy::Resources::parse(&[file], "postern-system").expect(row);
        assert_eq!((read.routes().len(), read.reference_grants().len()), (1, usize::from(expect)));
    }
}

#[test]
fn a_route_with_a_mistake_keeps_its_last_accepted_version() {
    let good = leading(&[("shop", "cart")], ("shop", "cart"));
    let mut bad = good.clone();
    bad["rules"][0]["backendRfs"] = json!([]);
    let mut index = index(cluster());
    index.apply(route("shop", "never", &bad));
    index.apply(route("shop", "once", &good));
    index.apply(route("shop", "once", &bad));
    assert_eq!(told(&index, ("shop", "frontend-1"), &["cart"]), ["HTTPRoute/shop/once"]);
    let refused: Vec<String> =
        index.refused().into_iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(refused, ["HTTPRoute/shop/never", "HTTPRoute/shop/once"]);
    assert!(policies(&index, "shop", "cart-1").is_empty(), "nobody denies because of a route");
}
