//! Of each object, what the index keeps.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A namespace and a name in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl ObjectName {
    /// The name `name` in `namespace`.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Of a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.uid`
    pub uid: Arc<str>,
    /// `spec.serviceAccountName`
    pub service_account: Arc<str>,
    /// `metadata.labels`
    pub labels: Arc<BTreeMap<String, String>>,
    /// `status.podIPs`
    pub ips: Vec<IpAddr>,
    /// Whether it has a container of ours that takes its traffic.
    pub has_proxy: bool,
    /// Whether it has ended: its address may belong to another one by now.
    pub ended: bool,
    /// Whether it is on the host's network: its addresses are the node's.
    pub on_host: bool,
}

/// Of a Namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespace {
    /// Whether it is part of the mesh.
    pub member: bool,
    /// `metadata.labels`, by which listeners let routes in.
    pub labels: Arc<BTreeMap<String, String>>,
}

/// Of a Deployment that runs a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deployment {
    /// The digest of what was applied last.
    pub applied: Option<String>,
    /// `status.availableReplicas`
    pub available: i32,
}

/// Of a Service, where it is reached from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceExposure {
    /// Whether a load balancer is asked for (`spec.type`).
    pub is_balanced: bool,
    /// `status.loadBalancer.ingress`: addresses, and host names of those that have none.
    pub ingress: Vec<String>,
    /// The digest of what was applied last, of a gateway's.
    pub applied: Option<String>,
}

/// Of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `spec.clusterIPs`, without `None`.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.selector`
    pub selector: BTreeMap<String, String>,
    /// `spec.ports` of protocol TCP.
    pub ports: Vec<ServicePort>,
    /// Where it is reached from, besides the cluster.
    pub exposure: ServiceExposure,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; empty where the one port has none.
    pub name: Arc<str>,
    /// Its number.
    pub number: u16,
    /// What is spoken on it: `appProtocol`, else the name says.
    pub protocol: policy::Protocol,
}

/// Of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The Service it belongs to (`kubernetes.io/service-name`), in the slice's namespace.
    pub service: Arc<str>,
    /// `ports` of protocol TCP with a number.
    pub ports: Vec<SlicePort>,
    /// `endpoints`
    pub endpoints: Vec<EndpointRecord>,
}

/// A port of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePort {
    /// The Service port's name.
    pub name: Arc<str>,
    /// The number on the endpoint.
    pub number: u16,
}

/// An endpoint of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRecord {
    /// Its address.
    pub ip: IpAddr,
    /// `conditions.ready`; absent means ready.
    pub ready: bool,
    /// The name of the Pod of `targetRef`.
    pub pod: Option<Arc<str>>,
    /// `zone`, as a locality without its region; `None` for one that no node can have.
    pub locality: Option<policy::Locality>,
}

/// Of a policy object: what it says, and what was said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyObject {
    /// `metadata.generation`
    pub generation: i64,
    /// apiVersion, kind, the metadata that matters, and spec, as the API server gave them.
    pub document: Arc<serde_json::Value>,
    /// The condition that its status shows already.
    pub reported: Option<ReportedCondition>,
    /// `status.parents` of a route, as whoever serves a parent has written it.
    pub parents: Vec<serde_json::Value>,
    /// `status` of a kind for gateways, as whoever answers for it has written it; of others `Null`.
    pub status: serde_json::Value,
    /// `metadata.resourceVersion`
    pub resource_version: String,
    /// `metadata.uid`
    pub uid: Arc<str>,
}

/// A condition `Accepted` as a policy's status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedCondition {
    /// Whether it says `True`.
    pub accepted: bool,
    /// Its message.
    pub message: String,
    /// Its `observedGeneration`.
    pub generation: i64,
}
