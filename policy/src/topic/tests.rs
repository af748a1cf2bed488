#![allow(clippy::unwrap_used)]

mod reference;

use std::collections::BTreeMap;

use identity::{SpiffeId, TrustDomain};
use message_access::{AccessRequest, MessageProtocol, Operation};

use crate::resources::DEFAULT_ROOT_NAMESPACE;
use crate::{ConnectionFacts, PolicyDefaults, Resources, Snapshot, SourceFile, Workload};

/// A snapshot for the broker `app: broker` of namespace `bank`; each policy is its spec.
fn snapshot(specs: &[&str]) -> Snapshot {
    let policies: String = (0..)
        .zip(specs)
        .map(|(at, spec)| {
            format!(
                "---\napiVersion: policy.postern.dev/v1alpha1\nkind: TopicPolicy\nmetadata: {{name: p{at}, namespace: bank}}\nspec: {spec}\n"
            )
        })
        .collect();
    let file = SourceFile {
        name: "topics.yaml".into(),
        bytes: format!("# policies\n{policies}").into_bytes(),
    };
    let resources = Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE).unwrap();
    let labels = BTreeMap::from([("app".to_owned(), "broker".to_owned())]);
    let workload = Workload { namespace: "bank".into(), service_account: "broker".into(), labels };
    let trust_domain = Some(TrustDomain::parse("cluster.local").unwrap());
    Snapshot::build(
        &resources,
        &workload,
        &PolicyDefaults { trust_domain, ..PolicyDefaults::default() },
    )
}

fn asked(
    snapshot: &Snapshot,
    caller: &str,
    protocol: MessageProtocol,
    request: &AccessRequest<'_>,
) -> String {
    let peer = SpiffeId::parse(&format!("spiffe://{caller}")).unwrap();
    let connection = ConnectionFacts {
        peer: Some(&peer),
        source_ip: [10, 0, 0, 7].into(),
        remote_ip: None,
        destination: ([10, 0, 0, 1], 4222).into(),
        sni: None,
    };
    let verdict = snapshot.authorize_message(&connection, protocol, request);
    let policy = verdict.policy().map_or("-", |policy| policy.strip_prefix("bank/").unwrap());
    let audited = verdict.audited_by().map_or("", |_| " audited");
    match verdict.reason() {
        None => format!("{policy}{audited}"),
        Some(reason) => format!("{} by {policy}{audited}", reason.as_str()),
    }
}

const ORDERS: &str = "cluster.local/ns/bank/sa/orders";
const OTHER: &str = "cluster.local/ns/shop/sa/cart";

#[test]
fn without_a_policy_that_allows_everything_is_refused() {
    let topic = AccessRequest::on_topic(Operation::Publish, "orders");
    for snapshot in [
        snapshot(&[]),
        snapshot(&[
            "{protocol: nats, action: DENY, rules: [{to: [{operation: {operations: [publish], topics: [x]}}]}]}",
        ]),
    ] {
        assert_eq!(asked(&snapshot, ORDERS, MessageProtocol::Nats, &topic), "topic_denied by -");
    }
}

#[test]
fn kafka_asks_for_topics_groups_and_transactions_one_by_one() {
    use Operation::{Admin, Cluster, Create, Describe, Publish, Subscribe};
    let snapshot = snapshot(&[
        "{selector: {matchLabels: {app: broker}}, protocol: kafka, rules: [{from: [{source: {principals: [cluster.local/ns/bank/sa/orders]}}], to: [
          {operation: {operations: [publish], topics: ['orders.*'], transactionalIds: ['orders-*']}},
          {operation: {operations: [subscribe], topics: [payments], groups: ['orders-*']}}]}]}",
        "{protocol: kafka, action: DENY, rules: [{to: [{operation: {operations: [publish], topics: [orders.closed]}}]}]}",
        "{protocol: kafka, action: AUDIT, rules: [{to: [{operation: {operations: [subscribe]}}]}]}",
    ]);
    let on = AccessRequest::on_topic;
    for (name, request, expect) in [
        ("publish", on(Publish, "orders.new"), "p0"),
        ("another topic", on(Publish, "payments"), "topic_denied by -"),
        ("denied", on(Publish, "orders.closed"), "topic_denied by p1"),
        ("subscribe is audited", on(Subscribe, "payments"), "p0 audited"),
        ("a refusal is audited too", on(Subscribe, "orders.new"), "topic_denied by - audited"),
        ("describe", on(Describe, "orders.new"), "p0"),
        ("describe what is denied", on(Describe, "orders.closed"), "topic_denied by p1"),
        ("describe another", on(Describe, "audit"), "topic_denied by -"),
        (
            "group",
            AccessRequest { group: Some("orders-1"), ..AccessRequest::new(Subscribe) },
            "p0 audited",
        ),
        (
            "another group",
            AccessRequest { group: Some("cart"), ..AccessRequest::new(Subscribe) },
            "group_denied by - audited",
        ),
        (
            "describe a group",
            AccessRequest { group: Some("orders-1"), ..AccessRequest::new(Describe) },
            "p0",
        ),
        (
            "transaction",
            AccessRequest { transactional_id: Some("orders-7"), ..AccessRequest::new(Publish) },
            "p0",
        ),
        (
            "another",
            AccessRequest { transactional_id: Some("cart"), ..AccessRequest::new(Publish) },
            "topic_denied by -",
        ),
        ("publish anything at all", AccessRequest::new(Publish), "p0"),
        ("create", on(Create, "orders.new"), "topic_denied by -"),
        ("the broker", AccessRequest::new(Admin), "topic_denied by -"),
        ("among brokers", AccessRequest::new(Cluster), "cluster_denied by -"),
        ("all topics", on(Subscribe, "*"), "topic_denied by - audited"),
    ] {
        assert_eq!(asked(&snapshot, ORDERS, MessageProtocol::Kafka, &request), expect, "{name}");
    }
    let other = asked(&snapshot, OTHER, MessageProtocol::Kafka, &on(Publish, "orders.new"));
    assert_eq!(other, "topic_denied by -");
    let nats = asked(&snapshot, ORDERS, MessageProtocol::Nats, &on(Publish, "orders.new"));
    assert_eq!(nats, "topic_denied by -");
}

