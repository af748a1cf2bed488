//! TokenIntrospection, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkloadSelector;
use super::client_traffic_policy::ListenerTarget;
use super::sign_in::{ClaimHeader, ClientAuth, SecretReference};

/// Whose issuer is asked about tokens that nobody else can read (RFC 7662). All that are about a workload or a listener
/// hold together. See docs/tokens.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "TokenIntrospection",
    plural = "tokenintrospections",
    singular = "tokenintrospection",
    category = "postern",
    doc = "Whose issuer is asked about tokens that nobody else can read.",
    namespaced,
    status = "TokenIntrospectionStatus",
    printcolumn = r#"{"name":"Issuer","type":"string","jsonPath":".spec.issuer"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct TokenIntrospectionSpec {
    /// Which workloads of the namespace it is about; without it, all of them. In the root namespace: of the whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// Gateways, ListenerSets and listeners of the namespace that it is about, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Option<Vec<ListenerTarget>>,
    /// The issuer of the tokens: an https address.
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: String,
    /// Where it is asked; without it, where its discovery document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub endpoint: Option<String>,
    /// Who asks.
    #[schemars(length(min = 1, max = 256))]
    pub client_id: String,
    /// How the client proves itself. Default: client_secret_basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// The Secret of the namespace with `client-secret`, or `private-key` where clientAuth is private_key_jwt.
    pub client_secret_ref: SecretReference,
    /// A token must be for one of them; without it, for whomever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub audiences: Option<Vec<String>>,
    /// Where a request has its token; without it, in `authorization` behind `Bearer `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub from_headers: Option<Vec<TokenHeader>>,
    /// Which tokens are asked about. Default: opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<IntrospectedTokens>,
    /// How long an answer may take, from 100ms to 30s. Default: 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Whether the app gets to see the token. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_original_token: Option<bool>,
    /// Headers that get a claim each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub claim_headers: Option<Vec<ClaimHeader>>,
    /// How long answers are remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<AnswerCache>,
}

/// A header that has a token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenHeader {
    /// Its name.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// What stands before the token, such as `Bearer `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub prefix: Option<String>,
}

/// Which tokens are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IntrospectedTokens {
    /// All but JWTs of an issuer that a RequestAuthentication names.
    Opaque,
    /// Every one.
    All,
}

/// How long answers are remembered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AnswerCache {
    /// That a token is active; at most, and by default, 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// That it is not; at most, and by default, 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative: Option<String>,
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TokenIntrospectionStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
