//! TokenRevocation, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkloadSelector;

/// Tokens that are no longer taken. All that select a workload hold together. See docs/tokens.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "TokenRevocation",
    plural = "tokenrevocations",
    singular = "tokenrevocation",
    category = "postern",
    doc = "Tokens that are no longer taken.",
    namespaced,
    status = "TokenRevocationStatus",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct TokenRevocationSpec {
    /// Which workloads of the namespace it is about; without it, all of them. In the root namespace: of the whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// Single tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100_000))]
    pub tokens: Option<Vec<RevokedToken>>,
    /// All tokens of somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100_000))]
    pub subjects: Option<Vec<RevokedSubject>>,
}

/// A token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RevokedToken {
    /// Who issued it (`iss`).
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: String,
    /// Its `jti`.
    #[schemars(length(min = 1, max = 2048))]
    pub id: String,
    /// When it ends by itself, and this entry may be taken out: such as 2027-01-31T00:00:00Z, or Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub until: Option<Value>,
}

/// Somebody, until now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokedSubject {
    /// Who issued the tokens (`iss`).
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: String,
    /// Whose they are (`sub`).
    #[schemars(length(min = 1, max = 2048))]
    pub subject: String,
    /// Those that were issued before this moment: such as 2027-01-31T00:00:00Z, or Unix seconds.
    #[schemars(schema_with = "moment")]
    pub issued_before: Value,
}

/// RFC 3339 in UTC, or Unix seconds.
fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true })
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TokenRevocationStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
