//! TokenExchange, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkloadSelector;
use super::client_traffic_policy::ListenerTarget;

/// Where users' tokens become tokens of the mesh itself (RFC 8693). See docs/tokens.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "TokenExchange",
    plural = "tokenexchanges",
    singular = "tokenexchange",
    category = "postern",
    doc = "Where users' tokens become tokens of the mesh itself.",
    namespaced,
    status = "TokenExchangeStatus",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct TokenExchangeSpec {
    /// Which workloads of the namespace it is about; without it, all of them. In the root namespace: of the whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// Gateways, ListenerSets and listeners of the namespace that it is about, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Option<Vec<ListenerTarget>>,
    /// Whose users' tokens; without it, those of every issuer that is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub issuers: Option<Vec<String>>,
    /// The claims that are taken over. Default: email, groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub claims: Option<Vec<String>>,
    /// How long the new token lives, from 30s to 5m, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<String>,
    /// Whom the new token is for, such as spiffe://cluster.local; without it, as docs/tokens.md says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub audience: Option<String>,
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TokenExchangeStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
