#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api_schemas;
mod brokers;
mod changes;
mod deltas;
mod gateway_verdicts;
mod gateways;
mod guests;
mod messages;
mod model;
mod outside;
mod route_status;
mod routes;
mod sign_ins;
mod tenants;

use serde_json::{Value, json};

use super::*;

pub(super) fn settings() -> IndexSettings {
    IndexSettings {
        root_namespace: "postern-system".into(),
        cluster_domain: "cluster.local".into(),
        trust_domain: TrustDomain::parse("cluster.local").unwrap(),
        gateways: true,
    }
}

pub(super) fn name(namespace: &str, name: &str) -> ObjectName {
    ObjectName::new(namespace, name)
}

/// A running pod with a proxy; its uid is its name, its service account `account`.
pub(super) fn pod(namespace: &str, of: &str, account: &str, ip: &str) -> Event {
    let labels = BTreeMap::from([("app".to_owned(), account.to_owned())]);
    let pod = Pod {
        uid: of.into(),
        service_account: account.into(),
        labels: Arc::new(labels),
        ips: vec![ip.parse().unwrap()],
        has_proxy: true,
        ended: false,
        on_host: false,
    };
    Event::Pod(name(namespace, of), Some(pod))
}

pub(super) fn service(namespace: &str, of: &str, ip: &str, port: u16) -> Event {
    let service = Service {
        cluster_ips: vec![ip.parse().unwrap()],
        selector: BTreeMap::from([("app".to_owned(), of.to_owned())]),
        ports: vec![ServicePort {
            name: "http".into(),
            number: port,
            protocol: policy::Protocol::Http,
        }],
        exposure: ServiceExposure::default(),
    };
    Event::Service(name(namespace, of), Some(service))
}

pub(super) fn slice(namespace: &str, of: &str, endpoints: &[(&str, &str)]) -> Event {
    let endpoint = |(ip, pod): &(&str, &str)| EndpointRecord {
        ip: ip.parse().unwrap(),
        ready: true,
        pod: (!pod.is_empty()).then(|| (*pod).into()),
        locality: None,
    };
    let slice = Slice {
        service: of.into(),
        ports: vec![SlicePort { name: "http".into(), number: 8080 }],
        endpoints: endpoints.iter().map(endpoint).collect(),
    };
    Event::Slice(name(namespace, &format!("{of}-1")), Some(slice))
}

pub(super) fn policy(kind: PolicyKind, namespace: &str, of: &str, spec: &Value) -> Event {
    let (group, version, _) = kind.resource();
    let document = json!({
        "apiVersion": format!("{group}/{version}"),
        "kind": kind.as_str(),
        "metadata": match namespace {
            "" => json!({"name": of}),
            namespace => json!({"name": of, "namespace": namespace}),
        },
        "spec": spec,
    });
    let object = PolicyObject {
        uid: format!("uid-{of}").into(),
        status: Value::Null,
        generation: 1,
        document: Arc::new(document),
        reported: None,
        parents: Vec::new(),
        resource_version: String::new(),
    };
    let name = PolicyName { kind, object: name(namespace, of) };
    Event::Policy(name, Some(Box::new(object)))
}

pub(super) fn allow(namespace: &str, of: &str, spec: &Value) -> Event {
    policy(PolicyKind::AuthorizationPolicy, namespace, of, spec)
}

pub(super) fn index(events: impl IntoIterator<Item = Event>) -> Index {
    let mut index = Index::new(settings());
    for event in events {
        index.apply(event);
    }
    index
}

/// A shop: `frontend` and `cart`, each a pod, a service and its slice.
pub(super) fn shop() -> Vec<Event> {
    vec![
        pod("shop", "cart-1", "cart", "10.1.0.1"),
        pod("shop", "frontend-1", "frontend", "10.1.0.2"),
        service("shop", "cart", "10.96.0.1", 80),
        service("shop", "frontend", "10.96.0.2", 80),
        slice("shop", "cart", &[("10.1.0.1", "cart-1")]),
        slice("shop", "frontend", &[("10.1.0.2", "frontend-1")]),
    ]
}

/// What a proxy that asks for these destinations is told first.
pub(super) fn asks(index: &Index, namespace: &str, of: &str, keys: &[&str]) -> Delta {
    let mut subscriber = Subscriber::new(name(namespace, of), of.into());
    subscriber.ask_policies(HashMap::new());
    subscriber.ask_traffic(HashMap::new());
    let keys = keys.iter().map(ToString::to_string).collect();
    subscriber.ask_services(keys, HashMap::new()).unwrap();
    index.delta(&mut subscriber).expect("the pod is there")
}

/// The spec of the document that a destination means, if it means one.
pub(super) fn spec(index: &Index, client: (&str, &str), key: &str) -> Option<Value> {
    let delta = asks(index, client.0, client.1, &[key]).services?;
    let (_, document) = delta.changed.into_iter().next()?;
    Some(messages::spec(&document, &index.settings().root_namespace))
}

/// The names of the policies a pod gets.
pub(super) fn policies(index: &Index, namespace: &str, of: &str) -> Vec<String> {
    let delta = asks(index, namespace, of, &[]).policies.unwrap();
    delta.changed.into_iter().map(|(name, _)| name).filter(|name| name != "Workload").collect()
}

#[test]
fn a_service_is_what_its_endpoints_pods_are() {
    let index = index(shop());
    let spec = spec(&index, ("shop", "frontend-1"), "10.96.0.1:80").unwrap();
    assert_eq!(
        spec,
        json!({
            "hosts": ["cart.shop.svc.cluster.local"],
            "addresses": ["10.96.0.1"],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
            "endpoints": [{"address": "10.1.0.1"}],
            "subjectAltNames": ["spiffe://cluster.local/ns/shop/sa/cart"],
        })
    );
}

