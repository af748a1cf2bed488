#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use policy::Snapshot;
use prost::Message as _;
use serde_json::json;

use super::super::proto::Resource;
use super::super::service_message::proto;
use super::*;
use crate::connection::registry::{Connection, ReviewableStream};
use crate::control::config::Config;
use crate::labels::Direction;

fn installer() -> ResourceInstaller {
    let text = json!({
        "workload": {"namespace": "shop", "serviceAccount": "frontend"},
        "identity": {"workloadApi": "unix:///run/agent.sock"},
        "resources": {"controller": {
            "address": "controller:15010",
            "identity": "spiffe://cluster.local/ns/postern-system/sa/postern-controller",
            "pod": {"name": "frontend", "uid": "1"},
        }},
    });
    ResourceInstaller::new(Config::parse("p", text.to_string().as_bytes()).unwrap(), 1).unwrap()
}

fn cache(installer: &ResourceInstaller) -> ResourceCache {
    let config = &installer.config;
    ResourceCache::new(&config.root_namespace, &config.workload, &config.trust_domain)
}

fn answer(type_url: &str, name: &str, value: Vec<u8>) -> DeltaDiscoveryResponse {
    let resource = Some(prost_types::Any { type_url: type_url.to_owned(), value });
    let resource = Resource { version: "1".into(), resource, name: name.into() };
    DeltaDiscoveryResponse {
        resources: vec![resource],
        type_url: type_url.to_owned(),
        nonce: "n".into(),
        ..Default::default()
    }
}

fn policy(action: &str) -> DeltaDiscoveryResponse {
    let policy = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "shop"}, "spec": {"action": action, "rules": [{}]},
    });
    answer(POLICY_TYPE, "AuthorizationPolicy/shop/p", policy.to_string().into_bytes())
}

fn service(address: &str) -> DeltaDiscoveryResponse {
    let message = proto::Service {
        namespace: "postern-system".into(),
        name: "cart.shop".into(),
        hosts: vec!["cart.shop.svc.cluster.local".into()],
        location: proto::Location::Internal.into(),
        ports: vec![proto::Port {
            number: 80,
            target_port: 8080,
            name: "http".into(),
            protocol: proto::Protocol::Http.into(),
        }],
        resolution: proto::Resolution::Static.into(),
        endpoints: vec![proto::Endpoint { address: address.into(), ..Default::default() }],
        identities: Some(proto::Identities {
            ids: vec!["spiffe://cluster.local/ns/shop/sa/cart".into()],
        }),
        ..Default::default()
    };
    answer(SERVICE_TYPE, "cart:80", message.encode_to_vec())
}

/// Counts how often it is authorized again.
#[derive(Default)]
struct Counted(AtomicUsize);

