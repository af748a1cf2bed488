//! ThreatPolicy, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkloadSelector;
use super::sign_in::SignInTarget;

/// Which requests are looked through for attacks, of workloads of the namespace or at a gateway. Of all that are about a
/// request the closest holds. See docs/threats.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "ThreatPolicy",
    plural = "threatpolicies",
    singular = "threatpolicy",
    category = "postern",
    doc = "Which requests are looked through for attacks.",
    namespaced,
    status = "ThreatPolicyStatus",
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.mode"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ThreatPolicySpec {
    /// Which workloads of the namespace it is about; without it and `targetRefs`, all of them. In the root namespace: of the
    /// whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// The Gateways, ListenerSets, listeners and HTTPRoutes of the namespace that it is about, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Option<Vec<SignInTarget>>,
    /// What is done about an attack. Default: detect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ThreatMode>,
    /// The rules: builtin, or a mapping with `path`, a file or directory on the proxy's machine, and `allowUnsupported`, the
    /// ids of rules that are left out where they ask for what is not supported. Default: builtin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule_set")]
    pub rule_set: Option<Value>,
    /// How suspicious the rules are, from 1 (few false alarms) to 4. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4))]
    pub paranoia: Option<u8>,
    /// The score from which the policy acts. Default: 5, one critical match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub inbound_threshold: Option<u32>,
    /// How much of a body is looked through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<InspectedBody>,
    /// Rules that do not count on some paths, or not for some arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub exclusions: Option<Vec<RuleExclusion>>,
    /// How long a request waits for the result, from 1ms to 10s. Default: 50ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// What becomes of a request whose result does not come in time, where attacks are blocked. Default: deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<OnTimeout>,
}

/// What is done about an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThreatMode {
    /// It is logged and counted, and goes on.
    Detect,
    /// It is refused.
    Block,
}

/// How much of a body is looked through.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InspectedBody {
    /// So many bytes at most, from 1KiB to 1MiB. Default: 128KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspect_bytes: Option<String>,
    /// What becomes of a longer one. Default: deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exceed: Option<OnExceed>,
}

/// What becomes of a longer body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnExceed {
    /// It is refused.
    Deny,
    /// Its beginning is looked through, and the rest passes unseen.
    InspectPrefix,
}

/// What becomes of a request whose result does not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnTimeout {
    /// It is refused.
    Deny,
}

/// A rule that does not count.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RuleExclusion {
    /// Its id.
    #[schemars(range(min = 1))]
    pub rule: u32,
    /// On these paths, such as /search*; without it, on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub paths: Option<Vec<String>>,
    /// For these arguments; without it, for the whole request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub args: Option<Vec<String>>,
}

/// A word or a mapping, which a structural schema cannot say: the proxies' reader does.
fn rule_set(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ThreatPolicyStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
