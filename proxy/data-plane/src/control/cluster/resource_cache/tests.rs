#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use crate::control::cluster::resource_cache::*;

fn held() -> ResourceCache {
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: BTreeMap::new(),
    };
    ResourceCache::new("postern-system", &workload)
}

fn document(name: &str, value: &Value) -> ResourceDocument {
    ResourceDocument {
        name: name.into(),
        version: "1".into(),
        bytes: value.to_string().into_bytes(),
    }
}

fn policy(name: &str, spec: &Value) -> ResourceDocument {
    let value = json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    });
    document(&format!("AuthorizationPolicy/shop/{name}"), &value)
}

fn service(key: &str, host: &str, address: &str) -> ResourceDocument {
    let value = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "cart.shop", "namespace": "postern-system"},
        "spec": {
            "hosts": [host],
            "addresses": ["10.0.0.1"],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
            "endpoints": [{"address": address}],
            "subjectAltNames": ["spiffe://cluster.local/ns/shop/sa/cart"],
        },
    });
    document(key, &value)
}

fn names(told: &ClusterState) -> Vec<String> {
    told.resources.authorization_policies().iter().map(|p| p.name().to_string()).collect()
}

#[test]
fn a_bad_version_leaves_the_last_accepted_one() {
    let mut held = held();
    held.take_policies(vec![policy("p", &json!({"action": "ALLOW"}))], &[]);
    let bad = policy("p", &json!({"action": "ALLOW", "ruels": []}));
    held.take_policies(vec![bad, policy("q", &json!({}))], &[]);
    let told = held.told();
    assert_eq!(names(&told), ["shop/p", "shop/q"]);
    assert_eq!(told.refused.len(), 1, "{:?}", told.refused);
    held.take_policies(vec![policy("p", &json!({}))], &[]);
    assert!(held.told().refused.is_empty());
}

#[test]
fn a_bad_first_version_denies_and_everything_else_stands() {
    let mut held = held();
    let bad = policy("p", &json!({"action": "allow it"}));
    held.take_policies(vec![bad, policy("q", &json!({}))], &[]);
    let told = held.told();
    assert_eq!(names(&told), ["shop/q", "shop/refused-authorizationpolicy-shop-p"]);
    held.take_policies(vec![], &["AuthorizationPolicy/shop/p".to_owned()]);
    assert_eq!(names(&held.told()), ["shop/q"]);
}

#[test]
fn the_workload_is_what_the_cluster_says_but_not_who_it_is() {
    let mut held = held();
    let told = json!({"spec": {"serviceAccount": "root", "labels": {"app": "cart"},
        "ports": {"8080": "http", "9": "morse"}, "service": "cart.shop.svc.cluster.local"}});
    held.take_policies(vec![document("Workload", &told)], &[]);
    let told = held.told();
    assert_eq!(told.workload.service_account, "cart");
    assert_eq!(told.workload.labels["app"], "cart");
    assert_eq!(told.ports, BTreeMap::from([(8080, Protocol::Http)]));
    assert_eq!(told.service.as_deref(), Some("cart.shop.svc.cluster.local"));
    held.take_policies(vec![document("Workload", &json!({"spec": {"labels": 1}}))], &[]);
    assert_eq!(held.told().workload.labels["app"], "cart");
    assert_eq!(held.told().refused.len(), 1);
}

#[test]
fn two_destinations_of_one_service_are_one_service() {
    let mut held = held();
    let host = "cart.shop.svc.cluster.local";
    held.take_services(
        vec![service("cart", host, "10.1.0.1"), service("10.0.0.1:80", host, "10.1.0.1")],
        &[],
    );
    assert_eq!(held.told().resources.service_entries().len(), 1);
    assert_eq!(held.destinations().len(), 2);
    held.forget_services(&["cart".to_owned()]);
    assert_eq!(held.destinations().len(), 1);
}

#[test]
fn services_that_contradict_each_other_are_left_out_and_policies_stand() {
    let mut held = held();
    held.take_policies(vec![policy("p", &json!({}))], &[]);
    let host = "cart.shop.svc.cluster.local";
    held.take_services(
        vec![service("cart", host, "10.1.0.1"), service("10.0.0.1:80", host, "10.1.0.2")],
        &[],
    );
    let told = held.told();
    assert_eq!(names(&told), ["shop/p"]);
    assert!(told.resources.service_entries().len() < 2);
    assert!(!told.refused.is_empty());
}

/// A pod's port may be called `http` where the Service says `appProtocol: kubernetes.io/h2c`.
#[test]
fn what_a_service_says_of_a_port_comes_before_the_name_in_the_pod() {
    let config = json!({
        "workload": {"namespace": "shop", "serviceAccount": "cart"},
        "identity": {"workloadApi": "unix:///a"},
        "inbound": {"ports": {"8080": {"protocol": "http"}, "9090": {"protocol": "grpc"}}},
    });
    let config = crate::control::config::Config::parse("p", config.to_string().as_bytes()).unwrap();
    let installer = crate::control::installer::ResourceInstaller::new(config, 1).unwrap();
    let state = &installer.state;
    assert_eq!(state.port_protocol(8080), Protocol::Http, "nothing was told yet");
    let mut held = held();
    let told = json!({"spec": {"serviceAccount": "cart", "labels": {}, "ports": {"8080": "http2", "7": "tcp"}}});
    held.take_policies(vec![document("Workload", &told)], &[]);
    installer.install_cluster(&held.told());
    assert_eq!(state.port_protocol(8080), Protocol::Http2);
    assert_eq!(state.port_protocol(9090), Protocol::Grpc, "no Service speaks of it");
    assert_eq!(state.port_protocol(7), Protocol::Tcp);
    assert_eq!(state.port_protocol(8), Protocol::Auto);
}
