#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use crate::control::cluster::resource_cache::*;

fn cache() -> ResourceCache {
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: BTreeMap::new(),
    };
    let domain = TrustDomain::parse("cluster.local").unwrap();
    ResourceCache::new("postern-system", &workload, &domain)
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

fn names(state: &ClusterState) -> Vec<String> {
    state.resources.authorization_policies().iter().map(|p| p.name().to_string()).collect()
}

#[test]
fn a_bad_version_leaves_the_last_accepted_one() {
    let mut cache = cache();
    cache.take_policies(vec![policy("p", &json!({"action": "ALLOW"}))], &[]);
    let bad = policy("p", &json!({"action": "ALLOW", "ruels": []}));
    cache.take_policies(vec![bad, policy("q", &json!({}))], &[]);
    assert_eq!(names(&cache.cluster_state()), ["shop/p", "shop/q"]);
    assert_eq!(cache.refused().len(), 1, "{:?}", cache.refused());
    cache.take_policies(vec![policy("p", &json!({}))], &[]);
    cache.cluster_state();
    assert!(cache.refused().is_empty());
}

#[test]
fn a_bad_first_version_denies_and_everything_else_stands() {
    let mut cache = cache();
    let bad = policy("p", &json!({"action": "allow it"}));
    cache.take_policies(vec![bad, policy("q", &json!({}))], &[]);
    assert_eq!(
        names(&cache.cluster_state()),
        ["shop/q", "shop/refused-authorizationpolicy-shop-p"]
    );
    cache.take_policies(vec![], &["AuthorizationPolicy/shop/p".to_owned()]);
    assert_eq!(names(&cache.cluster_state()), ["shop/q"]);
}

#[test]
fn the_workload_is_what_the_cluster_says_but_not_who_it_is() {
    let mut cache = cache();
    let workload = json!({"spec": {"serviceAccount": "root", "labels": {"app": "cart"},
        "ports": {"8080": "http", "9": "morse"}, "service": "cart.shop.svc.cluster.local"}});
    cache.take_policies(vec![document("Workload", &workload)], &[]);
    let state = cache.cluster_state();
    assert_eq!(state.workload.service_account, "cart");
    assert_eq!(state.workload.labels["app"], "cart");
    assert_eq!(state.ports, BTreeMap::from([(8080, Protocol::Http)]));
    assert_eq!(state.service.as_deref(), Some("cart.shop.svc.cluster.local"));
    cache.take_policies(vec![document("Workload", &json!({"spec": {"labels": 1}}))], &[]);
    assert_eq!(cache.cluster_state().workload.labels["app"], "cart");
    assert_eq!(cache.refused().len(), 1);
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
    let mut cache = cache();
    let workload = json!({"spec": {"serviceAccount": "cart", "labels": {}, "ports": {"8080": "http2", "7": "tcp"}}});
    cache.take_policies(vec![document("Workload", &workload)], &[]);
    installer.install_cluster(&cache.cluster_state());
    assert_eq!(state.port_protocol(8080), Protocol::Http2);
    assert_eq!(state.port_protocol(9090), Protocol::Grpc, "no Service speaks of it");
    assert_eq!(state.port_protocol(7), Protocol::Tcp);
    assert_eq!(state.port_protocol(8), Protocol::Auto);
}

#[test]
fn a_port_that_is_a_brokers_by_anybodys_word_is_a_brokers_for_everybody() {
    let listener = |port, protocol: &str| json!({"bind": format!("127.0.0.1:1{port}"), "forward": format!("127.0.0.1:{port}"), "protocol": protocol});
    let config = json!({
        "workload": {"namespace": "shop", "serviceAccount": "broker"},
        "identity": {"workloadApi": "unix:///a"},
        "inbound": {
            "ports": {"4222": {"protocol": "nats"}, "1883": {"protocol": "auto"}},
            "listeners": [
                listener(4222, "auto"), listener(1883, "mqtt"), listener(9092, "kafka"), listener(80, "tcp"),
                listener(81, "tcp"), listener(82, "auto"),
            ],
        },
    });
    let config = crate::control::config::Config::parse("p", config.to_string().as_bytes()).unwrap();
    for port in [4222, 1883, 9092] {
        assert_eq!(config.inbound.declared_protocol(port), config.inbound.port(port).protocol);
    }
    let installer = crate::control::installer::ResourceInstaller::new(config, 1).unwrap();
    let state = &installer.state;
    let said = |port| {
        let listeners = &state.settings.inbound.listeners;
        let listener = listeners.iter().find(|listener| listener.forward.port() == port).unwrap();
        [state.port_protocol(port), state.listener_protocol(listener)]
    };
    assert_eq!(said(4222), [Protocol::Nats; 2]);
    assert_eq!(said(1883), [Protocol::Mqtt; 2]);
    assert_eq!(said(9092), [Protocol::Kafka; 2]);
    assert_eq!(said(80), [Protocol::Auto, Protocol::Tcp]);
    let mut cache = cache();
    let ports = json!({"4222": "tcp", "1883": "http", "9092": "nats", "80": "nats", "81": "http", "82": "mqtt"});
    let workload = json!({"spec": {"serviceAccount": "broker", "labels": {}, "ports": ports}});
    cache.take_policies(vec![document("Workload", &workload)], &[]);
    installer.install_cluster(&cache.cluster_state());
    assert_eq!(said(4222), [Protocol::Nats; 2]);
    assert_eq!(said(1883), [Protocol::Mqtt; 2]);
    assert_eq!(said(9092), [Protocol::Nats, Protocol::Kafka], "each its own broker");
    assert_eq!(said(80), [Protocol::Nats; 2]);
    assert_eq!(said(81), [Protocol::Http, Protocol::Tcp]);
    assert_eq!(said(82), [Protocol::Mqtt; 2]);
}
