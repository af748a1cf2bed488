//! Findings about TopicPolicies.

use super::*;

const KAFKA: &[(u16, Protocol)] = &[(9092, Protocol::Kafka)];
const MQTT: &[(u16, Protocol)] = &[(1883, Protocol::Mqtt)];
const NATS: &[(u16, Protocol)] = &[(4222, Protocol::Nats)];

/// TopicPolicies `shop/p0`, `shop/p1`, … of the workload, and what is found of them.
#[track_caller]
fn check(name: &str, ports: &[(u16, Protocol)], specs: &[&str], expect: &[&str]) {
    let text: String = (0..)
        .zip(specs)
        .map(|(at, spec)| {
            format!(
                "---\napiVersion: policy.postern.dev/v1alpha1\nkind: TopicPolicy\nmetadata: {{name: p{at}, namespace: shop}}\nspec: {spec}\n"
            )
        })
        .collect();
    let findings = found(&text, ports, &PolicyDefaults::default());
    assert_eq!(findings.iter().map(shown).collect::<Vec<_>>(), expect, "{name}: {findings:#?}");
}

/// An ALLOW policy of Kafka for one caller.
fn allow(operation: &str) -> String {
    let from = "from: [{source: {principals: [td/ns/a/sa/b]}}]";
    format!("{{protocol: kafka, rules: [{{{from}, to: [{{operation: {operation}}}]}}]}}")
}

#[test]
fn ports_and_protocols() {
    let good = allow("{operations: [publish], topics: [a]}");
    check("both", KAFKA, &[&good], &[]);
    check("nothing is allowed", KAFKA, &[], &["broker_without_allow - -"]);
    let deny = "{protocol: kafka, action: DENY, rules: [{}]}";
    check("DENY allows nothing", KAFKA, &[deny], &["broker_without_allow - -"]);
    check("no port", &[], &[&good], &["no_port_of_protocol shop/p0 -"]);
    let another = ["broker_without_allow - -", "no_port_of_protocol shop/p0 -"];
    check("another protocol's port", NATS, &[&good], &another);
    let others =
        "{selector: {matchLabels: {app: other}}, protocol: nats, action: DENY, rules: [{}]}";
    check("about another workload", KAFKA, &[&good, others], &[]);
}

#[test]
fn who_may_do_what() {
    let rule = |protocol: &str, from: &str, operation: &str| {
        format!("{{protocol: {protocol}, rules: [{{{from}to: [{{operation: {operation}}}]}}]}}")
    };
    let one = "from: [{source: {principals: [td/ns/a/sa/b]}}], ";
    let any = "from: [{source: {principals: ['*']}}], ";
    for (name, ports, spec, expect) in [
        (
            "nobody is named",
            KAFKA,
            rule("kafka", "", "{operations: [publish], topics: [a]}"),
            vec!["unauthenticated_allow shop/p0 0"],
        ),
        (
            "everybody writes everywhere",
            KAFKA,
            rule("kafka", any, "{operations: [publish], topics: ['*']}"),
            vec!["topics_open_to_all shop/p0 0", "wildcard_principal shop/p0 0"],
        ),
        (
            "everybody reads everything",
            KAFKA,
            rule("kafka", any, "{operations: [subscribe], topics: ['*']}"),
            vec!["wildcard_principal shop/p0 0"],
        ),
        (
            "one writes everywhere",
            KAFKA,
            rule("kafka", one, "{operations: [publish], topics: ['*']}"),
            vec![],
        ),
        (
            "answers to others",
            NATS,
            rule("nats", one, "{operations: [subscribe], topics: ['>']}"),
            vec!["reads_answers shop/p0 0"],
        ),
        (
            "sessions of others",
            MQTT,
            rule("mqtt", one, "{clientIds: ['*']}"),
            vec!["takes_over_sessions shop/p0 0"],
        ),
        ("some client ids", MQTT, rule("mqtt", one, "{clientIds: ['d-*']}"), vec![]),
        (
            "no answers",
            NATS,
            rule("nats", one, "{operations: [subscribe], topics: ['orders.>', '_INBOX.a.>']}"),
            vec![],
        ),
        (
            "takes away what it names",
            KAFKA,
            rule(
                "kafka",
                "from: [{source: {namespaces: [a], notNamespaces: [a]}}], ",
                "{operations: [publish], topics: [a]}",
            ),
            vec!["never_matches shop/p0 0"],
        ),
    ] {
        check(name, ports, &[&spec], &expect);
    }
}

#[test]
fn rules_without_effect() {
    let deny = |operation: &str| {
        format!("{{protocol: kafka, action: DENY, rules: [{{to: [{{operation: {operation}}}]}}]}}")
    };
    let orders = allow("{operations: [publish], topics: ['orders.*']}");
    let one = allow("{operations: [publish], topics: [orders.new]}");
    let group = allow("{operations: [publish, subscribe], topics: [orders.new], groups: [g]}");
    let hidden = |rule: &'static str| vec![rule];
    for (name, specs, expect) in [
        ("a wider one", vec![&*orders, &*one], hidden("shadowed_rule shop/p1 0")),
        ("the same", vec![&*one, &*one], hidden("shadowed_rule shop/p1 0")),
        ("not a group", vec![&*orders, &*group], vec![]),
        (
            "denied",
            vec![&*one, &*deny("{operations: [publish], topics: ['orders*']}")],
            hidden("shadowed_rule shop/p0 0"),
        ),
        (
            "denied in part",
            vec![&*orders, &*deny("{operations: [publish], topics: [orders.new]}")],
            vec![],
        ),
        (
            "another operation is denied",
            vec![&*one, &*deny("{operations: [subscribe], topics: ['*']}")],
            vec![],
        ),
        (
            "all is denied",
            vec![&*group, &*deny("{operations: [publish, subscribe]}")],
            hidden("shadowed_rule shop/p0 0"),
        ),
    ] {
        check(name, KAFKA, &specs, &expect);
    }
}
