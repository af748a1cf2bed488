//! Topics of Kafka clients: what each service may send, read and know of, and how its library tells it what it may not.

use std::net::SocketAddr;

use postern_tests::{BrokerKind, EventClient, Pod, wait};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::event_scene::{Events, events, rule, topic_policy};

/// Orders publishes to its topic, payments reads that and publishes to its own, and audit may make both.
fn bank() -> Events {
    events(BrokerKind::Tansu, &policies(&["orders", "orders.*"]))
}

/// The policies, where orders may publish to these topics.
fn policies(of_orders: &[&str]) -> String {
    let rules = json!([
        rule("orders", &[json!({"operations": ["publish"], "topics": of_orders})]),
        rule(
            "payments",
            &[
                json!({"operations": ["subscribe"], "topics": ["orders"], "groups": ["payments"]}),
                json!({"operations": ["publish"], "topics": ["payments"]}),
            ],
        ),
        rule("audit", &[json!({"operations": ["create"], "topics": ["*"]})]),
    ]);
    topic_policy(BrokerKind::Tansu, "events", "ALLOW", &rules)
}

fn confluent(scene: &Events, pod: &Pod, settings: &Value) -> EventClient {
    EventClient::confluent(pod, &scene.broker.address(), settings)
}

fn aiokafka(scene: &Events, pod: &Pod) -> EventClient {
    EventClient::aiokafka(pod, &scene.broker.address(), &json!({}))
}

fn make_topics(scene: &Events) {
    let audit = confluent(scene, &scene.audit, &json!({}));
    let made = audit.done("create_topics", &json!({"topics": ["orders", "payments"]}));
    assert_eq!(made, json!({"orders": "done", "payments": "done"}));
}

/// What the broker's proxy wrote of a refusal.
#[track_caller]
fn expect_refusal(scene: &Events, pod: &Pod, operation: &str, topic: &str) {
    scene.broker.pod().expect_log(&[
        ("kind", "message"),
        ("source_principal", &pod.principal()),
        ("protocol", "kafka"),
        ("operation", operation),
        ("topic", topic),
        ("decision", "deny"),
        ("reason", "topic_denied"),
    ]);
}

#[test]
fn a_client_publishes_to_its_own_topics_alone() {
    let scene = bank();
    make_topics(&scene);
    let own = json!({"topic": "orders", "value": "1"});
    let others = json!({"topic": "payments", "value": "1"});
    let librdkafka = confluent(&scene, &scene.orders, &json!({}));
    assert_eq!(librdkafka.done("produce", &own)["offset"], 0);
    let refused = librdkafka.refused("produce", &others);
    assert_eq!(refused.code, "TOPIC_AUTHORIZATION_FAILED", "{refused:?}");
    assert_eq!(librdkafka.done("produce", &own)["offset"], 1, "the connection goes on");
    let python = aiokafka(&scene, &scene.orders);
    assert_eq!(python.done("produce", &own)["offset"], 2);
    let refused = python.refused("produce", &others);
    assert_eq!(refused.class, "TopicAuthorizationFailedError", "{refused:?}");
    expect_refusal(&scene, &scene.orders, "describe", "payments");
    let counted = [("protocol", "kafka"), ("operation", "publish"), ("decision", "allow")];
    scene.broker.pod().expect_metric("postern_messages_total", &counted);
}

/// Who may read a topic knows of it: its messages themselves are refused.
#[test]
fn a_reader_does_not_publish() {
    let scene = bank();
    make_topics(&scene);
    let message = json!({"topic": "orders", "value": "forged"});
    let refused = confluent(&scene, &scene.payments, &json!({})).refused("produce", &message);
    assert_eq!(refused.code, "TOPIC_AUTHORIZATION_FAILED", "{refused:?}");
    let refused = aiokafka(&scene, &scene.payments).refused("produce", &message);
    assert_eq!(refused.class, "TopicAuthorizationFailedError", "{refused:?}");
    expect_refusal(&scene, &scene.payments, "publish", "orders");
}

#[test]
fn a_client_reads_its_own_topics_alone() {
    let scene = bank();
    make_topics(&scene);
    let orders = confluent(&scene, &scene.orders, &json!({}));
    orders.done("produce", &json!({"topic": "orders", "value": "42"}));
    let reader = confluent(&scene, &scene.payments, &json!({"group.id": "payments"}));
    reader.done("assign", &json!({"topic": "orders"}));
    assert_eq!(reader.done("consume", &json!({}))[0]["value"], "42");
    reader.done("produce", &json!({"topic": "payments", "value": "paid"}));
    let writer = confluent(&scene, &scene.payments, &json!({"group.id": "payments"}));
    writer.done("assign", &json!({"topic": "payments"}));
    let refused = writer.refused("consume", &json!({}));
    assert_eq!(refused.code, "TOPIC_AUTHORIZATION_FAILED", "{refused:?}");
    expect_refusal(&scene, &scene.payments, "subscribe", "payments");
    let python = aiokafka(&scene, &scene.payments);
    python.done("assign", &json!({"topic": "orders"}));
    assert_eq!(python.done("consume", &json!({}))[0]["value"], "42");
    python.done("assign", &json!({"topic": "payments"}));
    let refused = python.refused("consume", &json!({}));
    assert_eq!(refused.class, "TopicAuthorizationFailedError", "{refused:?}");
}

