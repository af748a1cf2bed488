//! What the controller knows of the cluster: events in, deltas out.
//!
//! No socket, no clock. The state depends on the objects alone, never on the order in which they were heard of; a delta is the
//! difference between what a proxy must know now and what it was told.

mod accept;
mod attached;
mod changes;
mod delta;
mod destinations;
mod document;
mod events;
mod gateway_review;
mod gateway_runs;
mod gateway_verdicts;
mod gateways;
mod guests;
mod kind;
mod lookup;
mod message;
mod outside;
mod policies;
mod records;
mod references;
mod revocations;
mod route_status;
mod scope;
mod services;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use identity::TrustDomain;

pub use delta::{Delta, Subscriber, TooManyDestinations, TypeDelta};
pub use destinations::SentState;
pub use document::ResourceDocument;
pub use events::{Event, ObjectKind};
pub use kind::{KindRole, PolicyKind, PolicyName};
pub use policies::PolicyVerdict;
pub use records::{
    Deployment, EndpointRecord, Namespace, ObjectName, Pod, PolicyObject, ReportedCondition,
    Service, ServiceExposure, ServicePort, Slice, SlicePort,
};
pub use route_status::{ParentCondition, ParentVerdict, RouteVerdict};
pub use services::UnprotectedEndpoint;

use changes::ChangeJournal;
use gateways::GatewayLinks;
use policies::PolicyRecord;
use route_status::RouteReviews;
use services::ServiceRecord;
use traffic::TrafficLinks;

/// What the index must know that no object says.
#[derive(Debug, Clone)]
pub struct IndexSettings {
    /// The namespace whose policies act on the whole mesh.
    pub root_namespace: Arc<str>,
    /// What cluster names end with, without the dot in front: `cluster.local`.
    pub cluster_domain: Arc<str>,
    /// The trust domain of the cluster's service accounts.
    pub trust_domain: TrustDomain,
    /// Whether there are gateways of ours: without them neither Gateways nor Secrets are watched.
    pub gateways: bool,
}

/// The cluster as the proxies must see it.
#[derive(Debug)]
pub struct Index {
    settings: IndexSettings,
    pods: HashMap<ObjectName, Pod>,
    services: HashMap<ObjectName, ServiceRecord>,
    slices: HashMap<ObjectName, Slice>,
    /// The slices of a service, by the service.
    slices_of: HashMap<ObjectName, BTreeSet<ObjectName>>,
    /// The slices whose endpoints name a pod, by the pod.
    slices_with: HashMap<ObjectName, BTreeSet<ObjectName>>,
    cluster_ips: HashMap<IpAddr, BTreeSet<ObjectName>>,
    endpoint_ips: HashMap<IpAddr, BTreeSet<ObjectName>>,
    /// The running pods that have an address of their own, by address.
    pod_ips: HashMap<IpAddr, BTreeSet<ObjectName>>,
    policies: BTreeMap<PolicyName, PolicyRecord>,
    /// The names of a namespace's policies that authorize, and of its ServiceEntries.
    policies_in: HashMap<Arc<str>, BTreeSet<PolicyName>>,
    /// Routes, traffic policies and grants, by what they are about.
    traffic: TrafficLinks,
    /// Gateways, and what belongs to them.
    gateways: GatewayLinks,
    /// What is to be said of routes.
    reviews: RouteReviews,
    /// ServiceEntries by namespace and host.
    entry_hosts: HashMap<(Arc<str>, Arc<str>), BTreeSet<PolicyName>>,
    /// Namespaces, and whether they are part of the mesh.
    namespaces: BTreeMap<Arc<str>, Namespace>,
    /// The digest of the trust bundle each namespace has.
    bundles: HashMap<Arc<str>, u64>,
    /// What may have another answer since a proxy last asked.
    changes: ChangeJournal,
    /// Grows with whatever gateways, or what is said of them, may follow from.
    gateway_revision: u64,
}

impl Index {
    /// An empty cluster.
    #[must_use]
    pub fn new(settings: IndexSettings) -> Self {
        Self {
            settings,
            pods: HashMap::new(),
            services: HashMap::new(),
            slices: HashMap::new(),
            slices_of: HashMap::new(),
            slices_with: HashMap::new(),
            cluster_ips: HashMap::new(),
            endpoint_ips: HashMap::new(),
            pod_ips: HashMap::new(),
            policies: BTreeMap::new(),
            policies_in: HashMap::new(),
            traffic: TrafficLinks::default(),
            gateways: GatewayLinks::default(),
            reviews: RouteReviews::default(),
            entry_hosts: HashMap::new(),
            namespaces: BTreeMap::new(),
            bundles: HashMap::new(),
            changes: ChangeJournal::default(),
            gateway_revision: 0,
        }
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &IndexSettings {
        &self.settings
    }

    /// Another one than before: what is said of gateways, or runs them, may be another.
    #[must_use]
    pub fn gateway_revision(&self) -> u64 {
        self.gateway_revision
    }

    /// The Pod object of this name.
    #[must_use]
    pub fn pod(&self, name: &ObjectName) -> Option<&Pod> {
        self.pods.get(name)
    }

    /// The namespaces that are part of the mesh or have a gateway, with the digest of the trust bundle they hold.
    pub fn members(&self) -> impl Iterator<Item = (&Arc<str>, Option<u64>)> {
        let with_gateway: BTreeSet<Arc<str>> =
            self.own_gateways().map(|name| name.object.namespace.clone()).collect();
        let is_member = move |(name, namespace): &(&Arc<str>, &Namespace)| {
            namespace.member || with_gateway.contains(*name)
        };
        let members = self.namespaces.iter().filter(is_member);
        members.map(|(name, _)| (name, self.bundles.get(name).copied()))
    }

    /// How many objects of each sort there are, for `/status`.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, usize); 5] {
        [
            ("pods", self.pods.len()),
            ("services", self.services.len()),
            ("endpointslices", self.slices.len()),
            ("namespaces", self.namespaces.len()),
            ("policies", self.policies.len()),
        ]
    }
}

#[cfg(test)]
mod tests;