impl ReviewableStream for Counted {
    fn review(&self, _connection: &Connection, _snapshot: &Snapshot) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_change_of_a_service_judges_no_connection_again() {
    let installer = installer();
    let (state, mut cache) = (&installer.state, cache(&installer));
    let demand = state.demand.as_ref().unwrap();
    let client = "10.0.0.7:1".parse().unwrap();
    let connection = state.registry.register(0, Direction::Inbound, client, client, 0);
    let judged = Arc::new(Counted::default());
    connection.add(judged.clone());
    let mut respond = |answer| take(&installer, demand, &mut cache, answer);
    let found = || state.services.table().by_host("cart", 80).cloned();
    assert!(respond(service("10.1.0.1")).error_detail.is_none());
    assert!(found().is_none(), "until policies have come nothing is in force");
    assert!(respond(policy("ALLOW")).error_detail.is_none());
    assert_eq!(judged.0.load(Relaxed), 1);
    let first = found().expect("what was told before is in force");
    let (policies, mut services) = (state.policy_changes(), state.services.changes());
    services.mark_unchanged();
    let snapshot = state.snapshot().clone();
    assert!(respond(service("10.1.0.2")).error_detail.is_none());
    assert!(!Arc::ptr_eq(&first, &found().unwrap()));
    assert!(services.has_changed().unwrap() && !policies.has_changed().unwrap());
    assert!(Arc::ptr_eq(&snapshot, &state.snapshot()));
    assert_eq!(judged.0.load(Relaxed), 1, "nobody was judged again");
    // A rejected message leaves the state unchanged, and the controller receives the rejection.
    let refused = respond(service("nowhere at all")).error_detail.unwrap();
    assert!(refused.message.contains("cart:80: the endpoint"), "{}", refused.message);
    assert_eq!(found().unwrap().endpoints.len(), 1);
    // A policy leaves the services unchanged, and is enforced.
    let (cart, version) = (found().unwrap(), state.services.table().version());
    respond(policy("ALLOW"));
    assert_eq!(judged.0.load(Relaxed), 1, "it says what it said before");
    respond(policy("DENY"));
    assert_eq!(judged.0.load(Relaxed), 2);
    assert!(Arc::ptr_eq(&cart, &found().unwrap()));
    assert_eq!(state.services.table().version(), version);
}

/// Routes are put in force together with those in the answers behind them, and before the service that they are of;
/// nobody that is connected is judged because of them.
#[test]
fn a_route_is_in_force_before_its_service_and_judges_nobody() {
    let installer = installer();
    let (state, mut cache) = (&installer.state, cache(&installer));
    let demand = state.demand.as_ref().unwrap();
    let mut respond = |answer| {
        let said = take(&installer, demand, &mut cache, answer).error_detail;
        (said, cache.traffic.has_changed())
    };
    respond(policy("ALLOW"));
    let (judged, mut changes) = (state.policy_changes(), state.services.changes());
    let route = |backend: &str| {
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "split", "namespace": "shop"},
            "spec": {
                "parentRefs": [{"group": "", "kind": "Service", "name": "cart"}],
                "rules": [{"backendRefs": [{"name": backend, "port": 80}]}],
            },
        });
        answer(TRAFFIC_TYPE, "HTTPRoute/shop/split", route.to_string().into_bytes())
    };
    let acts = || {
        let calls = state.services.calls();
        calls.routes.of_port("cart.shop.svc.cluster.local", 80, "http").is_some()
    };
    changes.mark_unchanged();
    assert_eq!(respond(route("cart-2")), (None, true));
    assert!(!acts() && !changes.has_changed().unwrap(), "it waits for what comes behind it");
    assert_eq!(respond(service("10.1.0.1")), (None, false));
    assert!(acts() && state.services.table().by_host("cart", 80).is_some());
    let (refused, _) = respond(route("cart/2"));
    let refused = refused.unwrap().message;
    assert!(refused.contains("HTTPRoute/shop/split"), "{refused}");
    respond(service("10.1.0.2"));
    assert!(acts(), "the version before stays");
    let gone = DeltaDiscoveryResponse {
        type_url: TRAFFIC_TYPE.to_owned(),
        removed_resources: vec!["HTTPRoute/shop/split".into()],
        ..Default::default()
    };
    assert_eq!(respond(gone), (None, true));
    put_traffic_in_force(&installer, &mut cache);
    assert!(!acts() && !cache.traffic.has_changed());
    assert!(!judged.has_changed().unwrap());
}

/// A controller of the previous version sends services in another form, under another name: none of it is guessed.
#[test]
fn services_of_another_version_are_not_read() {
    let installer = installer();
    let (state, mut cache) = (&installer.state, cache(&installer));
    let demand = state.demand.as_ref().unwrap();
    take(&installer, demand, &mut cache, policy("ALLOW"));
    let older = "type.googleapis.com/postern.dev.v1.Service";
    let entry = json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry"});
    let bytes = entry.to_string().into_bytes();
    let said = take(&installer, demand, &mut cache, answer(older, "cart:80", bytes));
    assert_eq!(said.type_url, older);
    assert!(state.services.table().is_empty());
}

#[tokio::test]
async fn a_gateway_serves_what_it_is_told_and_a_sidecar_takes_none_of_it() {
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {
            "gatewayClassName": "postern",
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}],
        },
    });
    let told = || answer(GATEWAY_TYPE, "Gateway/shop/edge", gateway.to_string().into_bytes());
    for (row, is_gateway) in [("a gateway", true), ("a sidecar", false)] {
        let mut text = json!({
            "workload": {"namespace": "shop", "serviceAccount": "edge-postern"},
            "identity": {"workloadApi": "unix:///run/agent.sock"},
            "resources": {"controller": {
                "address": "controller:15010",
                "identity": "spiffe://cluster.local/ns/postern-system/sa/postern-controller",
                "pod": {"name": "edge-1", "uid": "1"},
            }},
        });
        if is_gateway {
            text["mode"] = "gateway".into();
            text["gateway"] = json!({"name": "shop/edge"});
        }
        let config = Config::parse("p", text.to_string().as_bytes()).unwrap();
        let installer = ResourceInstaller::new(config, 1).unwrap();
        let demand = installer.state.demand.as_ref().unwrap();
        let mut cache = cache(&installer);
        if is_gateway {
            cache = cache.at_the_edge();
        }
        let acknowledged = take(&installer, demand, &mut cache, told());
        assert_eq!(acknowledged.error_detail.is_none(), is_gateway, "{row}");
        put_traffic_in_force(&installer, &mut cache);
        let ports = installer.state.edge.ports().len();
        assert_eq!(ports, usize::from(is_gateway), "{row}");
    }
}