#[test]
fn topics_of_others_are_not_listed() {
    let scene = bank();
    make_topics(&scene);
    let listed = |pod| {
        let told = confluent(&scene, pod, &json!({})).done("topics", &json!({}));
        told["topics"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(listed(&scene.orders), ["orders"]);
    assert_eq!(listed(&scene.payments), ["orders", "payments"]);
    assert_eq!(aiokafka(&scene, &scene.orders).done("topics", &json!({})), json!(["orders"]));
    let orders = confluent(&scene, &scene.orders, &json!({"group.id": "none"}));
    let told = orders.done("topics", &json!({"topic": "payments"}));
    assert_eq!(told["topics"], json!({"payments": "TOPIC_AUTHORIZATION_FAILED"}));
    let (low_and_high, own) = (json!([0, 0]), json!({"topic": "orders"}));
    assert_eq!(orders.done("offsets", &own), low_and_high);
    // Of this topic librdkafka was told no partitions, which it says in words of its own.
    orders.refused("offsets", &json!({"topic": "payments"}));
}

#[test]
fn asking_about_a_topic_does_not_create_it() {
    let scene = bank();
    make_topics(&scene);
    let orders = confluent(&scene, &scene.orders, &json!({"message.timeout.ms": 3000}));
    orders.refused("produce", &json!({"topic": "orders.new", "value": "1"}));
    let audit = confluent(&scene, &scene.audit, &json!({}));
    let told = audit.done("topics", &json!({}));
    let topics: Vec<_> = told["topics"].as_object().unwrap().keys().collect();
    assert_eq!(topics, ["orders", "payments"]);
}

#[test]
fn a_policy_is_edited_while_clients_are_connected() {
    let scene = bank();
    make_topics(&scene);
    let orders = confluent(&scene, &scene.orders, &json!({}));
    let message = json!({"topic": "orders", "value": "1"});
    orders.done("produce", &message);
    scene.set_topics(&policies(&["orders.*"]));
    wait::until_true("the topic is refused", || orders.order("produce", &message).is_err());
    let refused = orders.refused("produce", &message);
    assert_eq!(refused.code, "TOPIC_AUTHORIZATION_FAILED", "{refused:?}");
    scene.set_topics(&policies(&["orders"]));
    wait::until_true("the topic is allowed", || orders.order("produce", &message).is_ok());
}

/// Without any policy about topics nothing is allowed, whoever may connect.
#[test]
fn without_a_policy_every_operation_is_refused() {
    let scene = events(BrokerKind::Tansu, "");
    let audit = confluent(&scene, &scene.audit, &json!({}));
    let made = audit.done("create_topics", &json!({"topics": ["orders"]}));
    assert_eq!(made, json!({"orders": "TOPIC_AUTHORIZATION_FAILED"}));
    assert_eq!(audit.done("topics", &json!({}))["topics"], json!({}));
    expect_refusal(&scene, &scene.audit, "create", "orders");
}

/// What brokers say to each other is not understood, and ends the connection of who says it: nobody else's.
#[test]
fn an_api_that_is_not_understood_ends_the_connection() {
    let scene = bank();
    make_topics(&scene);
    let address = scene.broker.at();
    let answer =
        scene.audit.run(say(address, vec![0, 0, 0, 10, 0, 56, 0, 0, 0, 0, 0, 1, 0xff, 0xff]));
    assert_eq!(answer, b"", "closed");
    let reason = [("protocol", "kafka"), ("reason", "event_version")];
    scene.broker.pod().expect_metric("postern_message_errors_total", &reason);
    let answer = scene.audit.run(say(address, b"GET / HTTP/1.1\r\n\r\n".to_vec()));
    assert_eq!(answer, b"", "closed");
    let reason = [("protocol", "kafka"), ("reason", "event_limit")];
    scene.broker.pod().expect_metric("postern_message_errors_total", &reason);
    let orders = confluent(&scene, &scene.orders, &json!({}));
    orders.done("produce", &json!({"topic": "orders", "value": "1"}));
}

/// What is answered until the connection ends.
async fn say(address: SocketAddr, bytes: Vec<u8>) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}
