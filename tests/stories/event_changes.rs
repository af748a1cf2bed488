//! What is open at a broker follows the policies, the connections that are let in, and the certificates.

use futures_util::{FutureExt as _, StreamExt as _};
use postern_tests::certificates::replace;
use postern_tests::{Broker, BrokerKind, EventClient, Mesh, raw, wait};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::event_nats::{self, Nats};
use crate::event_scene::{
    self, Events, may_connect, publish, rule, subscribe, together, topic_policy,
};

/// Orders may publish, and payments receive, these.
fn orders_to_payments(kind: BrokerKind, sent: &[&str], received: Value) -> String {
    let rules = json!([rule("orders", &[publish(sent)]), rule("payments", &[received])]);
    topic_policy(kind, "bus", "ALLOW", &rules)
}

#[test]
fn f12_policy_tightened_or_removed_a_subscription_at_nats_ends_and_its_connection_goes_on() {
    let policy = |received: &[&str]| {
        let sent = publish(&["bus.>"]);
        let settled = json!({"operations": ["publish", "subscribe"], "topics": ["settled"]});
        let rules = [rule("orders", &[sent]), rule("payments", &[subscribe(received), settled])];
        topic_policy(BrokerKind::Nats, "bus", "ALLOW", &json!(rules))
    };
    let scene = event_scene::events(BrokerKind::Nats, &policy(&["bus.orders.*", "bus.kept"]));
    let server = scene.broker.at();
    let orders = scene.orders.run(Nats::connect(server, "bank", "orders"));
    let (mut payments, mut open) = scene.payments.run(async move {
        let payments = Nats::connect(server, "bank", "payments").await;
        let open = payments.client.subscribe("bus.orders.*").await.unwrap();
        payments.settle("settled").await;
        (payments, open)
    });
    let orders = scene.orders.run(async move {
        orders.publish("bus.orders.new", "1").await;
        orders
    });
    let (mut open, first) = scene.payments.run(async move {
        let first = timeout(wait::PATIENCE, open.next()).await.unwrap().unwrap();
        (open, first.payload)
    });
    assert_eq!(&first[..], b"1");
    scene.set_topics(&policy(&["bus.kept"]));
    let (mut kept, payments) = scene.payments.run(async move {
        payments.expect_event("permissions violation for subscription to \"bus.orders.*\"").await;
        let kept = payments.client.subscribe("bus.kept").await.unwrap();
        payments.settle("settled").await;
        (kept, payments)
    });
    let _orders = scene.orders.run(async move {
        orders.publish("bus.orders.new", "2").await;
        orders.publish("bus.kept", "3").await;
        orders
    });
    scene.payments.run(async move {
        let kept = timeout(wait::PATIENCE, kept.next()).await.unwrap().unwrap();
        assert_eq!(&kept.payload[..], b"3");
        assert!(open.next().now_or_never().flatten().is_none(), "what is refused still comes");
        drop(payments);
    });
}

#[test]
fn f12_policy_tightened_or_removed_a_client_of_mqtt_is_dismissed() {
    let kind = BrokerKind::Mosquitto;
    let policy = |received: &[&str]| orders_to_payments(kind, &["bus/+"], subscribe(received));
    for version in [5, 4] {
        let scene = event_scene::events(kind, &policy(&["bus/+"]));
        let payments = connect_mqtt(&scene, "payments", version);
        let granted = payments.done("subscribe", &json!({"filters": ["bus/orders"]}));
        assert_eq!(granted, json!(["Granted QoS 1"]));
        let orders = connect_mqtt(&scene, "orders", version);
        orders.done("publish", &json!({"topic": "bus/orders", "payload": "1"}));
        assert_eq!(payments.done("next", &json!({}))["payload"], "1");
        scene.set_topics(&policy(&["bus/other"]));
        let end = payments.done("end", &json!({}));
        assert!(end == "Not authorized" || version == 4, "{end}");
        // Nobody else is concerned.
        orders.done("publish", &json!({"topic": "bus/orders", "payload": "2"}));
    }
}

/// A client of the pod with this name, whose id is its own.
fn connect_mqtt(scene: &Events, account: &str, version: u8) -> EventClient {
    let pods = [&scene.orders, &scene.payments, &scene.audit];
    let pod = pods.into_iter().find(|pod| pod.name() == account).unwrap();
    let client = EventClient::paho(pod);
    let connect = json!({
        "host": scene.broker.host(), "port": scene.broker.kind().port(),
        "client_id": format!("bank.{account}"), "version": version,
    });
    assert_eq!(client.done("connect", &connect), "Success");
    client
}

