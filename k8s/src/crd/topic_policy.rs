//! TopicPolicy, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkloadSelector;

/// Which workload may publish, subscribe, create, delete and administer what at a message broker. What no ALLOW policy
/// covers is refused. See docs/topic-policies.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "TopicPolicy",
    plural = "topicpolicies",
    singular = "topicpolicy",
    category = "postern",
    doc = "Which workload may do what at a message broker.",
    namespaced,
    status = "TopicPolicyStatus",
    printcolumn = r#"{"name":"Protocol","type":"string","jsonPath":".spec.protocol"}"#,
    printcolumn = r#"{"name":"Action","type":"string","jsonPath":".spec.action"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct TopicPolicySpec {
    /// Which workloads of the namespace it is about, as brokers; without it, all of them. In the root namespace: of the
    /// whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// The protocol whose operations it is about. The broker's port must be declared to speak it.
    pub protocol: TopicProtocol,
    /// What a matching rule does. Default: ALLOW.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<TopicAction>,
    /// At least one.
    #[schemars(length(min = 1, max = 512))]
    pub rules: Vec<TopicRule>,
}

/// A protocol of message brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopicProtocol {
    /// NATS, JetStream included.
    Nats,
    /// MQTT 3.1.1 and 5.
    Mqtt,
    /// Kafka.
    Kafka,
}

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TopicAction {
    /// Allows what it covers whole.
    Allow,
    /// Refuses whatever it touches, before any ALLOW policy is asked.
    Deny,
    /// Is only recorded.
    Audit,
}

/// Any of `from`, and any of `to`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TopicRule {
    /// Who asks; without it, anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub from: Option<Vec<TopicFrom>>,
    /// What is asked; ALLOW needs it, DENY and AUDIT without it are about everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub to: Option<Vec<TopicTo>>,
}

/// Who asks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TopicFrom {
    /// All of its fields must hold.
    pub source: TopicSource,
}

/// A caller, as an AuthorizationPolicy writes it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicSource {
    /// Identities, such as cluster.local/ns/bank/sa/orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub principals: Option<Vec<String>>,
    /// None of these identities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub not_principals: Option<Vec<String>>,
    /// Namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub namespaces: Option<Vec<String>>,
    /// None of these namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub not_namespaces: Option<Vec<String>>,
    /// Service accounts, NAMESPACE/NAME, or NAME in the policy's own namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub service_accounts: Option<Vec<String>>,
    /// None of these service accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub not_service_accounts: Option<Vec<String>>,
    /// Trust domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub trust_domains: Option<Vec<String>>,
    /// None of these trust domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub not_trust_domains: Option<Vec<String>>,
    /// Addresses, or blocks of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub ip_blocks: Option<Vec<String>>,
    /// None of these addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub not_ip_blocks: Option<Vec<String>>,
}

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TopicTo {
    /// ALLOW covers an operation when each thing that it names is listed here; DENY and AUDIT fire when any is.
    pub operation: TopicOperation,
}

/// Operations, and what they may be about. Patterns of topics are the protocol's own: exact or `prefix*` in Kafka; `*` and
/// `>` in NATS; `+` and `#` in MQTT. Other names are exact or `prefix*`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicOperation {
    /// What is done. A clause that only names client ids has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    pub operations: Option<Vec<TopicVerb>>,
    /// Topics, subjects or topic filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub topics: Option<Vec<String>>,
    /// Consumer groups (Kafka), or groups of shared subscriptions (MQTT).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub groups: Option<Vec<String>>,
    /// Queue groups (NATS).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub queues: Option<Vec<String>>,
    /// JetStream streams (NATS); without `topics`, every subject of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub streams: Option<Vec<String>>,
    /// Client ids beside the caller's own (MQTT).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub client_ids: Option<Vec<String>>,
    /// Transactional ids of producers (Kafka).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub transactional_ids: Option<Vec<String>>,
    /// Whether messages that were just delivered may be answered where they ask for it (NATS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<bool>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopicVerb {
    /// Send messages.
    Publish,
    /// Receive messages.
    Subscribe,
    /// Make a topic or stream.
    Create,
    /// Remove one, or messages of it.
    Delete,
    /// Administer a topic; the broker where the clause names nothing.
    Admin,
    /// What brokers do among themselves.
    Cluster,
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TopicPolicyStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
