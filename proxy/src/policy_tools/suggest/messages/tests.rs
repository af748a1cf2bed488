#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::policy_tools::recorded;
use crate::policy_tools::suggest::tests::args;

const CONFIG: &str = "workload: {namespace: bank, serviceAccount: broker, labels: {app: broker}}\nidentity: {workloadApi: unix:///run/a}\n";

/// A line of the log; `what` is `protocol operation key=name …`.
fn line(caller: &str, decision: &str, what: &str) -> String {
    let mut words = what.split(' ');
    let (protocol, operation) = (words.next().unwrap(), words.next().unwrap());
    let named: String = words
        .map(|word| match word.split_once('=') {
            Some((key, name)) => format!(",\"{key}\":\"{name}\""),
            None => format!(",\"{word}\":true"),
        })
        .collect();
    format!(
        "{{\"timestamp\":\"t\",\"kind\":\"message\",\"direction\":\"inbound\",\"source_ip\":\"10.0.0.2\",\"destination\":\"10.0.0.3:4222\",\"source_principal\":\"{caller}\",\"protocol\":\"{protocol}\",\"operation\":\"{operation}\"{named},\"decision\":\"{decision}\"}}\n"
    )
}

fn suggested(log: &str, args: &SuggestArgs) -> (Vec<String>, Vec<String>) {
    let config = Config::parse("c", CONFIG.as_bytes()).unwrap_or_else(|m| panic!("{m}"));
    let mut remarks = Vec::new();
    let recording = recorded::read(log.as_bytes()).unwrap();
    (suggest(&config, &recording, args, &mut remarks), remarks)
}

const ORDERS: &str = "cluster.local/ns/bank/sa/orders";
const LEDGER: &str = "cluster.local/ns/bank/sa/ledger";