#[test]
fn f12_policy_tightened_or_removed_a_consumer_of_kafka_gets_nothing_more() {
    let kind = BrokerKind::Tansu;
    let create = json!({"operations": ["create"], "topics": ["orders"]});
    let create = topic_policy(kind, "create", "ALLOW", &json!([rule("audit", &[create])]));
    let policy = |received: &str| {
        let received =
            json!({"operations": ["subscribe"], "topics": [received], "groups": ["payments"]});
        together(&[orders_to_payments(kind, &["orders"], received), create.clone()])
    };
    let scene = event_scene::events(kind, &policy("orders"));
    let servers = scene.broker.address();
    let audit = EventClient::confluent(&scene.audit, &servers, &json!({}));
    audit.done("create_topics", &json!({"topics": ["orders"]}));
    let orders = EventClient::confluent(&scene.orders, &servers, &json!({}));
    let send = |value: &str| orders.done("produce", &json!({"topic": "orders", "value": value}));
    send("1");
    let receiver = || {
        let settings = json!({"group.id": "payments"});
        let client = EventClient::confluent(&scene.payments, &servers, &settings);
        client.done("subscribe", &json!({"topics": ["orders"]}));
        client
    };
    let payments = receiver();
    assert_eq!(payments.done("consume", &json!({}))[0]["value"], "1");
    scene.set_topics(&policy("others"));
    scene.broker.pod().expect_log(&[
        ("kind", "message"),
        ("source_principal", &scene.payments.principal()),
        ("topic", "orders"),
        ("decision", "deny"),
    ]);
    send("2");
    let refused = payments.refused("consume", &json!({}));
    assert_eq!(refused.code, "TOPIC_AUTHORIZATION_FAILED", "{refused:?}");
    drop(payments);
    let refused = receiver().refused("consume", &json!({}));
    assert_eq!(refused.code, "TOPIC_AUTHORIZATION_FAILED", "{refused:?}");
    send("3");
}

#[test]
fn f12_policy_tightened_or_removed_who_may_not_connect_any_more_is_cut() {
    let rules = json!([rule("orders", &[publish(&["a"])]), rule("payments", &[publish(&["a"])])]);
    let policy = topic_policy(BrokerKind::Nats, "bus", "ALLOW", &rules);
    let scene = event_scene::events(BrokerKind::Nats, &policy);
    let server = scene.broker.at();
    let mut orders = scene.orders.run(event_nats::open(server));
    let mut payments = scene.payments.run(event_nats::open(server));
    scene.mesh.policy("broker-connect", &may_connect(&["orders"]));
    let end = scene.payments.run(async move { raw::hear(&mut payments, wait::PATIENCE).await });
    assert_ne!(end.end, raw::End::Silent, "{end:?}");
    let answer = scene.orders.run(async move { event_nats::say(&mut orders, "PING\r\n").await });
    assert_eq!(answer, "PONG\r");
}

#[test]
fn s28_revocation_of_a_client_of_a_broker_ends_its_session() {
    let mesh = Mesh::start();
    let day = time::Duration::days(1);
    mesh.policy("connect", &may_connect(&["orders", "payments"]));
    let rules = json!([rule("orders", &[publish(&["a"])]), rule("payments", &[publish(&["a"])])]);
    mesh.policy("topics", &topic_policy(BrokerKind::Nats, "bus", "ALLOW", &rules));
    let broker = event_scene::pod(&mesh, "broker")
        .config(json!({"identity": {"files": {"crl": "/run/postern/resources/crl.pem"}}}));
    let list = mesh.directory().join("resources/crl.pem");
    replace(&list, &mesh.test_authority().crl_pem(&[], day));
    let broker = Broker::start(BrokerKind::Nats, "nats", broker);
    let orders = event_scene::pod(&mesh, "orders").start();
    let payments = event_scene::pod(&mesh, "payments").lay_out();
    let svid = mesh.test_authority().workload("bank", "payments");
    svid.write(payments.directory());
    payments.start_processes();
    payments.ready();
    let server = broker.at();
    let mut kept = orders.run(event_nats::open(server));
    let mut cut = payments.run(event_nats::open(server));
    replace(&list, &mesh.test_authority().crl_pem(&[&svid], day));
    let end = payments.run(async move { raw::hear(&mut cut, wait::PATIENCE).await });
    assert_ne!(end.end, raw::End::Silent, "{end:?}");
    let revoked = [("direction", "inbound"), ("reason", "peer_revoked")];
    broker.pod().expect_metric("postern_connections_closed_total", &revoked);
    let answer = orders.run(async move { event_nats::say(&mut kept, "PING\r\n").await });
    assert_eq!(answer, "PONG\r");
}
