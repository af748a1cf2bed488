//! Groups, transactions and topics of Kafka clients: what each service may be part of, and how its library tells it what
//! it may not.

use std::net::SocketAddr;

use postern_tests::{BrokerKind, EventClient, Pod};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::event_scene::{Events, events, rule, topic_policy};

/// Orders publishes in transactions of its own and makes its topic, payments consumes that in its own group, and audit
/// administers.
fn bank() -> Events {
    let orders = rule(
        "orders",
        &[
            json!({"operations": ["publish", "create"], "topics": ["orders"], "transactionalIds": ["orders-*"]}),
            json!({"operations": ["subscribe"], "topics": ["payments"], "groups": ["orders-*"]}),
        ],
    );
    let payments = rule(
        "payments",
        &[json!({"operations": ["subscribe"], "topics": ["orders"], "groups": ["payments-*"]})],
    );
    let audit = rule(
        "audit",
        &[
            json!({"operations": ["create", "delete", "admin"], "topics": ["audit*", "payments"]}),
            json!({"operations": ["subscribe"], "topics": ["orders"], "groups": ["audit"]}),
        ],
    );
    let rules = json!([orders, payments, audit]);
    events(BrokerKind::Tansu, &topic_policy(BrokerKind::Tansu, "events", "ALLOW", &rules))
}

fn confluent(scene: &Events, pod: &Pod, settings: &Value) -> EventClient {
    EventClient::confluent(pod, &scene.broker.address(), settings)
}

fn make_orders(scene: &Events) -> EventClient {
    let orders = confluent(scene, &scene.orders, &json!({}));
    assert_eq!(
        orders.done("create_topics", &json!({"topics": ["orders"]})),
        json!({"orders": "done"})
    );
    orders.done("produce", &json!({"topic": "orders", "value": "1"}));
    orders
}

/// What the broker's proxy wrote of a refusal.
#[track_caller]
fn expect_refusal(scene: &Events, pod: &Pod, operation: &str, named: (&str, &str), reason: &str) {
    scene.broker.pod().expect_log(&[
        ("kind", "message"),
        ("source_principal", &pod.principal()),
        ("protocol", "kafka"),
        ("operation", operation),
        named,
        ("decision", "deny"),
        ("reason", reason),
    ]);
}

#[test]
fn a_consumer_is_a_member_of_its_own_groups_alone() {
    let scene = bank();
    make_orders(&scene);
    let own = confluent(&scene, &scene.payments, &json!({"group.id": "payments-1"}));
    own.done("subscribe", &json!({"topics": ["orders"]}));
    assert_eq!(own.done("consume", &json!({}))[0]["value"], "1");
    own.done("commit", &json!({}));
    assert_eq!(own.done("committed", &json!({"topic": "orders"})), 1);
    let others = confluent(&scene, &scene.payments, &json!({"group.id": "audit"}));
    others.done("subscribe", &json!({"topics": ["orders"]}));
    let refused = others.refused("consume", &json!({}));
    assert_eq!(refused.code, "GROUP_AUTHORIZATION_FAILED", "{refused:?}");
    expect_refusal(&scene, &scene.payments, "subscribe", ("group", "audit"), "group_denied");
}

#[test]
fn aiokafka_is_told_that_a_group_is_not_its_own() {
    let scene = bank();
    make_orders(&scene);
    let consumer = |group| {
        let settings = json!({"consumer": {"group_id": group}});
        EventClient::aiokafka(&scene.payments, &scene.broker.address(), &settings)
    };
    let own = consumer("payments-2");
    own.done("subscribe", &json!({"topics": ["orders"]}));
    assert_eq!(own.done("consume", &json!({}))[0]["value"], "1");
    own.done("commit", &json!({}));
    let others = consumer("audit");
    others.done("subscribe", &json!({"topics": ["orders"]}));
    let refused = others.refused("consume", &json!({}));
    assert_eq!(refused.class, "GroupAuthorizationFailedError", "{refused:?}");
}

