//! RateLimitPolicy, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkloadSelector;

/// How many requests a caller may make, of workloads of the namespace or at a gateway. All policies that are about a
/// request hold together. See docs/rate-limits.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "RateLimitPolicy",
    plural = "ratelimitpolicies",
    singular = "ratelimitpolicy",
    category = "postern",
    doc = "How many requests a caller may make.",
    namespaced,
    status = "RateLimitPolicyStatus",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitPolicySpec {
    /// Which workloads of the namespace it is about; without it and `targetRefs`, all of them. In the root namespace: of the
    /// whole mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// What it is about instead: Services, Gateways, HTTPRoutes and GRPCRoutes of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Option<Vec<LimitTarget>>,
    /// How many requests in which time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub limits: Option<Vec<RateLimit>>,
    /// How many requests under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub concurrency: Option<Vec<ConcurrencyLimit>>,
    /// What holds while the store of a limit does not answer. Default: local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_store_failure: Option<OnStoreFailure>,
    /// How many proxies there are: each keeps its part while the store does not answer. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub replicas: Option<u32>,
}

/// What a policy is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitTarget {
    /// gateway.networking.k8s.io; empty for a Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Service, Gateway, HTTPRoute or GRPCRoute.
    pub kind: LimitTargetKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// A listener of the Gateway, or a rule of the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// What has limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LimitTargetKind {
    /// All requests to the workloads behind a Service.
    Service,
    /// What comes in by a Gateway.
    Gateway,
    /// What such a route takes at a gateway.
    HTTPRoute,
    /// What such a route takes at a gateway.
    GRPCRoute,
}

/// How many requests a caller may make in which time.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RateLimit {
    /// Its name, as callers read it.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What callers are told apart by: principal, claim, apiKey, clientAddress, route, or a list of them.
    #[schemars(schema_with = "limit_key")]
    pub key: Value,
    /// The claim, for key: claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub claim: Option<String>,
    /// How many.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: u32,
    /// In which time, such as 1m; 1s to 1d.
    pub per: String,
    /// How many at once after a pause. Default: `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<u32>,
    /// Who counts: each proxy by itself, or all in the Redis of their configuration. Default: local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<LimitStore>,
    /// Which requests; without it all.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matched: Option<LimitMatch>,
}

/// How many requests of a caller may be under way at once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConcurrencyLimit {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What callers are told apart by: principal, claim, apiKey, clientAddress, route, or a list of them.
    #[schemars(schema_with = "limit_key")]
    pub key: Value,
    /// The claim, for key: claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub claim: Option<String>,
    /// How many.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: u32,
    /// Which requests; without it all.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matched: Option<LimitMatch>,
}

/// Which requests a limit is about: all parts must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitMatch {
    /// Methods, as an AuthorizationPolicy writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub methods: Option<Vec<String>>,
    /// None of these methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub not_methods: Option<Vec<String>>,
    /// Hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub hosts: Option<Vec<String>>,
    /// None of these hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub not_hosts: Option<Vec<String>>,
    /// Paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub paths: Option<Vec<String>>,
    /// None of these paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub not_paths: Option<Vec<String>>,
    /// Header fields, as an HTTPRoute writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub headers: Option<Vec<LimitHeader>>,
}

/// A header field.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LimitHeader {
    /// Exact, or RegularExpression. Default: Exact.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name, whatever the case.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its whole value, or the expression that it matches.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// Who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitStore {
    /// Each proxy by itself.
    Local,
    /// All proxies together.
    Redis,
}

/// What holds while a store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnStoreFailure {
    /// Each proxy counts its part.
    Local,
    /// Nobody counts.
    Allow,
    /// Requests are refused.
    Deny,
}

/// One word or a list of them, which a structural schema cannot say: the proxies' reader does.
fn limit_key(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct RateLimitPolicyStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
