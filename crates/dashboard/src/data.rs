//! The shape of `/dashboard/data.json`. Times are Unix seconds; counts are since the start of the process.
//!
//! Nothing here is a secret: no header, no token, no query, and of a detection the name of what matched, never the value.

use serde::Serialize;

use crate::bounds::Listed;
use crate::denials::DenialGroup;
use crate::edges::Edge;

/// Everything the page shows.
#[derive(Debug, Clone, Serialize)]
pub struct DashboardData {
    /// When it was collected.
    pub time: u64,
    /// Who says it.
    pub program: Program,
    /// What was refused, or would be by a policy that is not enforced; the latest first.
    pub denials: Listed<DenialGroup>,
    /// How often each policy has refused, the most often first.
    pub policies: Listed<PolicyCount>,
    /// Requests that were refused or failed, by reason, the most often first.
    pub refusals: Listed<RefusalCount>,
    /// Who calls whom, the busiest first.
    pub edges: Listed<Edge>,
    /// The certificates in force.
    pub certificates: Listed<CertificateAge>,
    /// The limits of callers.
    pub limits: Listed<LimitState>,
    /// The services that can be called.
    pub services: Listed<ServiceState>,
    /// The rules of routes that took requests, the busiest first.
    pub routes: Listed<RouteCount>,
    /// A gateway's listeners.
    pub listeners: Listed<ListenerState>,
    /// What threat rules found, the latest first; absent where nothing ever was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detections: Option<Listed<Detection>>,
    /// Callers that are blocked for a while; absent where nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Listed<Block>>,
}

/// The program that the page is about.
#[derive(Debug, Clone, Serialize)]
pub struct Program {
    /// `sidecar`, `gateway` or `controller`.
    pub kind: &'static str,
    /// The workload, `namespace/service account`.
    pub workload: String,
    /// Its proven identity, once it has one.
    pub identity: Option<String>,
    /// The version.
    pub version: &'static str,
    /// For how long it has run, seconds.
    pub up_seconds: u64,
    /// Why it is not ready; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unready: Option<&'static str>,
    /// Whether the last change of configuration was refused, and the last good one is in force.
    pub stale: bool,
    /// Open connections.
    pub connections: usize,
}

/// How often one rule has decided against a request or connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyCount {
    /// `deny` or `would_deny`.
    pub decision: String,
    /// `namespace/name`, or `default`.
    pub policy: String,
    /// The rule's index; empty where none decided.
    pub rule: String,
    /// How often.
    pub count: u64,
}

/// How many requests ended for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalCount {
    /// `inbound` or `outbound`.
    pub direction: String,
    /// The stable reason.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// A certificate between its beginning and its end.
#[derive(Debug, Clone, Serialize)]
pub struct CertificateAge {
    /// An identity, or the listener and the certificate's name.
    pub name: String,
    /// `workload` or `listener`.
    pub kind: &'static str,
    /// When it begins to hold.
    pub not_before: u64,
    /// When it ends.
    pub not_after: u64,
    /// `fresh`, `stale` (it should have been renewed) or `expired`.
    pub state: &'static str,
    /// Whether it holds now.
    pub valid: bool,
}

/// A limit of callers, and what it has decided.
#[derive(Debug, Clone, Serialize)]
pub struct LimitState {
    /// The limit: policy and name.
    pub limit: String,
    /// What it allows, in words.
    pub allows: String,
    /// Requests let through.
    pub allowed: u64,
    /// Requests refused.
    pub refused: u64,
    /// Callers that are kept apart now; absent where a store counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callers: Option<usize>,
}

/// A service that can be called.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceState {
    /// Its host.
    pub host: String,
    /// Whether it lies outside the mesh.
    pub external: bool,
    /// `port/protocol`.
    pub ports: Vec<String>,
    /// The identities its endpoints may prove.
    pub identities: Vec<String>,
    /// Where it is.
    pub endpoints: Listed<EndpointView>,
}

/// An endpoint of a service.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointView {
    /// Its address.
    pub address: String,
    /// What the balancer holds of it: `healthy`, `warming`, `resting`, `ejected`, `probing`; `unused` where nobody has
    /// called it, and `by name` of a host whose addresses DNS says.
    pub state: &'static str,
    /// Requests under way.
    pub in_flight: u32,
}

/// How many requests a route's rule took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteCount {
    /// Kind, namespace, name and rule.
    pub route: String,
    /// How many.
    pub count: u64,
}

/// A listener of a gateway.
#[derive(Debug, Clone, Serialize)]
pub struct ListenerState {
    /// `namespace/name:section`.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// What it speaks.
    pub protocol: String,
    /// The hosts it is for; empty for all.
    pub hosts: Vec<String>,
    /// Certificates it shows.
    pub certificates: usize,
}

/// What threat rules found in one request.
#[derive(Debug, Clone, Serialize)]
pub struct Detection {
    /// When.
    pub time: u64,
    /// The policy, `namespace/name`.
    pub policy: String,
    /// What was done: `detected` or `blocked`.
    pub action: &'static str,
    /// The score of the request.
    pub score: u32,
    /// The score from which the policy acts.
    pub threshold: u32,
    /// The rules that matched.
    pub rules: Listed<DetectedRule>,
    /// Who called; null where nobody proved it.
    pub source_principal: Option<String>,
    /// The client's address.
    pub source_ip: String,
    /// The method.
    pub method: String,
    /// The host.
    pub host: String,
    /// The path, without query.
    pub path: String,
}

/// A threat rule that matched.
#[derive(Debug, Clone, Serialize)]
pub struct DetectedRule {
    /// Its id.
    pub rule: u32,
    /// What it is about.
    pub group: &'static str,
    /// The name of what matched, never its value.
    pub variable: String,
}

/// A caller that is blocked for a while.
#[derive(Debug, Clone, Serialize)]
pub struct Block {
    /// The policy, `namespace/name`.
    pub policy: String,
    /// What callers are told apart by: `principal`, `clientAddress`, `claim` or `apiKey`.
    pub key: &'static str,
    /// Who, by that key.
    pub caller: String,
    /// Why, in words.
    pub why: String,
    /// Whether it is refused, or only said: `block` or `detect`.
    pub mode: &'static str,
    /// Since when.
    pub since: u64,
    /// Until when.
    pub until: u64,
}
