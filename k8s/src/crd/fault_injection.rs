//! FaultInjection, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Calls that fail on purpose, for tests of the apps that make them. It acts on the calls of its own namespace alone. See
/// docs/traffic-policy.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "FaultInjection",
    plural = "faultinjections",
    singular = "faultinjection",
    category = "postern",
    doc = "Calls of its own namespace that fail on purpose.",
    namespaced,
    status = "FaultInjectionStatus",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct FaultInjectionSpec {
    /// The Services whose calls fail.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<FaultTarget>,
    /// Which requests; without it all of them, and each fault says its percentage.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matched: Option<FaultMatch>,
    /// A wait before the request goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<FaultDelay>,
    /// An answer in the service's place, after the delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<FaultAbort>,
}

/// What calls fail to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FaultTargetKind {
    /// A Service.
    Service,
}

/// A Service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FaultTarget {
    /// Empty: the group of Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Service.
    pub kind: FaultTargetKind,
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its namespace; without it, the object's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// What a request must carry.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FaultMatch {
    /// All of these headers.
    #[schemars(length(min = 1, max = 16))]
    pub headers: Vec<FaultHeader>,
}

/// A header.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FaultHeader {
    /// Its name, whatever the case.
    #[schemars(length(min = 1, max = 1024))]
    pub name: String,
    /// Its whole value, to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub value: Option<String>,
    /// A regular expression that the whole value matches, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub regex: Option<String>,
}

/// A wait before a request goes on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FaultDelay {
    /// How many of the requests, in percent. Default beside `match`: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub percentage: Option<u8>,
    /// How long, such as 2s; at most 5m.
    pub duration: String,
}

/// An answer in the service's place.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultAbort {
    /// How many of the requests, in percent. Default beside `match`: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub percentage: Option<u8>,
    /// A status code of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 400, max = 599))]
    pub http_status: Option<u16>,
    /// A status code of gRPC, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub grpc_status: Option<u8>,
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct FaultInjectionStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
