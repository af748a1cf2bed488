//! AbusePolicy, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkloadSelector;
use super::client_traffic_policy::ListenerTarget;

/// Who is blocked for a while because of what its requests were answered: who is mostly refused, or looks for many things
/// that are not there. All policies that are about a request hold together. See docs/abuse.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "AbusePolicy",
    plural = "abusepolicies",
    singular = "abusepolicy",
    category = "postern",
    doc = "Who is blocked for a while because of what its requests were answered.",
    namespaced,
    status = "AbusePolicyStatus",
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.mode"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AbusePolicySpec {
    /// Which workloads of the namespace it is about; without it and `targetRefs`, all of them. In the root namespace: of the
    /// whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// Gateways, ListenerSets and listeners of the namespace that it is about, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Option<Vec<ListenerTarget>>,
    /// What becomes of a caller that abuses. Default: detect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AbuseMode>,
    /// What callers are told apart by; a request without it is its client address's.
    pub key: AbuseKey,
    /// The claim, for key: claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub claim: Option<String>,
    /// In which time answers are counted, from 10s to 1h. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Below so many answers within it nothing is said of the refused ones. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 1_000_000))]
    pub requests: Option<u32>,
    /// From how many answers of 401, 403 and 404 in a hundred a caller is blocked. Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub refused_ratio: Option<u32>,
    /// From how many different paths answered 404 a caller is blocked. Default: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 500))]
    pub distinct_missing: Option<u32>,
    /// How long the first block lasts, from 1s to 1d; one that soon follows is longer. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_for: Option<String>,
    /// What a blocked caller is answered: 429 or 403. Default: 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "block_status")]
    pub status: Option<u16>,
}

/// What becomes of a caller that abuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AbuseMode {
    /// It is told in log and metrics, and goes on.
    Detect,
    /// Its requests are refused for a while.
    Block,
}

/// What callers are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AbuseKey {
    /// The identity that the peer's certificate proved.
    Principal,
    /// The client's address, IPv6 by its /64.
    ClientAddress,
    /// A claim of the verified token, together with its issuer.
    Claim,
    /// The API key.
    ApiKey,
}

fn block_status(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "integer", "enum": [429, 403] })
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct AbusePolicyStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