/// The rules of the only policy that is suggested, and that it allows all it was made from.
fn rules_of(lines: &[&str]) -> String {
    let log: String = lines.iter().map(|what| line(ORDERS, "allow", what)).collect();
    let (mut policies, remarks) = suggested(&log, &args());
    assert_eq!((policies.len(), remarks), (1, Vec::new()), "{lines:?}");
    let policy = policies.remove(0);
    let all = format!("{} of {} allowed", lines.len(), lines.len());
    assert!(policy.contains(&all), "{policy}");
    let clauses = policy.lines().filter_map(|line| line.trim().strip_prefix("- operation: "));
    clauses.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_smallest_policy_for_a_log() {
    let log = [
        line(ORDERS, "allow", "kafka publish topic=orders.new"),
        line(ORDERS, "allow", "kafka publish transactional_id=orders-1"),
        line(ORDERS, "allow", "kafka subscribe topic=payments"),
        line(ORDERS, "allow", "kafka subscribe group=orders"),
        line(LEDGER, "allow", "kafka subscribe topic=payments"),
        line(LEDGER, "allow", "kafka describe topic=payments"),
        line(LEDGER, "deny", "kafka publish topic=payments"),
        line("none", "allow", "kafka publish topic=x"),
    ]
    .concat();
    let (policies, remarks) = suggested(&log, &args());
    let expect = "\
# Suggested by `postern-proxy policy suggest` from 5 recorded operations.
# Replayed on it: 5 of 5 allowed. Read every line before it is enforced.
apiVersion: policy.postern.dev/v1alpha1
kind: TopicPolicy
metadata:
  name: broker-topics
  namespace: bank
spec:
  selector: {matchLabels: {app: broker}}
  protocol: kafka
  action: ALLOW
  rules:
    - from:
        - source: {principals: [cluster.local/ns/bank/sa/ledger]}
      to:
        - operation: {operations: [subscribe], topics: [payments]}
    - from:
        - source: {principals: [cluster.local/ns/bank/sa/orders]}
      to:
        - operation: {operations: [publish], topics: [orders.new], transactionalIds: [orders-1]}
        - operation: {operations: [subscribe], topics: [payments], groups: [orders]}
";
    assert_eq!(policies, [expect]);
    assert_eq!(
        remarks,
        [
            "left out: 1 operations that policy refused (--include-denied takes them)",
            "left out: 1 operations of callers without identity: a rule for them would let anybody in",
            "left out: 1 operations that only ask whether a topic exists: allow publish or subscribe, and what follows is recorded",
        ]
    );
}

#[test]
fn clauses_cover_what_was_done_and_no_more() {
    let check = |lines: &[&str], expect: &[&str]| assert_eq!(rules_of(lines), expect.join("\n"));
    check(
        &["nats publish topic=a.b", "nats subscribe topic=a.b", "nats subscribe topic=c.>"],
        &[
            "{operations: [publish, subscribe], topics: [a.b]}",
            "{operations: [subscribe], topics: [\"c.>\"]}",
        ],
    );
    check(
        &["nats subscribe topic=a queue=q", "nats subscribe topic=a", "nats subscribe topic=b"],
        &[
            "{operations: [subscribe], topics: [a], queues: [q]}",
            "{operations: [subscribe], topics: [a, b]}",
        ],
    );
    check(
        &[
            "nats subscribe topic=a queue=p",
            "nats subscribe topic=a queue=q",
            "nats publish topic=_INBOX.x.y.1 reply",
        ],
        &[
            "{operations: [publish], reply: true}",
            "{operations: [subscribe], topics: [a], queues: [p, q]}",
        ],
    );
    check(
        &["nats subscribe topic=_INBOX.bank.orders.>", "nats publish topic=a"],
        &["{operations: [publish], topics: [a]}"],
    );
    check(
        &["nats subscribe topic=_INBOX.>", "nats publish topic=a"],
        &[
            "{operations: [publish], topics: [a]}",
            "{operations: [subscribe], topics: [\"_INBOX.>\"]}",
        ],
    );
    check(
        &[
            "mqtt connect client_id=bank.orders.1",
            "mqtt connect client_id=device-7",
            "mqtt publish topic=a/b",
        ],
        &["{clientIds: [device-7]}", "{operations: [publish], topics: [a/b]}"],
    );
    check(&["mqtt connect client_id=bank.orders"], &["{clientIds: [bank.orders]}"]);
    check(
        &["mqtt subscribe topic=a/# group=g", "mqtt subscribe topic=b group=h"],
        &[
            "{operations: [subscribe], topics: [\"a/#\"], groups: [g]}",
            "{operations: [subscribe], topics: [b], groups: [h]}",
        ],
    );
    check(
        &["kafka admin", "kafka admin topic=a", "kafka cluster"],
        &["{operations: [admin], topics: [a]}", "{operations: [admin, cluster]}"],
    );
    check(
        &["nats subscribe stream=S topic=a.b"],
        &["{operations: [subscribe], topics: [a.b], streams: [S]}"],
    );
}

#[test]
fn what_is_refused_and_what_no_pattern_can_name() {
    let log = line(ORDERS, "deny", "mqtt publish topic=a/b")
        + &line(ORDERS, "allow", "mqtt publish topic=a*b");
    let (policies, remarks) = suggested(&log, &args());
    assert!(policies.is_empty(), "{policies:?}");
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    let with = SuggestArgs { include_denied: true, ..args() };
    let (policies, _) = suggested(&log, &with);
    assert!(policies[0].contains("topics: [a/b]"), "{policies:?}");
    let long = format!("mqtt publish topic={}", "a".repeat(512));
    let (policies, remarks) = suggested(&line(ORDERS, "allow", &long), &args());
    assert!(policies.is_empty(), "{policies:?}");
    assert_eq!(remarks, ["left out: 1 operations on names that are longer than the log writes"]);
    let two = line(ORDERS, "allow", "mqtt publish topic=a")
        + &line(ORDERS, "allow", "nats publish topic=a");
    let (policies, _) = suggested(&two, &args());
    assert!(policies[0].contains("name: broker-topics-nats"), "{policies:?}");
    assert!(policies[1].contains("name: broker-topics-mqtt"), "{policies:?}");
}
