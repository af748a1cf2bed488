//! The resource kinds of our own group, `policy.postern.dev`, as Kubernetes is told of them.
//!
//! These types only make the schemas by which the API server checks an object when it is written. What an object means,
//! and every check that a schema cannot say, is in the policy crate; a test holds the two together.

mod abuse_policy;
mod api_key_policy;
mod api_schema;
mod client_credentials;
mod client_traffic_policy;
mod fault_injection;
mod rate_limit_policy;
mod sign_in;
mod threat_policy;
mod token_exchange;
mod token_introspection;
mod token_revocation;
mod topic_policy;

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt as _};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use abuse_policy::AbusePolicy;
pub use api_key_policy::ApiKeyPolicy;
pub use api_schema::ApiSchema;
pub use client_credentials::ClientCredentials;
pub use client_traffic_policy::ClientTrafficPolicy;
pub use fault_injection::FaultInjection;
pub use rate_limit_policy::RateLimitPolicy;
pub use sign_in::SignIn;
pub use threat_policy::ThreatPolicy;
pub use token_exchange::TokenExchange;
pub use token_introspection::TokenIntrospection;
pub use token_revocation::TokenRevocation;
pub use topic_policy::TopicPolicy;

/// What is asked of an issuer's tokens beyond RequestAuthentication: who may present them, and whether they are bound to a
/// key. All that select a workload and name an issuer hold together; the strictest word counts. See docs/tokens.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "TokenPolicy",
    plural = "tokenpolicies",
    singular = "tokenpolicy",
    category = "postern",
    doc = "What is asked of an issuer's tokens beyond RequestAuthentication.",
    namespaced,
    status = "TokenPolicyStatus",
    printcolumn = r#"{"name":"Issuer","type":"string","jsonPath":".spec.issuer"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct TokenPolicySpec {
    /// Which workloads of the namespace it is about; without it, all of them. In the root namespace: of the whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// The issuer whose tokens it is about, as a RequestAuthentication writes it.
    #[schemars(length(min = 1))]
    pub issuer: String,
    /// The workloads that may present tokens of this issuer, such as cluster.local/ns/edge/sa/gateway; without it, whoever
    /// holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub principals: Option<Vec<String>>,
    /// Whether a token must be bound to the key of the certificate that presents it (RFC 8705 §3.1). IGNORED needs
    /// `principals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
    /// Whether a token must name an audience that the RequestAuthentication lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<Audience>,
}

/// Which workloads.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSelector {
    /// Labels that the workload's pod has, each with this value.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
}

/// What is asked of a token's binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Confirmation {
    /// An unbound token is refused.
    Required,
    /// A bound one must fit.
    IfPresent,
    /// The workloads in `principals` have looked at it.
    Ignored,
}

/// What is asked of a token's audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Audience {
    /// It must be there.
    Required,
    /// A token without one passes.
    Optional,
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TokenPolicyStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Value>,
}

/// As the API conventions write conditions, so that server-side apply merges them by type.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    let text = json!({ "type": "string" });
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status"],
            "properties": {
                "type": text,
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "reason": text,
                "message": text,
                "observedGeneration": { "type": "integer", "format": "int64" },
                "lastTransitionTime": { "type": "string", "format": "date-time" },
            },
        },
    })
}

/// The definitions, as they are applied. An uninstall of the chart leaves them, and with them the objects that are written.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![
        TokenPolicy::crd(),
        FaultInjection::crd(),
        RateLimitPolicy::crd(),
        AbusePolicy::crd(),
        ClientTrafficPolicy::crd(),
        ApiKeyPolicy::crd(),
        SignIn::crd(),
        ThreatPolicy::crd(),
        TokenIntrospection::crd(),
        TokenRevocation::crd(),
        TokenExchange::crd(),
        ClientCredentials::crd(),
        ApiSchema::crd(),
        TopicPolicy::crd(),
    ];
    for metadata in definitions.iter_mut().map(|definition| &mut definition.metadata) {
        let pair = |key: &str, value: &str| [(key.to_owned(), value.to_owned())];
        metadata.labels = Some(pair("app.kubernetes.io/part-of", "postern").into());
        metadata.annotations = Some(pair("helm.sh/resource-policy", "keep").into());
    }
    definitions
}

/// A definition as YAML.
///
/// # Errors
/// The library's, which nothing provokes.
pub fn print(definition: &CustomResourceDefinition) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(definition)?;
    write_whole_numbers(&mut value);
    Ok(format!(
        "# Printed by `postern-k8s crds`; not to be edited.\n{}",
        serde_saphyr::to_string(&value)?
    ))
}

/// The library keeps the bounds of a number as floats, and tools disagree on whether `1.0` is `1`.
fn write_whole_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(write_whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let whole = number.to_string().strip_suffix(".0").and_then(|text| text.parse().ok());
            *number = whole.map_or_else(|| number.clone(), |whole: i64| whole.into());
        }
        _ => {}
    }
}

/// All definitions as YAML, a document each.
///
/// # Errors
/// The library's, which nothing provokes.
pub fn print_all() -> anyhow::Result<String> {
    let documents: Vec<_> = definitions().iter().map(print).collect::<anyhow::Result<_>>()?;
    Ok(documents.join("---\n"))
}