#[test]
fn destinations_are_found_by_every_name_a_client_may_use() {
    let mut events = shop();
    events.push(pod("bank", "teller-1", "teller", "10.1.0.9"));
    let index = index(events);
    let check = |namespace: &str, of: &str, key: &str, expect: bool| {
        assert_eq!(spec(&index, (namespace, of), key).is_some(), expect, "{key} from {namespace}");
    };
    for key in ["cart", "cart.shop", "cart.shop.svc", "CART.shop.svc.cluster.local"] {
        check("shop", "frontend-1", key, true);
    }
    check("bank", "teller-1", "cart", false);
    check("bank", "teller-1", "cart.shop", true);
    check("shop", "frontend-1", "10.96.0.1:80", true);
    check("shop", "frontend-1", "[::ffff:10.96.0.1]:80", true);
    check("shop", "frontend-1", "10.1.0.1:8080", true);
    check("shop", "frontend-1", "10.2.0.1:8080", false);
    check("shop", "frontend-1", "cart.nowhere", false);
    check("shop", "frontend-1", &"a".repeat(300), false);
}

#[test]
fn an_endpoint_is_believed_for_its_pod_alone() {
    let check =
        |row: &str, endpoints: &[(&str, &str)], change: &dyn Fn(&mut Pod), expect: usize| {
            let mut events = shop();
            if let Event::Pod(_, Some(pod)) = &mut events[0] {
                change(pod);
            }
            events.push(slice("shop", "cart", endpoints));
            let index = index(events);
            let spec = spec(&index, ("shop", "frontend-1"), "cart").unwrap();
            let listed = spec["endpoints"].as_array().map_or(0, Vec::len);
            assert_eq!(listed, expect, "{row}: {spec}");
            assert_eq!(spec["subjectAltNames"].is_null(), expect == 0, "{row}: {spec}");
        };
    check("its pod", &[("10.1.0.1", "cart-1")], &|_| {}, 1);
    check("no pod", &[("10.1.0.1", "")], &|_| {}, 0);
    check("a pod that is not there", &[("10.1.0.1", "cart-2")], &|_| {}, 0);
    check("the address of another pod", &[("10.1.0.2", "cart-1")], &|_| {}, 0);
    check("a pod without a proxy", &[("10.1.0.1", "cart-1")], &|pod| pod.has_proxy = false, 0);
    check("a pod that has ended", &[("10.1.0.1", "cart-1")], &|pod| pod.ended = true, 0);
}

#[test]
fn endpoints_without_a_proxy_are_named() {
    let mut events = shop();
    events.push(slice("shop", "cart", &[("10.1.0.1", "cart-1"), ("10.1.0.7", "")]));
    let mut index = index(events);
    assert!(index.outsiders(10).is_empty(), "the namespace is no member");
    index.apply(Event::Namespace(
        "shop".into(),
        Some(Namespace { member: true, ..Namespace::default() }),
    ));
    let outsiders = index.outsiders(10);
    assert_eq!(outsiders.len(), 1);
    assert_eq!(outsiders[0].service, name("shop", "cart"));
    assert_eq!(outsiders[0].ip.to_string(), "10.1.0.7");
    let delta = asks(&index, "shop", "frontend-1", &["cart"]).services.unwrap();
    let message = messages::read(&delta.changed[0].1);
    assert_eq!(message.endpoints_without_proxy, ["10.1.0.7"]);
}

#[test]
fn ten_thousand_endpoints_in_one_service() {
    let mut events = vec![
        service("shop", "big", "10.96.0.3", 80),
        pod("shop", "client-1", "client", "10.200.0.1"),
        pod("shop", "client-2", "client", "10.200.0.2"),
    ];
    let ip = |number: u32| std::net::Ipv4Addr::from(0x0a01_0000 + number).to_string();
    for part in 0..100 {
        let mut endpoints = Vec::new();
        for number in part * 100..(part + 1) * 100 {
            events.push(pod("shop", &format!("big-{number}"), "big", &ip(number)));
            endpoints.push((ip(number), format!("big-{number}")));
        }
        let endpoints: Vec<_> = endpoints.iter().map(|(ip, pod)| (&**ip, &**pod)).collect();
        let Event::Slice(_, object) = slice("shop", "big", &endpoints) else { panic!("a slice") };
        events.push(Event::Slice(name("shop", &format!("big-{part}")), object));
    }
    let index = index(events);
    let one = spec(&index, ("shop", "client-1"), "big").unwrap();
    let two = spec(&index, ("shop", "client-2"), "big").unwrap();
    let count = |spec: &Value| spec["endpoints"].as_array().unwrap().len();
    assert!(count(&one) <= 1000 && count(&one) > 500, "{}", count(&one));
    assert_ne!(one["endpoints"], two["endpoints"], "each has its own share");
    for number in [0, 5000, 9999] {
        // What it dials itself it is told, whatever its share is.
        let spec = spec(&index, ("shop", "client-1"), &format!("{}:8080", ip(number))).unwrap();
        assert!(spec["endpoints"].to_string().contains(&format!("\"{}\"", ip(number))));
    }
}

#[test]
fn the_workload_is_told_its_labels_and_what_its_ports_speak() {
    let index = index(shop());
    let delta = asks(&index, "shop", "cart-1", &[]).policies.unwrap();
    let (_, document) = delta.changed.iter().find(|(name, _)| name == "Workload").unwrap();
    let value: Value = serde_json::from_slice(&document.bytes).unwrap();
    assert_eq!(
        value["spec"],
        json!({
            "serviceAccount": "cart", "labels": {"app": "cart"}, "ports": {"8080": "http"},
            "service": "cart.shop.svc.cluster.local",
        })
    );
}