#[test]
fn a_group_that_is_taken_away_is_refused_to_its_members() {
    let scene = bank();
    make_orders(&scene);
    let settings = json!({"group.id": "payments-1", "heartbeat.interval.ms": 500});
    let member = confluent(&scene, &scene.payments, &settings);
    member.done("subscribe", &json!({"topics": ["orders"]}));
    assert_eq!(member.done("consume", &json!({}))[0]["value"], "1");
    let left = rule("payments", &[json!({"operations": ["subscribe"], "topics": ["orders"]})]);
    scene.set_topics(&topic_policy(BrokerKind::Tansu, "events", "ALLOW", &json!([left])));
    expect_refusal(&scene, &scene.payments, "subscribe", ("group", "payments-1"), "group_denied");
    let refused = member.refused("commit", &json!({}));
    assert_eq!(refused.code, "GROUP_AUTHORIZATION_FAILED", "{refused:?}");
}

#[test]
fn groups_of_others_are_neither_listed_nor_described_nor_deleted() {
    let scene = bank();
    make_orders(&scene);
    let client = confluent(&scene, &scene.payments, &json!({"group.id": "payments-1"}));
    client.done("subscribe", &json!({"topics": ["orders"]}));
    client.done("consume", &json!({}));
    client.done("commit", &json!({}));
    let audit = confluent(&scene, &scene.audit, &json!({"group.id": "audit"}));
    audit.done("subscribe", &json!({"topics": ["orders"]}));
    audit.done("consume", &json!({}));
    audit.done("commit", &json!({}));
    assert_eq!(client.done("groups", &json!({})), json!(["payments-1"]));
    assert_eq!(audit.done("groups", &json!({})), json!(["audit"]));
    let both = json!({"groups": ["payments-1", "audit"]});
    let told = client.done("describe_groups", &both);
    assert_eq!(told, json!({"payments-1": "done", "audit": "GROUP_AUTHORIZATION_FAILED"}));
    client.done("close_consumer", &json!({}));
    let told = client.done("delete_groups", &json!({"groups": ["audit"]}));
    assert_eq!(told, json!({"audit": "GROUP_AUTHORIZATION_FAILED"}));
}

#[test]
fn a_transaction_has_the_producers_own_id() {
    let scene = bank();
    make_orders(&scene);
    let own = confluent(&scene, &scene.orders, &json!({"transactional.id": "orders-1"}));
    own.done("init_transactions", &json!({}));
    own.done("begin_transaction", &json!({}));
    own.done("produce", &json!({"topic": "orders", "value": "2"}));
    own.done("commit_transaction", &json!({}));
    let others = confluent(&scene, &scene.orders, &json!({"transactional.id": "payments-1"}));
    let refused = others.refused("init_transactions", &json!({}));
    assert_eq!(refused.code, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "{refused:?}");
    let named = ("transactional_id", "payments-1");
    expect_refusal(&scene, &scene.orders, "publish", named, "topic_denied");
    let settings = json!({"producer": {"transactional_id": "payments-1"}});
    let aiokafka = EventClient::aiokafka(&scene.orders, &scene.broker.address(), &settings);
    let refused = aiokafka.refused("begin_transaction", &json!({}));
    assert_eq!(refused.class, "TransactionalIdAuthorizationFailed", "{refused:?}");
}

#[test]
fn a_transaction_takes_in_what_its_producer_may_use() {
    let scene = bank();
    make_orders(&scene);
    let audit = confluent(&scene, &scene.audit, &json!({}));
    let made = audit.done("create_topics", &json!({"topics": ["payments"]}));
    assert_eq!(made, json!({"payments": "done"}));
    let settings = json!({"transactional.id": "orders-1", "group.id": "orders-1"});
    let client = confluent(&scene, &scene.orders, &settings);
    client.done("init_transactions", &json!({}));
    client.done("begin_transaction", &json!({}));
    client.done("produce", &json!({"topic": "orders", "value": "2"}));
    client.done("send_offsets", &json!({"topic": "payments", "partition": 0, "offset": 0}));
    client.done("commit_transaction", &json!({}));
    client.done("begin_transaction", &json!({}));
    let refused = client.refused("produce", &json!({"topic": "payments", "value": "x"}));
    assert_eq!(refused.code, "_PURGE_QUEUE", "the transaction has failed: {refused:?}");
    let refused = client.refused("commit_transaction", &json!({}));
    assert_eq!(refused.code, "TOPIC_AUTHORIZATION_FAILED", "{refused:?}");
    client.done("abort_transaction", &json!({}));
    let settings = json!({"transactional.id": "orders-2", "group.id": "payments-1"});
    let client = confluent(&scene, &scene.orders, &settings);
    client.done("init_transactions", &json!({}));
    client.done("begin_transaction", &json!({}));
    client.done("produce", &json!({"topic": "orders", "value": "3"}));
    let offsets = json!({"topic": "payments", "partition": 0, "offset": 0});
    let refused = client.refused("send_offsets", &offsets);
    assert_eq!(refused.code, "GROUP_AUTHORIZATION_FAILED", "{refused:?}");
    client.done("abort_transaction", &json!({}));
}

