//! ApiKeyPolicy, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkloadSelector;
use super::client_traffic_policy::ListenerTarget;

/// Which API keys are accepted, whose they are and what they are for. It holds their hashes, never a key. All that are about
/// a workload or a listener hold together. See docs/api-keys.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "ApiKeyPolicy",
    plural = "apikeypolicies",
    singular = "apikeypolicy",
    category = "postern",
    doc = "Which API keys are accepted, whose they are and what they are for.",
    namespaced,
    status = "ApiKeyPolicyStatus",
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.mode"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyPolicySpec {
    /// Which workloads of the namespace it is about; without it, all of them. In the root namespace: of the whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// Gateways, ListenerSets and listeners of the namespace that it is about, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Option<Vec<ListenerTarget>>,
    /// Where a request has its key; without it, in the header x-api-key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<KeyPlace>,
    /// Whether a request must have one. Default: required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<KeyMode>,
    /// Whether the app gets to see it. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<bool>,
    /// The keys that are accepted.
    #[schemars(length(min = 1, max = 4096))]
    pub keys: Vec<AcceptedKey>,
}

/// Where a request has its key: one of the two.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KeyPlace {
    /// A header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub header: Option<String>,
    /// A query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub query: Option<String>,
}

/// Whether a request must have a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyMode {
    /// Without one it is refused.
    Required,
    /// It may have none; one that it has must be valid.
    Optional,
}

/// A key that is accepted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedKey {
    /// Its name, which is no secret.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Whose it is.
    #[schemars(length(min = 1, max = 128))]
    pub client: String,
    /// sha256: and the SHA-256 of the key, in hexadecimal.
    #[schemars(length(equal = 71))]
    pub hash: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub scopes: Option<Vec<String>>,
    /// From when on it is taken, such as 2027-01-31T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// From when on it is no longer taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeyPolicyStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