/// Who may administer a topic may not administer the broker by naming none.
#[test]
fn what_names_nothing_is_the_broker_as_a_whole() {
    let rule = |operation: &str| {
        format!("{{protocol: kafka, rules: [{{to: [{{operation: {operation}}}]}}]}}")
    };
    let topic = snapshot(&[&rule("{operations: [admin, delete, cluster], topics: ['*']}")]);
    let broker = snapshot(&[&rule("{operations: [admin, cluster]}")]);
    let check = |snapshot: &Snapshot, request: AccessRequest<'_>, expect: &str| {
        assert_eq!(
            asked(snapshot, ORDERS, MessageProtocol::Kafka, &request),
            expect,
            "{request:?}"
        );
    };
    check(&topic, AccessRequest::on_topic(Operation::Admin, "a"), "p0");
    check(&topic, AccessRequest::new(Operation::Admin), "topic_denied by -");
    check(&topic, AccessRequest::new(Operation::Delete), "topic_denied by -");
    check(&topic, AccessRequest::new(Operation::Cluster), "cluster_denied by -");
    check(&broker, AccessRequest::new(Operation::Admin), "p0");
    check(&broker, AccessRequest::new(Operation::Cluster), "p0");
    check(&broker, AccessRequest::on_topic(Operation::Admin, "a"), "topic_denied by -");
}

#[test]
fn nats_inboxes_queues_streams_and_answers() {
    use Operation::{Admin, Publish, Subscribe};
    let snapshot = snapshot(&[
        "{protocol: nats, rules: [{from: [{source: {namespaces: [bank]}}], to: [
          {operation: {operations: [subscribe], topics: ['orders.>'], queues: [workers]}},
          {operation: {operations: [subscribe], streams: [ORDERS]}},
          {operation: {operations: [publish], reply: true}}]}]}",
        "{protocol: nats, action: DENY, rules: [{to: [{operation: {operations: [publish, subscribe], topics: ['orders.secret.>']}}]}]}",
    ]);
    let on = AccessRequest::on_topic;
    let reply = |topic| AccessRequest { reply: true, ..on(Publish, topic) };
    for (name, request, expect) in [
        ("within", on(Subscribe, "orders.new.>"), "p0"),
        ("wider", on(Subscribe, ">"), "topic_denied by p1"),
        ("touches what is denied", on(Subscribe, "orders.*.x"), "topic_denied by p1"),
        ("touches nothing denied", on(Subscribe, "orders.*"), "p0"),
        ("queue", AccessRequest { queue: Some("workers"), ..on(Subscribe, "orders.new") }, "p0"),
        (
            "another queue",
            AccessRequest { queue: Some("x"), ..on(Subscribe, "orders.new") },
            "topic_denied by -",
        ),
        (
            "any subject of a stream",
            AccessRequest { stream: Some("ORDERS"), ..on(Subscribe, "x.y") },
            "p0",
        ),
        (
            "of another",
            AccessRequest { stream: Some("PAYMENTS"), ..on(Subscribe, "x.y") },
            "topic_denied by -",
        ),
        (
            "the stream alone",
            AccessRequest { stream: Some("ORDERS"), ..AccessRequest::new(Subscribe) },
            "p0",
        ),
        ("an answer", reply("_INBOX.shop.cart.1"), "p0"),
        ("an answer where it is denied", reply("orders.secret.b"), "topic_denied by p1"),
        ("no answer", on(Publish, "_INBOX.shop.cart.1"), "topic_denied by -"),
        ("own inbox", on(Subscribe, "_INBOX.bank.orders.>"), "p0"),
        ("in it", on(Subscribe, "_INBOX.bank.orders.x.*"), "p0"),
        (
            "shared",
            AccessRequest { queue: Some("workers"), ..on(Subscribe, "_INBOX.bank.orders.>") },
            "topic_denied by -",
        ),
        ("publish to it", on(Publish, "_INBOX.bank.orders.x"), "topic_denied by -"),
        ("all inboxes", on(Subscribe, "_INBOX.>"), "topic_denied by -"),
        ("of the namespace", on(Subscribe, "_INBOX.bank.>"), "topic_denied by -"),
        ("any second token", on(Subscribe, "_INBOX.*.orders.>"), "topic_denied by -"),
        ("another's", on(Subscribe, "_INBOX.bank.payments.>"), "topic_denied by -"),
        ("one that begins alike", on(Subscribe, "_INBOX.bank.orders2.>"), "topic_denied by -"),
        ("no subject", on(Subscribe, "_INBOX.bank.orders.>.x"), "topic_denied by p1"),
        ("the system", on(Admin, "$SYS.REQ"), "topic_denied by -"),
    ] {
        assert_eq!(asked(&snapshot, ORDERS, MessageProtocol::Nats, &request), expect, "{name}");
    }
    let inbox = on(Subscribe, "_INBOX.shop.cart.>");
    assert_eq!(asked(&snapshot, OTHER, MessageProtocol::Nats, &inbox), "topic_denied by -");
}

