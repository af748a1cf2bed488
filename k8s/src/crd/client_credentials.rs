//! ClientCredentials, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkloadSelector;
use super::sign_in::{ClientAuth, SecretReference};

/// Tokens of a workload's own that the proxy adds to requests for hosts outside the mesh (RFC 6749 §4.4). See
/// docs/tokens.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "ClientCredentials",
    plural = "clientcredentials",
    singular = "clientcredential",
    category = "postern",
    doc = "Tokens of a workload's own for hosts outside the mesh.",
    namespaced,
    status = "ClientCredentialsStatus",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ClientCredentialsSpec {
    /// Which workloads of the namespace it is about; without it, all of them. In the root namespace: of the whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// The hosts whose requests get a token, such as api.example.com or *.example.com.
    #[schemars(length(min = 1, max = 64))]
    pub hosts: Vec<String>,
    /// The provider, whose discovery document says where tokens are asked for: an https address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: Option<String>,
    /// Where tokens are asked for, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub token_endpoint: Option<String>,
    /// Who asks.
    #[schemars(length(min = 1, max = 256))]
    pub client_id: String,
    /// How the client proves itself. Default: client_secret_basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// The Secret of the namespace with `client-secret`, or `private-key` where clientAuth is private_key_jwt.
    pub client_secret_ref: SecretReference,
    /// What is asked for; without it, whatever the provider gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub scopes: Option<Vec<String>>,
    /// For whom the token is to be, as some providers want it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub audience: Option<String>,
    /// For what the token is to be (RFC 8707 §2): an absolute URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub resource: Option<String>,
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ClientCredentialsStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
