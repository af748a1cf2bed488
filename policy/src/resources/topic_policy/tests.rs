#![allow(clippy::unwrap_used)]

use crate::Resources;
use crate::resources::{DEFAULT_ROOT_NAMESPACE, SourceFile};

/// Every diagnostic about a policy with this spec.
fn diagnostics(spec: &str) -> String {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: TopicPolicy\nmetadata: {{name: orders, namespace: bank}}\nspec: {spec}\n"
    );
    let file = SourceFile { name: "orders.yaml".into(), bytes: text.into_bytes() };
    match Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE) {
        Ok(_) => String::new(),
        Err(found) => found.to_string(),
    }
}

#[test]
fn what_is_taken_and_what_is_refused() {
    let rule = |protocol: &str, operation: &str| {
        format!("{{protocol: {protocol}, rules: [{{to: [{{operation: {operation}}}]}}]}}")
    };
    let of =
        |action: &str, rules: &str| format!("{{protocol: mqtt, action: {action}, rules: {rules}}}");
    for (name, spec, expect) in [
        ("kafka", rule("kafka", "{operations: [publish], topics: ['orders.*'], transactionalIds: ['orders-*']}"), ""),
        ("nats", rule("nats", "{operations: [publish, subscribe], topics: [orders.>], queues: [w], streams: [S], reply: true}"), ""),
        ("mqtt", rule("mqtt", "{operations: [subscribe], topics: ['orders/#'], groups: [g], clientIds: ['d-*']}"), ""),
        ("client ids alone", rule("mqtt", "{clientIds: ['d-*']}"), ""),
        ("the broker", rule("kafka", "{operations: [admin]}"), ""),
        ("groups without topics", rule("kafka", "{operations: [subscribe], groups: [g]}"), ""),
        ("answers alone", rule("nats", "{operations: [publish], reply: true}"), ""),
        ("deny everything", of("DENY", "[{}]"), ""),
        ("audit one operation", of("AUDIT", "[{to: [{operation: {operations: [publish]}}]}]"), ""),
        ("no protocol", "{rules: [{to: [{operation: {operations: [admin]}}]}]}".into(), "no `protocol`"),
        ("another protocol", rule("amqp", "{operations: [admin]}"), "one of nats, mqtt, kafka"),
        ("no rules", "{protocol: nats}".into(), "what nothing allows is refused anyway"),
        ("empty rules", of("DENY", "[]"), "write rules: [{}] to refuse everything"),
        ("ALLOW without `to`", of("ALLOW", "[{}]"), "no `to`"),
        ("an unknown field", rule("kafka", "{operations: [publish], topic: [a]}"), "topic"),
        ("an unknown operation", rule("kafka", "{operations: [write], topics: [a]}"), "one of publish, subscribe"),
        ("describe", rule("kafka", "{operations: [describe], topics: [a]}"), "may describe"),
        ("connect", rule("mqtt", "{operations: [connect], topics: [a]}"), "in `clientIds`"),
        ("no operations", rule("kafka", "{topics: [a]}"), "no `operations`"),
        ("no topics", rule("nats", "{operations: [publish]}"), "all of them are `*` in Kafka"),
        ("groups of MQTT without topics", rule("mqtt", "{operations: [subscribe], groups: [g]}"), "which allows nothing"),
        ("no topics to create", rule("kafka", "{operations: [create]}"), "which allows nothing"),
        ("an empty list", rule("kafka", "{operations: [publish], topics: []}"), "an empty list"),
        ("Kafka with NATS's wildcard", rule("kafka", "{operations: [publish], topics: [orders.>]}"), "`orders` or `orders-*`"),
        ("NATS with MQTT's wildcard", rule("nats", "{operations: [publish], topics: ['orders/#']}"), "`orders.*`, `orders.>`"),
        ("MQTT with Kafka's wildcard", rule("mqtt", "{operations: [publish], topics: ['orders/*']}"), "`orders/+`, `orders/#`"),
        ("a shared filter", rule("mqtt", "{operations: [subscribe], topics: ['$share/g/a']}"), "named by `groups`"),
        ("groups in NATS", rule("nats", "{operations: [subscribe], topics: [a], groups: [g]}"), "write `queues`"),
        ("queues in Kafka", rule("kafka", "{operations: [subscribe], topics: [a], queues: [g]}"), "write `groups`"),
        ("client ids in Kafka", rule("kafka", "{operations: [subscribe], topics: [a], clientIds: [g]}"), "proves nothing"),
        ("transactions in MQTT", rule("mqtt", "{operations: [publish], topics: [a], transactionalIds: [g]}"), "with protocol kafka"),
        ("answers in MQTT", rule("mqtt", "{operations: [publish], topics: [a], reply: true}"), "with protocol nats"),
        ("answers that are not published", rule("nats", "{operations: [subscribe], topics: [a], reply: true}"), "add publish"),
        ("answers denied", "{protocol: nats, action: DENY, rules: [{to: [{operation: {operations: [publish], reply: true}}]}]}".into(), "`reply` with action ALLOW"),
        ("client ids denied beside operations", of("DENY", "[{to: [{operation: {operations: [publish], clientIds: [a]}}]}]"), "write two clauses"),
        ("a token", of("DENY", "[{from: [{source: {requestPrincipals: ['*']}}]}]"), "write `principals`"),
        ("another client", of("DENY", "[{from: [{source: {remoteIpBlocks: [10.0.0.0/8]}}]}]"), "write `ipBlocks`"),
        ("when", of("DENY", "[{when: []}]"), "`when` in a rule about messages"),
        ("no text", rule("kafka", "{operations: [publish], topics: [7]}"), "in quotes"),
    ] {
        let found = diagnostics(&spec);
        assert_eq!(found.is_empty(), expect.is_empty(), "{name}: {found}");
        assert!(found.contains(expect), "{name}: {found}");
    }
}

#[test]
fn a_mistake_is_shown_with_its_place() {
    let spec = "\n  protocol: nats\n  rules:\n  - to:\n    - operation: {operations: [publish], topics: [\"orders/#\"]}";
    assert!(diagnostics(spec).contains("orders.yaml:8:"), "{}", diagnostics(spec));
}
