//! What is decided, counted and written, as tables.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Write;
use std::net::SocketAddr;

use parking_lot::Mutex;
use policy::{Resources, SourceFile};

use super::*;
use crate::connection::registry::{Peer, RegisteredConnection};
use crate::control::config::Config;
use crate::control::installer::ResourceInstaller;
use crate::labels::{Direction, Protocol};
use crate::telemetry::LogWriter;

/// What was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The proxy of a NATS broker, and a client of it.
struct Scene {
    installer: ResourceInstaller,
    log: LogWriter,
    written: Written,
    worker: Arc<Worker>,
    connection: RegisteredConnection,
    judge: MessageJudge,
}

impl Scene {
    fn new(policies: &[&str]) -> Self {
        let text = "workload: {namespace: bank, serviceAccount: broker}\nidentity: {workloadApi: unix:///a, trustDomain: td}\n";
        let config = Config::parse("p", text.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
        let installer = ResourceInstaller::new(config, 1).unwrap();
        installer.install(&resources(policies));
        let written = Written::default();
        let log = LogWriter::start(written.clone()).unwrap();
        let worker = Worker::new(0, 1, installer.state.clone(), log.sink());
        let (source, app): (SocketAddr, SocketAddr) =
            (([10, 0, 0, 7], 1).into(), ([10, 0, 0, 9], 4222).into());
        let connection = installer.state.registry.register(0, Direction::Inbound, source, app, 0);
        let id = identity::SpiffeId::parse("spiffe://td/ns/bank/sa/orders").unwrap();
        connection.set_peer(Peer { id, not_after: u64::MAX, leaf_sha256: [0; 32], sni: None });
        connection.set_protocol(Protocol::Nats);
        let judge = MessageJudge::new(&worker, &connection, MessageProtocol::Nats);
        Self { installer, log, written, worker, connection, judge }
    }

    fn decide(&mut self, operation: Operation, topic: &str) -> bool {
        self.judge.decide(&AccessRequest::on_topic(operation, topic))
    }

    fn count(&self, operation: Operation, decision: &'static str, policy: Option<&str>) -> u64 {
        let metrics = &self.installer.state.metrics;
        metrics.messages(MessageProtocol::Nats, operation, decision, policy).get()
    }

    /// The lines, once all of them are written.
    fn lines(self) -> Vec<serde_json::Value> {
        drop((self.judge, self.connection));
        self.worker.recorder.flush();
        drop(self.worker);
        self.log.finish();
        let written = self.written.0.lock();
        let lines = std::str::from_utf8(&written).unwrap().lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn resources(policies: &[&str]) -> Resources {
    let documents = policies.iter().enumerate().map(|(at, spec)| {
        format!(
            "---\napiVersion: policy.postern.dev/v1alpha1\nkind: TopicPolicy\n\
             metadata: {{name: t{at}, namespace: bank}}\nspec: {spec}\n"
        )
    });
    let bytes = format!("# none\n{}", documents.collect::<String>()).into_bytes();
    let file = SourceFile { name: "all.yaml".into(), bytes };
    Resources::parse(&[file], "postern-system").unwrap_or_else(|wrong| panic!("{wrong}"))
}

const ALLOW: &str = "{protocol: nats, action: ALLOW, rules: [{from: [{source: {principals: [td/ns/bank/sa/orders]}}], \
     to: [{operation: {operations: [publish], topics: [orders.*]}}]}]}";
const AUDIT: &str = "{protocol: nats, action: AUDIT, rules: [{to: [{operation: {operations: [publish], topics: ['>']}}]}]}";
const DENY: &str = "{protocol: nats, action: DENY, rules: [{to: [{operation: {operations: [publish], topics: ['>']}}]}]}";

#[test]
fn what_is_delivered_is_counted_and_leaves_the_lines_of_an_audit_to_what_is_asked_for() {
    let mut scene = Scene::new(&[ALLOW, AUDIT]);
    for number in 0..2 * AUDITED {
        let topic = format!("orders.{number}");
        assert!(scene.judge.delivers(&AccessRequest::on_topic(Operation::Publish, &topic)));
    }
    let most = u64::try_from(2 * AUDITED).unwrap();
    assert_eq!(scene.count(Operation::Publish, "allow", Some("bank/t0")), most);
    assert!(scene.decide(Operation::Publish, "orders.new"));
    assert!(!scene.judge.delivers(&AccessRequest::on_topic(Operation::Publish, "payments.new")));
    let lines = scene.lines();
    let topics: Vec<_> = lines.iter().map(|line| line["topic"].as_str().unwrap()).collect();
    assert_eq!(topics, ["orders.new", "payments.new"]);
}

#[test]
fn every_operation_is_counted_and_a_refused_one_has_a_line() {
    let mut scene = Scene::new(&[ALLOW]);
    assert!(scene.decide(Operation::Publish, "orders.new"));
    assert!(scene.decide(Operation::Publish, "orders.new"));
    assert!(scene.decide(Operation::Publish, "orders.old"));
    assert!(!scene.decide(Operation::Publish, "payments.new"));
    assert!(!scene.decide(Operation::Subscribe, "orders.new"));
    assert_eq!(scene.judge.refused(), Some("topic_denied"));
    assert_eq!(scene.count(Operation::Publish, "allow", Some("bank/t0")), 3);
    assert_eq!(scene.count(Operation::Publish, "deny", None), 1);
    assert_eq!(scene.count(Operation::Subscribe, "deny", None), 1);
    let page = serde_json::to_value(scene.installer.state.decisions.recent()).unwrap();
    assert_eq!(page[1]["message"]["topic"], "payments.new");
    assert_eq!(page[1]["message"]["operation"], "publish");
    let lines = scene.lines();
    let [payment, subscription] = lines.as_slice() else { panic!("{lines:?}") };
    for (key, expect) in [
        ("kind", "message"),
        ("source_principal", "td/ns/bank/sa/orders"),
        ("protocol", "nats"),
        ("operation", "publish"),
        ("topic", "payments.new"),
        ("decision", "deny"),
        ("reason", "topic_denied"),
    ] {
        assert_eq!(payment[key], expect, "{key}");
    }
    assert_eq!(payment["nearest"]["policy"], "bank/t0");
    assert_eq!(subscription["operation"], "subscribe");
}

#[test]
fn what_no_policy_could_allow_is_counted_and_written_too() {
    let mut scene = Scene::new(&[ALLOW, AUDIT]);
    let open = AccessRequest::on_topic(Operation::Publish, "orders.new");
    scene.judge.note_refusal(&open);
    assert_eq!(scene.judge.refused(), Some("topic_denied"));
    assert_eq!(scene.count(Operation::Publish, "deny", None), 1);
    let page = serde_json::to_value(scene.installer.state.decisions.recent()).unwrap();
    assert_eq!(page[0]["message"]["topic"], "orders.new");
    assert_eq!(page[0]["decision"], "deny");
    // It says nothing about what policy allows.
    assert!(scene.judge.would_allow(&open));
    assert_eq!(scene.count(Operation::Publish, "allow", Some("bank/t0")), 0);
    for _ in 0..100 {
        scene.judge.note_refusal(&open);
    }
    let lines = scene.lines();
    assert_eq!(lines.len(), usize::try_from(LINES).unwrap());
    for (key, expect) in [("topic", "orders.new"), ("decision", "deny"), ("reason", "topic_denied")]
    {
        assert_eq!(lines[0][key], expect, "{key}");
    }
    assert!(lines[0]["nearest"].is_null() && lines[0]["audited_by"].is_null());
}

#[test]
fn s48_limit_and_metric_keys_a_client_that_is_refused_without_end_fills_no_log() {
    let mut scene = Scene::new(&[ALLOW]);
    for _ in 0..1000 {
        assert!(!scene.decide(Operation::Publish, "payments.new"));
    }
    for number in 0..1000 {
        assert!(!scene.decide(Operation::Publish, &format!("payments.{number}")));
    }
    assert_eq!(scene.count(Operation::Publish, "deny", None), 2000);
    // The next second has lines again.
    scene.judge.lines.second = 0;
    assert!(!scene.decide(Operation::Publish, "payments.last"));
    let lines = scene.lines();
    assert_eq!(lines.len(), usize::try_from(LINES).unwrap() + 1);
    let unwritten: u64 = lines.iter().filter_map(|line| line["unwritten"].as_u64()).sum();
    assert_eq!(unwritten, 2000 - u64::from(LINES), "each is in a line or counted in one");
}

#[test]
fn what_is_audited_has_one_line_for_each_different_operation() {
    let mut scene = Scene::new(&[ALLOW, AUDIT]);
    for topic in ["orders.new", "orders.old", "orders.new"] {
        assert!(scene.decide(Operation::Publish, topic));
    }
    for subject in ["_INBOX.a", "_INBOX.b"] {
        let reply =
            AccessRequest { reply: true, ..AccessRequest::on_topic(Operation::Publish, subject) };
        scene.judge.decide(&reply);
    }
    let lines = scene.lines();
    let told = lines.iter().map(|line| (&line["topic"], &line["audited_by"], &line["reply"]));
    let told: Vec<_> = told.map(|(a, b, c)| format!("{a} {b} {c}")).collect();
    assert_eq!(
        told,
        [
            "\"orders.new\" \"bank/t1\" null",
            "\"orders.old\" \"bank/t1\" null",
            "\"_INBOX.a\" \"bank/t1\" true",
            "\"_INBOX.b\" null true"
        ]
    );
}

#[test]
fn what_is_only_asked_for_takes_no_line_and_no_count_from_what_is_done() {
    let mut scene = Scene::new(&[ALLOW, AUDIT]);
    let audited = AccessRequest::on_topic(Operation::Publish, "orders.new");
    assert!(scene.judge.would_allow(&audited) && scene.judge.would_allow(&audited));
    assert_eq!(scene.count(Operation::Publish, "allow", Some("bank/t0")), 0);
    assert!(scene.judge.decide(&audited));
    assert_eq!(scene.count(Operation::Publish, "allow", Some("bank/t0")), 1);
    let refused = AccessRequest::on_topic(Operation::Subscribe, "orders.new");
    assert!(!scene.judge.would_allow(&refused) && !scene.judge.decide(&refused));
    assert_eq!(scene.count(Operation::Subscribe, "deny", None), 1);
    scene.installer.install(&resources(&[ALLOW]));
    assert!(scene.judge.would_allow(&audited) && scene.judge.decide(&audited));
    assert_eq!(scene.count(Operation::Publish, "allow", Some("bank/t0")), 2);
    scene.installer.install(&resources(&[DENY]));
    assert!(!scene.judge.would_allow(&audited));
    assert_eq!(scene.lines().len(), 2, "the audited one and the refused one");
}

#[test]
fn p03_the_next_question_meets_the_policy_in_force() {
    let mut scene = Scene::new(&[ALLOW]);
    let open = AccessRequest::on_topic(Operation::Publish, "orders.new");
    assert!(scene.judge.decide(&open) && scene.judge.would_allow(&open));
    scene.installer.install(&resources(&[ALLOW, DENY]));
    assert!(!scene.judge.would_allow(&open) && !scene.judge.decide(&open));
    assert_eq!(scene.count(Operation::Publish, "deny", Some("bank/t1")), 1);
    scene.installer.install(&resources(&[ALLOW]));
    assert!(scene.judge.would_allow(&open) && scene.judge.decide(&open));
    assert_eq!(scene.judge.principal(), Some("td/ns/bank/sa/orders"));
}

#[test]
fn s52_a_long_name_is_cut_and_a_strange_one_escaped() {
    let mut scene = Scene::new(&[ALLOW]);
    let long = "é".repeat(2000);
    assert!(!scene.decide(Operation::Publish, &long));
    assert!(!scene.decide(Operation::Publish, "a\u{1b}[31m\n"));
    let lines = scene.lines();
    assert_eq!(lines[0]["topic"], "é".repeat(256));
    assert_eq!(lines[1]["topic"], "a\u{1b}[31m\n");
}
