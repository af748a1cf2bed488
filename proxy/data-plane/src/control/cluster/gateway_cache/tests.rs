#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use policy::{GatewaySelection, GatewayTable};
use serde_json::{Value, json};

use super::*;

const GROUP: &str = "gateway.networking.k8s.io";

fn document(name: &str, value: &Value) -> ResourceDocument {
    let bytes = value.to_string().into_bytes();
    ResourceDocument { name: name.into(), version: bytes.len().to_string(), bytes }
}

fn gateway(ports: &[u16]) -> ResourceDocument {
    let listener =
        |port: &u16| json!({"name": format!("port-{port}"), "protocol": "HTTP", "port": port});
    let gateway = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {
            "gatewayClassName": "postern",
            "listeners": ports.iter().map(listener).collect::<Vec<_>>(),
        },
    });
    document("Gateway/shop/edge", &gateway)
}

fn clients(spec: &Value) -> ResourceDocument {
    let mut spec = spec.clone();
    spec["targetRefs"] = json!([{"group": GROUP, "kind": "Gateway", "name": "edge"}]);
    let policy = json!({
        "apiVersion": "policy.postern.dev/v1alpha1", "kind": "ClientTrafficPolicy",
        "metadata": {"name": "p", "namespace": "shop"}, "spec": spec,
    });
    document("ClientTrafficPolicy/shop/p", &policy)
}

fn ports(cache: &GatewayCache) -> Vec<u16> {
    let table = GatewayTable::build(cache.resources(), &GatewaySelection::default());
    table.ports().map(|port| port.number).collect()
}

#[test]
fn a_restriction_that_is_not_read_opens_nothing() {
    let (good, bad) = (json!({"tls": {"minimumVersion": "1.3"}}), json!({"tsl": {}}));
    let mut cache = GatewayCache::new("postern-system");
    cache.take(vec![clients(&bad), gateway(&[80])], &[]);
    assert!(ports(&cache).is_empty() && cache.refused().count() == 1);
    cache.take(vec![clients(&good)], &[]);
    assert_eq!(ports(&cache), [80]);
    cache.take(vec![clients(&bad), gateway(&[80, 81])], &[]);
    assert_eq!(ports(&cache), [80, 81], "the version before it holds");
    assert_eq!(cache.resources().client_traffic_policies().len(), 1);
    let other = ResourceDocument { name: "ClientTrafficPolicy/shop/q".into(), ..clients(&bad) };
    cache.take(vec![other, gateway(&[82])], &[]);
    assert_eq!(ports(&cache), [80, 81], "nothing of what comes with a gap");
    cache.take(Vec::new(), &["ClientTrafficPolicy/shop/q".to_owned()]);
    assert_eq!(ports(&cache), [82]);
}

#[test]
fn a_gateway_with_a_mistake_stays_as_it_was() {
    let mut cache = GatewayCache::new("postern-system");
    cache.take(vec![gateway(&[80])], &[]);
    let mut bad: Value = serde_json::from_slice(&gateway(&[81]).bytes).unwrap();
    bad["spec"]["listenres"] = json!([]);
    cache.take(vec![document("Gateway/shop/edge", &bad)], &[]);
    assert_eq!((ports(&cache), cache.refused().count()), (vec![80], 1));
    assert!(cache.take_changed() && !cache.has_changed());
    cache.take(Vec::new(), &["Gateway/shop/edge".to_owned()]);
    assert!(ports(&cache).is_empty() && cache.versions().is_empty());
}
