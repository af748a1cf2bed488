//! What is to be said of gateways and of what is attached to them, each Gateway by itself: in a cluster every one has
//! proxies, a Service and so ports of its own, and none is in another's way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::gateway_status::{GatewayStatuses, PolicyStatus, RouteStatus, StatusFacts};
use policy::route::RouteId;
use policy::{GatewayPlan, GatewaySelection, Resources, SourceFile, gateway};

use crate::controller::index::{ObjectName, ResourceDocument};

/// Documents by name.
pub type Documents = BTreeMap<String, Arc<ResourceDocument>>;

/// What a review is made of.
#[derive(Debug, Default)]
pub struct ReviewedGateways {
    /// What belongs to each Gateway of ours, itself included, by the names of the documents.
    pub gateways: Vec<(ObjectName, BTreeSet<String>)>,
    /// The GatewayClasses of ours.
    pub classes: BTreeSet<String>,
    /// All of these.
    pub documents: Documents,
}

/// Documents as they were read, so that a change costs the reading of what has changed.
#[derive(Debug)]
pub struct ReadDocuments {
    root_namespace: String,
    known: BTreeMap<String, (String, Option<Resources>)>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct GatewayReview {
    /// What is to be said.
    pub statuses: GatewayStatuses,
    /// The ports that the proxies of each Gateway listen on, with what is spoken there.
    pub ports: BTreeMap<ObjectName, BTreeMap<u16, String>>,
}

impl ReadDocuments {
    /// None yet.
    #[must_use]
    pub fn new(root_namespace: &str) -> Self {
        Self { root_namespace: root_namespace.to_owned(), known: BTreeMap::new() }
    }

    /// Reads what is new, and forgets what is gone.
    pub fn take(&mut self, documents: &Documents) {
        self.known.retain(|name, _| documents.contains_key(name));
        for (name, document) in documents {
            if self.known.get(name).is_none_or(|(version, _)| *version != document.version) {
                let read = self.read(name, document);
                self.known.insert(name.clone(), (document.version.clone(), read));
            }
        }
    }

    fn read(&self, name: &str, document: &ResourceDocument) -> Option<Resources> {
        let file = SourceFile { name: name.to_owned(), bytes: document.bytes.to_vec() };
        Resources::parse(&[file], &self.root_namespace).ok()
    }

    fn joined(&self, names: &BTreeSet<String>) -> Resources {
        let read = names.iter().filter_map(|name| self.known.get(name)?.1.as_ref());
        Resources::carrying(read, &self.root_namespace)
    }

    /// Reviews every Gateway.
    #[must_use]
    pub fn review(&self, reviewed: &ReviewedGateways, facts: &dyn StatusFacts) -> GatewayReview {
        let mut review = GatewayReview::default();
        let mut gathered = Gathered::default();
        let nobody = GatewaySelection::default();
        let classes = self.joined(&reviewed.classes);
        review.statuses.classes = GatewayStatuses::of(&classes, &nobody, facts).classes;
        for (name, documents) in &reviewed.gateways {
            let resources = self.joined(documents);
            let served = gateway::ObjectName::new(name.namespace.clone(), name.name.clone());
            let selection =
                GatewaySelection { gateway: Some(served), ..GatewaySelection::default() };
            let plan = GatewayPlan::build(&resources, &selection);
            let found = GatewayStatuses::of_plan(&plan, &resources, facts);
            review.ports.insert(name.clone(), ports(&plan));
            gathered.add(found, &mut review.statuses);
        }
        review.statuses.routes = gathered.routes.into_iter().collect();
        review.statuses.backend_tls_policies = gathered.policies.into_iter().collect();
        review
    }
}

/// What is said at every Gateway. A route, or a policy, may belong to several.
#[derive(Default)]
struct Gathered {
    routes: BTreeMap<RouteId, RouteStatus>,
    policies: BTreeMap<gateway::ObjectName, PolicyStatus>,
}

impl Gathered {
    fn add(&mut self, found: GatewayStatuses, into: &mut GatewayStatuses) {
        into.gateways.extend(found.gateways);
        into.listener_sets.extend(found.listener_sets);
        for (route, status) in found.routes {
            let known =
                self.routes.entry(route).or_insert_with(|| RouteStatus { parents: Vec::new() });
            known.parents.extend(status.parents);
        }
        for (policy, status) in found.backend_tls_policies {
            let known = self.policies.entry(policy);
            let known = known.or_insert_with(|| PolicyStatus { ancestors: Vec::new() });
            known.ancestors.extend(status.ancestors);
        }
    }
}

/// The ports of all listeners that have theirs, whether there is a certificate for them yet or not: a Service that changes
/// with every Secret would be a load balancer's that changes.
fn ports(plan: &GatewayPlan<'_>) -> BTreeMap<u16, String> {
    let mut ports = BTreeMap::new();
    for planned in plan.listeners().iter().filter(|planned| planned.is_accepted()) {
        let protocol = planned.listener.protocol.as_str().to_ascii_lowercase();
        ports.entry(planned.listener.port).or_insert(protocol);
    }
    ports
}
