//! Each client that the stories have talks to each broker through two sidecars, as opaque bytes.

use std::time::Duration;

use futures_util::StreamExt as _;
use postern_tests::{BrokerKind, EventClient, Pod};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::event_scene;

const PATIENCE: Duration = Duration::from_secs(20);

/// The connection was one of the mesh.
#[track_caller]
fn expect_caller(scene: &event_scene::Events, caller: &Pod) {
    scene.broker.pod().expect_log(&[
        ("kind", "connection"),
        ("direction", "inbound"),
        ("protocol", "tcp"),
        ("source_principal", &caller.principal()),
    ]);
}

#[test]
fn async_nats_reaches_nats_server_and_its_jetstream() {
    let scene = event_scene::opaque(BrokerKind::Nats);
    let address = scene.broker.at().to_string();
    let heard = scene.orders.run(async move {
        let client = async_nats::connect(&address).await.unwrap();
        let mut orders = client.subscribe("orders.new").await.unwrap();
        client.publish("orders.new", "42".into()).await.unwrap();
        let message = timeout(PATIENCE, orders.next()).await.unwrap().unwrap();
        let jetstream = async_nats::jetstream::new(client.clone());
        let subjects = vec!["ledger.>".to_owned()];
        let config = async_nats::jetstream::stream::Config {
            name: "ledger".to_owned(),
            subjects,
            ..Default::default()
        };
        jetstream.create_stream(config).await.unwrap();
        let stored = jetstream.publish("ledger.a", "7".into()).await.unwrap().await.unwrap();
        client.drain().await.unwrap();
        (message.payload, stored.sequence)
    });
    assert_eq!((&heard.0[..], heard.1), (&b"42"[..], 1));
    expect_caller(&scene, &scene.orders);
}

#[test]
fn rumqttc_and_paho_reach_mosquitto() {
    let scene = event_scene::opaque(BrokerKind::Mosquitto);
    let paho = EventClient::paho(&scene.audit);
    for version in [4, 5] {
        let host = scene.broker.host();
        let connect = json!({"host": host, "port": 1883, "client_id": "audit", "version": version});
        assert_eq!(paho.done("connect", &connect), "Success");
        let codes = paho.done("subscribe", &json!({"filters": ["orders/+"]}));
        assert_eq!(codes, json!(["Granted QoS 1"]));
        let address = scene.broker.pod().ipv4().to_string();
        let acknowledged = scene.orders.run(async move {
            let options = MqttOptions::new("orders", address, 1883);
            let (client, mut events) = AsyncClient::new(options, 10);
            client.publish("orders/new", QoS::AtLeastOnce, false, "42").await.unwrap();
            let acknowledged = async {
                loop {
                    if let Event::Incoming(Packet::PubAck(_)) = events.poll().await.unwrap() {
                        return true;
                    }
                }
            };
            timeout(PATIENCE, acknowledged).await.unwrap()
        });
        assert!(acknowledged);
        let message = paho.done("next", &json!({}));
        assert_eq!((&message["topic"], &message["payload"]), (&json!("orders/new"), &json!("42")));
        assert_eq!(
            paho.done("publish", &json!({"topic": "orders/own", "payload": "y"})),
            "Success"
        );
        paho.done("disconnect", &json!({}));
        assert_ne!(paho.done("end", &json!({})), Value::Null);
    }
    expect_caller(&scene, &scene.audit);
    expect_caller(&scene, &scene.orders);
}

#[test]
fn librdkafka_and_aiokafka_reach_tansu() {
    let scene = event_scene::opaque(BrokerKind::Tansu);
    let servers = scene.broker.address();
    let confluent = EventClient::confluent(
        &scene.orders,
        &servers,
        &json!({"group.id": "orders", "transactional.id": "orders-1"}),
    );
    let made = confluent.done("create_topics", &json!({"topics": ["orders"]}));
    assert_eq!(made, json!({"orders": "done"}));
    confluent.done("init_transactions", &json!({}));
    confluent.done("begin_transaction", &json!({}));
    let sent = confluent.done("produce", &json!({"topic": "orders", "value": "42"}));
    assert_eq!(sent, json!({"topic": "orders", "partition": 0, "offset": 0}));
    confluent.done("commit_transaction", &json!({}));
    let aiokafka = EventClient::aiokafka(
        &scene.payments,
        &servers,
        &json!({"consumer": {"group_id": "payments"}}),
    );
    aiokafka.done("subscribe", &json!({"topics": ["orders"]}));
    let heard = aiokafka.done("consume", &json!({}));
    assert_eq!(heard[0]["value"], "42", "{heard}");
    aiokafka.done("commit", &json!({}));
    aiokafka.done("produce", &json!({"topic": "orders", "value": "43"}));
    confluent.done("subscribe", &json!({"topics": ["orders"]}));
    let heard = confluent.done("consume", &json!({"count": 2}));
    assert_eq!((&heard[0]["value"], &heard[1]["value"]), (&json!("42"), &json!("43")), "{heard}");
    confluent.done("commit", &json!({}));
    confluent.done("close_consumer", &json!({}));
    expect_caller(&scene, &scene.orders);
}
