//! Policies about messages from a cluster: the port's protocol comes from its Service, the policy from the API.

use postern_tests::{Broker, BrokerKind, Mesh, wait};
use serde_json::{Value, json};

use crate::cluster::{self, ControlPlane};
use crate::event_nats;

const TOPIC_POLICIES: &str = "policy.postern.dev/v1alpha1/topicpolicies";

fn object(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": "shop"});
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
}

/// The Service of the broker, whose port is named for what it speaks, and its endpoint.
fn put_service(plane: &ControlPlane, broker: &postern_tests::Pod) {
    plane.api.put(json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "broker", "namespace": "shop"},
        "spec": {
            "type": "ClusterIP", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "selector": {"app": "broker"},
            "ports": [{"name": "nats-clients", "port": 4222, "protocol": "TCP", "targetPort": 4222}],
        },
    }));
    plane.api.put(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {
            "name": "broker-1", "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "broker"},
        },
        "endpoints": [{
            "addresses": [broker.ipv4().to_string()], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": "broker", "namespace": "shop"},
        }],
        "ports": [{"name": "nats-clients", "port": 4222, "protocol": "TCP"}],
    }));
}

#[test]
fn a_topic_policy_in_the_api_is_enforced_edited_and_taken_back() {
    let mesh = Mesh::with_authority();
    let plane = cluster::control_plane(&mesh);
    let orders = cluster::pod(&mesh, &plane.pod, "orders").lay_out();
    let connect = json!({
        "selector": {"matchLabels": {"app": "broker"}},
        "rules": [{"from": [{"source": {"principals": [orders.principal()]}}]}],
    });
    plane.api.put(object("security.istio.io/v1", "AuthorizationPolicy", "connect", &connect));
    // Its proxy has no port declared: what it speaks is learned from the Service.
    let broker = cluster::pod(&mesh, &plane.pod, "broker").known_by_files();
    let broker = broker.config(json!({"inbound": null})).config(json!({"inbound": {}}));
    let broker = Broker::start_known(BrokerKind::Nats, "nats", broker, |pod| {
        plane.api.put(cluster::pod_object(pod));
        put_service(&plane, pod);
    });
    plane.api.put(cluster::pod_object(&orders));
    orders.start_processes();
    orders.ready();
    let server = broker.at();
    let publish = |subject: &'static str| {
        orders.run(async move {
            let mut stream = event_nats::open(server).await;
            event_nats::say(&mut stream, &format!("PUB {subject} 0\r\n\r\nPING\r\n")).await
        })
    };
    let policy = |topics: &[&str]| {
        let operation = json!({"operations": ["publish"], "topics": topics});
        let spec = json!({
            "selector": {"matchLabels": {"app": "broker"}}, "protocol": "nats",
            "rules": [{
                "from": [{"source": {"principals": [orders.principal()]}}],
                "to": [{"operation": operation}],
            }],
        });
        plane.api.put(object("policy.postern.dev/v1alpha1", "TopicPolicy", "bus", &spec));
    };
    let becomes = |what: &str, subject: &'static str, expected: &str| {
        wait::until(what, wait::PATIENCE, || {
            let heard = publish(subject);
            if heard.starts_with(expected) { Ok(()) } else { Err(heard) }
        });
    };
    const REFUSED: &str = "-ERR 'Permissions Violation for Publish";
    becomes("everything to be refused without a policy", "bus.orders", REFUSED);
    policy(&["bus.orders"]);
    becomes("the policy to act", "bus.orders", "PONG");
    assert!(publish("bus.payments").starts_with(REFUSED));
    policy(&["bus.payments"]);
    becomes("the edit to act", "bus.payments", "PONG");
    assert!(publish("bus.orders").starts_with(REFUSED));
    plane.api.delete(TOPIC_POLICIES, "shop", "bus");
    becomes("the removal to act", "bus.payments", REFUSED);
}
