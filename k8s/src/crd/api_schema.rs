//! ApiSchema, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkloadSelector;
use super::sign_in::SignInTarget;

/// The OpenAPI description that requests to workloads of the namespace, or at a gateway, are compared with. The most specific
/// one holds as a whole. See docs/api-schemas.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "ApiSchema",
    plural = "apischemas",
    singular = "apischema",
    category = "postern",
    doc = "The OpenAPI description that requests are compared with.",
    namespaced,
    status = "ApiSchemaStatus",
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.mode"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ApiSchemaSpec {
    /// Which workloads of the namespace it is about, by their sidecars. In the root namespace: of the whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// The app's ports that it is about, with a selector; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 65535)))]
    pub ports: Option<Vec<u16>>,
    /// What it is about instead: the Gateways, ListenerSets, listeners and HTTPRoutes of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Option<Vec<SignInTarget>>,
    /// The description: OpenAPI 3.0 or 3.1.
    pub document: ApiDocument,
    /// What stands before the description's paths, such as /api/v1; without it, what its `servers` say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub base_path: Option<String>,
    /// What becomes of a request that the description does not allow. Default: detect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<SchemaMode>,
    /// Whether a request that is none of the operations is allowed. Default: deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_operations: Option<UnknownOperations>,
    /// Whether answers are compared, too. Default: ignore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswerCheck>,
    /// What a JSON body may be, whatever the description says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonBounds>,
}

/// Where a description is: one of the two.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiDocument {
    /// The description itself, YAML or JSON as one text; at most 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_048_576))]
    pub inline: Option<String>,
    /// The absolute path of a file beside the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4095))]
    pub path: Option<String>,
}

/// What becomes of a request that the description does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SchemaMode {
    /// It is logged and counted, and goes on.
    Detect,
    /// It is refused.
    Block,
}

/// Whether a request that is none of the operations is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UnknownOperations {
    /// It is not.
    Deny,
    /// It is none of the description's business.
    Allow,
}

/// Whether answers are compared with the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AnswerCheck {
    /// They are not.
    Ignore,
    /// What does not fit is logged and counted, and goes on.
    Detect,
    /// What does not fit is replaced by a 502.
    Block,
}

/// What a JSON body may be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JsonBounds {
    /// The most bytes, such as 1MiB, the default; at most 16MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<String>,
    /// How deep lists and objects stand in each other. Default: 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 120))]
    pub max_depth: Option<u32>,
    /// The most values in a body, those in others counted. Default: 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_nodes: Option<u32>,
    /// The most keys of one object. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_keys: Option<u32>,
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ApiSchemaStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