/// CVE-2026-33215: a session under another's client id takes its subscriptions and messages over.
#[test]
fn cve_2026_33215_client_ids_are_bound_to_identities() {
    let snapshot = snapshot(&[
        "{protocol: mqtt, rules: [{from: [{source: {principals: ['*/sa/orders', '*/sa/a.b', '*/sa/o_o']}}], to: [
          {operation: {operations: [publish], topics: ['orders/#']}},
          {operation: {clientIds: ['device-*']}}]}]}",
        "{protocol: mqtt, action: DENY, rules: [{to: [{operation: {clientIds: [device-0]}}]}]}",
    ]);
    let check = |caller: &str, id: &str, expect: &str| {
        let request =
            AccessRequest { client_id: Some(id), ..AccessRequest::new(Operation::Connect) };
        assert_eq!(
            asked(&snapshot, caller, MessageProtocol::Mqtt, &request),
            expect,
            "{caller} as {id}"
        );
    };
    check(ORDERS, "bank.orders", "p0");
    check(ORDERS, "bank.orders.1", "p0");
    check(ORDERS, "device-7", "p0");
    check(ORDERS, "device-0", "client_id_denied by p1");
    check(ORDERS, "bank.orders1", "client_id_denied by -");
    check(ORDERS, "bank.payments", "client_id_denied by -");
    check(ORDERS, "", "client_id_denied by -");
    check(OTHER, "shop.cart", "client_id_denied by -");
    check("other.domain/ns/bank/sa/orders", "bank.orders", "client_id_denied by -");
    check("cluster.local/ns/bank/sa/a.b", "bank.a_b", "p0");
    check("cluster.local/ns/bank/sa/a.b", "bank.a.b", "client_id_denied by -");
    check("cluster.local/ns/bank/sa/o_o", "bank.o_o", "client_id_denied by -");
}

#[test]
fn the_nearest_miss_says_what_the_rule_wants() {
    let snapshot = snapshot(&["{protocol: kafka, rules: [
        {from: [{source: {namespaces: [shop]}}], to: [{operation: {operations: [publish], topics: [orders]}}]},
        {from: [{source: {namespaces: [bank]}}], to: [{operation: {operations: [publish], topics: ['orders.*', refunds]}}]}]}"]);
    let peer = SpiffeId::parse(&format!("spiffe://{ORDERS}")).unwrap();
    let connection = ConnectionFacts {
        peer: Some(&peer),
        source_ip: [10, 0, 0, 7].into(),
        remote_ip: None,
        destination: ([10, 0, 0, 1], 9092).into(),
        sni: None,
    };
    let check = |request: AccessRequest<'_>, rule: u32, missing: &[&str], text: &str| {
        let found =
            snapshot.nearest_message_miss(&connection, MessageProtocol::Kafka, &request, 64);
        let found = found.unwrap();
        assert_eq!(
            (found.rule, found.missing.iter().map(|m| &**m).collect::<Vec<_>>()),
            (rule, missing.to_vec())
        );
        assert_eq!(found.would_match_but_for, text);
    };
    check(
        AccessRequest::on_topic(Operation::Publish, "payments"),
        1,
        &["topic"],
        "topic payments, and the rule names orders.*, refunds",
    );
    check(
        AccessRequest::on_topic(Operation::Subscribe, "orders.new"),
        1,
        &["operation"],
        "operation subscribe, and the rule names publish",
    );
    check(
        AccessRequest::on_topic(Operation::Publish, "orders"),
        1,
        &["topic"],
        "topic orders, and the rule names orders.*, refunds",
    );
}