#[test]
fn topics_are_made_configured_and_removed_by_those_who_may() {
    let scene = bank();
    let orders = confluent(&scene, &scene.orders, &json!({}));
    let made = orders.done("create_topics", &json!({"topics": ["orders", "audit-1"]}));
    assert_eq!(made, json!({"orders": "done", "audit-1": "TOPIC_AUTHORIZATION_FAILED"}));
    let removed = orders.done("delete_topics", &json!({"topics": ["orders"]}));
    assert_eq!(removed, json!({"orders": "TOPIC_AUTHORIZATION_FAILED"}));
    let read = orders.done("describe_configs", &json!({"topic": "orders"}));
    let read: Vec<_> = read.as_object().unwrap().values().collect();
    assert_eq!(read, [&json!("TOPIC_AUTHORIZATION_FAILED")]);
    let audit = confluent(&scene, &scene.audit, &json!({}));
    let made = audit.done("create_topics", &json!({"topics": ["audit-1", "audit-2"]}));
    assert_eq!(made, json!({"audit-1": "done", "audit-2": "done"}));
    let removed = audit.done("delete_topics", &json!({"topics": ["audit-1", "orders"]}));
    assert_eq!(removed, json!({"audit-1": "done", "orders": "TOPIC_AUTHORIZATION_FAILED"}));
    let read = audit.done("describe_configs", &json!({"topic": "audit-2"}));
    assert!(read.as_object().unwrap().values().eq([&json!("done")]), "{read}");
    expect_refusal(&scene, &scene.audit, "delete", ("topic", "orders"), "topic_denied");
    let aiokafka = EventClient::aiokafka(&scene.orders, &scene.broker.address(), &json!({}));
    let made = aiokafka.done("create_topics", &json!({"topics": ["audit-3"]}));
    assert_eq!(made, json!({"audit-3": 29}));
}

/// Requests of one connection, all sent before the first answer is read: a heartbeat in turns for a group of the client's
/// own, which the broker answers, and for one of another, which the proxy does.
#[test]
fn fifty_requests_at_once_are_answered_in_order() {
    let scene = bank();
    let address = scene.broker.at();
    let answers = scene.payments.run(pipelined(address));
    for (number, (correlation, error)) in (0..).zip(answers) {
        assert_eq!(correlation, number);
        let is_refused = error == 30;
        assert_eq!(is_refused, number % 3 == 1, "{number}: {error}");
    }
}

const REQUESTS: i32 = 50;

/// The correlation ids and errors of the answers.
async fn pipelined(address: SocketAddr) -> Vec<(i32, i16)> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let group = |number| if number % 3 == 1 { "audit" } else { "payments-1" };
    let requests: Vec<u8> = (0..REQUESTS).flat_map(|n| heartbeat(n, group(n))).collect();
    stream.write_all(&requests).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..REQUESTS {
        let length = stream.read_i32().await.unwrap();
        assert_eq!(length, 6, "an answer to Heartbeat 0");
        answers.push((stream.read_i32().await.unwrap(), stream.read_i16().await.unwrap()));
    }
    answers
}

/// Heartbeat in version 0: a group, a generation, and a member.
fn heartbeat(correlation: i32, group: &str) -> Vec<u8> {
    let text = |text: &str| {
        [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
    };
    let head =
        [&12_i16.to_be_bytes()[..], &0_i16.to_be_bytes(), &correlation.to_be_bytes()].concat();
    let body = [text("tester"), text(group), 1_i32.to_be_bytes().to_vec(), text("me")].concat();
    let length = i32::try_from(head.len() + body.len()).unwrap();
    [length.to_be_bytes().to_vec(), head, body].concat()
}
