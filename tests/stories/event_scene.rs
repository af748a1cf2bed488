//! The bank's bus of events: a broker, and three services that send and receive.

use postern_tests::{Broker, BrokerKind, Mesh, Pod};
use serde_json::{Value, json};

/// The pods, all in the namespace `bank`; the broker's is called `broker`.
pub(crate) struct Events {
    pub(crate) broker: Broker,
    pub(crate) orders: Pod,
    pub(crate) payments: Pod,
    pub(crate) audit: Pod,
    pub(crate) mesh: Mesh,
}

/// The file that has the policies about topics, in [`Mesh::policy`].
pub(crate) const TOPICS: &str = "topics";

/// A broker whose port is declared with its protocol, and which each of the three may connect to. `policies` are
/// resources as text: what they may do there.
pub(crate) fn events(kind: BrokerKind, policies: &str) -> Events {
    events_with(kind, policies, json!({}))
}

/// The same, with these keys laid over the broker's proxy.yaml.
pub(crate) fn events_with(kind: BrokerKind, policies: &str, config: Value) -> Events {
    on(Mesh::start(), kind, kind.protocol(), policies, config)
}

/// A broker whose port is declared `tcp`: whoever may connect may do anything.
pub(crate) fn opaque(kind: BrokerKind) -> Events {
    on(Mesh::start(), kind, "tcp", "", json!({}))
}

fn on(mesh: Mesh, kind: BrokerKind, protocol: &str, policies: &str, config: Value) -> Events {
    mesh.policy("broker-connect", &may_connect(&["orders", "payments", "audit"]));
    if !policies.is_empty() {
        mesh.policy(TOPICS, policies);
    }
    let broker = Broker::start(kind, protocol, pod(&mesh, "broker").config(config));
    let [orders, payments, audit] =
        ["orders", "payments", "audit"].map(|name| pod(&mesh, name).start());
    Events { broker, orders, payments, audit, mesh }
}

/// A pod of the bank.
pub(crate) fn pod(mesh: &Mesh, name: &str) -> postern_tests::PodBuilder {
    mesh.pod(name).namespace("bank")
}

/// The policy by which these service accounts of the bank may connect to the broker.
pub(crate) fn may_connect(accounts: &[&str]) -> String {
    let principals: Vec<_> =
        accounts.iter().map(|name| format!("cluster.local/ns/bank/sa/{name}")).collect();
    json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "broker-connect", "namespace": "bank"},
        "spec": {
            "selector": {"matchLabels": {"app": "broker"}},
            "rules": [{"from": [{"source": {"principals": principals}}]}],
        },
    })
    .to_string()
}

/// One policy about topics, on the broker: `spec` has the `action` and the `rules`.
pub(crate) fn topic_policy(kind: BrokerKind, name: &str, action: &str, rules: &Value) -> String {
    json!({
        "apiVersion": "policy.postern.dev/v1alpha1", "kind": "TopicPolicy",
        "metadata": {"name": name, "namespace": "bank"},
        "spec": {
            "selector": {"matchLabels": {"app": "broker"}},
            "protocol": kind.protocol(), "action": action, "rules": rules,
        },
    })
    .to_string()
}

/// A rule: one of the bank's service accounts, and what it may do in the words of `to[].operation`.
pub(crate) fn rule(account: &str, operations: &[Value]) -> Value {
    let principal = format!("cluster.local/ns/bank/sa/{account}");
    let to: Vec<_> = operations.iter().map(|operation| json!({"operation": operation})).collect();
    json!({"from": [{"source": {"principals": [principal]}}], "to": to})
}

/// Publishing these topics, for [`rule`].
pub(crate) fn publish(topics: &[&str]) -> Value {
    json!({"operations": ["publish"], "topics": topics})
}

/// Receiving these, likewise.
pub(crate) fn subscribe(topics: &[&str]) -> Value {
    json!({"operations": ["subscribe"], "topics": topics})
}

/// Several resources as one file.
pub(crate) fn together(resources: &[String]) -> String {
    resources.join("\n---\n")
}

impl Events {
    /// Puts other policies about topics in force.
    pub(crate) fn set_topics(&self, policies: &str) {
        self.mesh.policy(TOPICS, policies);
    }
}
