//! From a recorded day to the policies about topics that the examples are shipped with.

use std::fs;

use postern_tests::{Mesh, Pod, Table, repository, shipped_topics, wait};
use serde_json::json;

/// What was recorded.
pub(crate) struct Recorded<'a> {
    pub(crate) mesh: &'a Mesh,
    /// The pod of the broker.
    pub(crate) broker: &'a Pod,
    /// Whose events they are, in `examples`.
    pub(crate) example: &'a str,
}

/// Policies for a day that is to be recorded: whoever may connect may do everything, and each thing is written down.
pub(crate) fn everything(namespace: &str, protocol: &str, topics: &str) -> String {
    let mut all = json!({"operations": ["publish", "subscribe"], "topics": [topics]});
    if protocol == "nats" {
        all["queues"] = json!(["*"]);
    }
    let from = json!([{"source": {"namespaces": [namespace]}}]);
    let allowed = json!({"from": from, "to": [{"operation": all}]});
    let policy = |name: &str, action: &str, rule| {
        json!({
            "apiVersion": "policy.postern.dev/v1alpha1", "kind": "TopicPolicy",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": {"app": "broker"}},
                "protocol": protocol, "action": action, "rules": [rule],
            },
        })
        .to_string()
    };
    let recorded = policy("recorded", "AUDIT", json!({}));
    [policy("recorded-allow", "ALLOW", allowed), recorded].join("\n---\n")
}

/// Compares what is suggested with what is shipped, and puts that in force.
pub(crate) fn show(table: &mut Table, recorded: &Recorded<'_>) {
    let shipped = shipped_topics(recorded.example);
    let mut suggestion = String::new();
    let same = wait::holds_within(wait::PATIENCE, || {
        // A line is written a moment after what it is about.
        suggestion = suggested(recorded.broker);
        rules(&suggestion) == rules(&shipped)
    });
    if std::env::var_os("SUGGEST").is_some_and(|value| !value.is_empty()) {
        let file = format!("examples/{}/events/topics.yaml", recorded.example);
        let text = headed(recorded.example, &suggestion);
        fs::write(repository().join(file), text).expect("it can be written");
    }
    let (what, expected) = ("policy suggest from its log", "the shipped policy");
    table.row(recorded.example, "-", what, expected, if same { expected } else { &suggestion });
    recorded.mesh.policy("topics", &shipped);
}

/// What `policy suggest` makes of what the broker's proxy has logged until now, about topics.
fn suggested(broker: &Pod) -> String {
    let log = ["--config", "/run/postern/proxy.yaml", "--log", "/run/postern/proxy.out"];
    let all = broker.postern("postern-proxy", &[&["policy", "suggest"], &log[..]].concat()).stdout;
    let about_topics = |document: &&str| document.contains("kind: TopicPolicy");
    all.split("---\n").find(about_topics).unwrap_or(&all).to_owned()
}

/// A policy without what is said about it.
fn rules(policy: &str) -> Vec<&str> {
    policy.lines().filter(|line| !line.starts_with('#')).collect()
}

fn headed(example: &str, policy: &str) -> String {
    format!(
        "# Who may tell and hear what at the {example}'s broker, as `make demo-events SUGGEST=1` wrote it: a day was recorded\n\
         # with an AUDIT of everything, and then\n\
         #     postern-proxy policy suggest --config broker/proxy.yaml --log broker/proxy.out\n\
         {}\n",
        rules(policy).join("\n")
    )
}
