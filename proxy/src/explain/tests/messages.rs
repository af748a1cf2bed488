//! Operations at a broker.

use crate::explain::tests::*;

const CONFIG: &str = "workload: {namespace: bank, serviceAccount: kafka, labels: {app: kafka}}\nidentity: {workloadApi: unix:///run/a}\ninbound: {ports: {9092: {protocol: kafka}, 9093: {protocol: tcp}}}\n";
const ORDERS: &str = "cluster.local/ns/bank/sa/orders";

const RESOURCES: &str = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: kafka, namespace: bank}
spec: {rules: [{from: [{source: {namespaces: [bank]}}]}]}
---
apiVersion: policy.postern.dev/v1alpha1
kind: TopicPolicy
metadata: {name: orders, namespace: bank}
spec:
  selector: {matchLabels: {app: kafka}}
  protocol: kafka
  rules:
  - from: [{source: {principals: [cluster.local/ns/bank/sa/orders]}}]
    to:
    - operation: {operations: [publish], topics: ['orders.*'], transactionalIds: ['orders-*']}
    - operation: {operations: [subscribe], topics: [payments], groups: ['orders-*']}
---
apiVersion: policy.postern.dev/v1alpha1
kind: TopicPolicy
metadata: {name: closed, namespace: bank}
spec: {protocol: kafka, action: DENY, rules: [{to: [{operation: {operations: [publish], topics: [orders.closed]}}]}]}
---
apiVersion: policy.postern.dev/v1alpha1
kind: TopicPolicy
metadata: {name: watched, namespace: bank}
spec: {protocol: kafka, action: AUDIT, rules: [{to: [{operation: {operations: [subscribe]}}]}]}
";

fn asked(principal: &str, port: u16, message: &Value) -> Value {
    let config = Config::parse("c", CONFIG.as_bytes()).unwrap_or_else(|m| panic!("{m}"));
    let files = [SourceFile { name: "r".into(), bytes: RESOURCES.as_bytes().to_vec() }];
    let line = json!({
        "source": {"principal": principal}, "destination": {"port": port}, "message": message,
    });
    answers_of(&config, &files, &line.to_string()).0.remove(0)
}

#[test]
fn verdicts_of_operations() {
    let of = |operation: &str, key: &str, name: &str| {
        let mut message = json!({"protocol": "kafka", "operation": operation});
        message[key] = name.into();
        message
    };
    let allow =
        |rule: u32| answer("allow", Some("bank/orders"), Some(rule), "policy_allowed", None);
    for (row, principal, message, expect) in [
        ("publish", ORDERS, of("publish", "topic", "orders.new"), allow(0)),
        ("a transaction", ORDERS, of("publish", "transactionalId", "orders-1"), allow(0)),
        ("as the log writes it", ORDERS, of("publish", "transactional_id", "orders-1"), allow(0)),
        ("a group", ORDERS, of("subscribe", "group", "orders-1"), allow(0)),
        ("describe", ORDERS, of("describe", "topic", "payments"), allow(0)),
        (
            "denied",
            ORDERS,
            of("publish", "topic", "orders.closed"),
            answer("deny", Some("bank/closed"), Some(0), "topic_denied", None),
        ),
        (
            "another group",
            ORDERS,
            of("subscribe", "group", "payments"),
            answer("deny", None, None, "group_denied", None),
        ),
        (
            "refused as bytes already",
            FRONTEND,
            of("publish", "topic", "orders.new"),
            answer("deny", None, None, "no_matching_allow", None),
        ),
    ] {
        let mut found = asked(principal, 9092, &message);
        for key in ["nearest", "would"] {
            found.as_object_mut().unwrap().remove(key);
        }
        assert_eq!(found, expect, "{row}");
    }
}

#[test]
fn what_is_said_beside_a_verdict() {
    let message = json!({"protocol": "kafka", "operation": "publish", "topic": "refunds"});
    let found = asked(ORDERS, 9092, &message);
    assert_eq!(found["nearest"]["policy"], "bank/orders");
    assert_eq!(
        found["nearest"]["would_match_but_for"],
        "topic refunds, and the rule names orders.*"
    );
    let subscribed = json!({"protocol": "kafka", "operation": "subscribe", "topic": "payments"});
    let found = asked(ORDERS, 9092, &subscribed);
    assert_eq!(found["would"][0]["policy"], "bank/watched");
    assert!(found["note"].is_null());
    assert!(
        asked(ORDERS, 9093, &subscribed)["note"].as_str().unwrap().contains("does not declare")
    );
}

#[test]
fn lines_that_are_no_question() {
    for (row, message, expect) in [
        (
            "another protocol",
            json!({"protocol": "amqp", "operation": "publish"}),
            "nats, mqtt, kafka",
        ),
        (
            "another operation",
            json!({"protocol": "kafka", "operation": "write"}),
            "publish, subscribe",
        ),
        (
            "an unknown key",
            json!({"protocol": "kafka", "operation": "publish", "topics": []}),
            "topics",
        ),
        ("no protocol", json!({"operation": "publish"}), "protocol"),
    ] {
        let found = asked(ORDERS, 9092, &message);
        assert_eq!(found["reason"], "bad_input", "{row}");
        assert!(found["error"].as_str().unwrap().contains(expect), "{row}: {found}");
    }
}
