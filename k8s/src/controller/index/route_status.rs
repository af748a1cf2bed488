//! What the writer of a route is told at each of its parents: whether the route is attached there, and whether it leads
//! anywhere.
//!
//! A review is made when something that it follows from changes: the route, its status, a Service that it refers to, or a
//! grant of a namespace that it leads into.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use policy::route::{ReferenceGrant, Route};
use serde_json::Value;

use super::attached::MOST_BYTES;
use super::policies::PolicyRecord;
use super::references::{ParentReference, References};
use super::services::remove;
use super::{Index, KindRole, ObjectName, PolicyName, ServicePort};
use crate::controller::{parent_status, status};

/// What is to be said of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteVerdict {
    /// Who answers for its parents: our name among the controllers of Services, or of gateways.
    pub controller: &'static str,
    /// The route.
    pub name: PolicyName,
    /// The version of its kind in which it was read.
    pub api_version: String,
    /// The generation that was judged.
    pub generation: i64,
    /// The version of the object in which `said` was found.
    pub resource_version: String,
    /// `status.parents` as it is.
    pub said: Vec<Value>,
    /// What is to be said of each parent that is ours.
    pub parents: Vec<ParentVerdict>,
}

/// What is to be said of a route at one of its parents.
#[derive(Debug, Clone, PartialEq)]
pub struct ParentVerdict {
    /// The `parentRef`, as it is written in the route.
    pub parent: Value,
    /// `Accepted`: whether it is attached.
    pub accepted: ParentCondition,
    /// `ResolvedRefs`: whether it leads anywhere; `None` of a route with mistakes, of which that is not known.
    pub resolved_refs: Option<ParentCondition>,
}

/// The state of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentCondition {
    /// Whether it holds.
    pub holds: bool,
    /// The reason, in the Gateway API's words.
    pub reason: &'static str,
    /// What is meant, for people.
    pub message: String,
}

/// The newest version of each route, and whose status is not as it should be.
#[derive(Debug, Default)]
pub(super) struct RouteReviews {
    references: HashMap<PolicyName, References>,
    /// The routes that refer to a Service, as a parent or a backend.
    referring_to: HashMap<ObjectName, BTreeSet<PolicyName>>,
    /// The routes of other namespaces that lead into one.
    leading_into: HashMap<Arc<str>, BTreeSet<PolicyName>>,
    due: BTreeSet<PolicyName>,
}

impl RouteReviews {
    fn set(&mut self, name: &PolicyName, references: Option<References>) {
        if self.references.get(name) == references.as_ref() {
            return;
        }
        if let Some(before) = self.references.remove(name) {
            for service in referred(&before) {
                remove(&mut self.referring_to, service, name);
            }
            for service in before.crossing(&name.object.namespace) {
                remove(&mut self.leading_into, &service.namespace, name);
            }
        }
        let Some(references) = references else { return };
        for service in referred(&references) {
            self.referring_to.entry(service.clone()).or_default().insert(name.clone());
        }
        for service in references.crossing(&name.object.namespace) {
            let into = self.leading_into.entry(service.namespace.clone());
            into.or_default().insert(name.clone());
        }
        self.references.insert(name.clone(), references);
    }
}

fn referred(references: &References) -> impl Iterator<Item = &ObjectName> {
    references.services().into_iter().chain(&references.backends)
}

impl Index {
    /// A policy has changed, or what is said of it.
    pub(super) fn review_status(&mut self, name: &PolicyName) {
        match name.kind.role() {
            KindRole::Route => {
                let record = self.policies.get(name);
                let references = record.map(|record| {
                    References::of(name, &record.object.document, record.newest_route())
                });
                self.reviews.set(name, references);
                self.review_routes([name.clone()]);
            }
            KindRole::Grant => {
                let routes = self.reviews.leading_into.get(&name.object.namespace).cloned();
                self.review_routes(routes.into_iter().flatten());
            }
            KindRole::Authorization
            | KindRole::Limit
            | KindRole::Destination
            | KindRole::TrafficPolicy
            | KindRole::Gateway => {}
        }
    }

    /// A Service has come or gone, or its ports are others.
    pub(super) fn review_routes_of(&mut self, service: &ObjectName) {
        let routes = self.reviews.referring_to.get(service).cloned();
        self.review_routes(routes.into_iter().flatten());
    }

    pub(super) fn review_routes(&mut self, names: impl IntoIterator<Item = PolicyName>) {
        for name in names {
            let verdict = self.verdict_on(&name);
            let is_due = verdict.is_some_and(|verdict| !parent_status::says(&verdict));
            match is_due {
                true => self.reviews.due.insert(name),
                false => self.reviews.due.remove(&name),
            };
        }
    }

    /// Routes whose status does not say yet what is to be said of them: at most `most`, of those whose turn it is by their
    /// name and the version of the object.
    pub fn unreported_routes(
        &self,
        is_due: impl Fn(&PolicyName, &str) -> bool,
        most: usize,
    ) -> Vec<RouteVerdict> {
        let is_due = |name: &&PolicyName| {
            let record = self.policies.get(*name);
            record.is_some_and(|record| is_due(name, &record.object.resource_version))
        };
        let due = self.reviews.due.iter().filter(is_due);
        due.filter_map(|name| self.verdict_on(name)).take(most).collect()
    }

    /// How many routes have a status that does not say yet what is to be said of them.
    #[must_use]
    pub fn unreported_route_count(&self) -> usize {
        self.reviews.due.len()
    }

    fn verdict_on(&self, name: &PolicyName) -> Option<RouteVerdict> {
        let record = self.policies.get(name)?;
        let references = self.reviews.references.get(name)?;
        let mut parents: Vec<ParentVerdict> = Vec::new();
        for parent in &references.parents {
            if parents.iter().any(|known| known.parent == parent.written) {
                continue;
            }
            let route = record.newest_route();
            parents.push(ParentVerdict {
                parent: parent.written.clone(),
                accepted: self.accepted(name, record, parent),
                resolved_refs: route.map(|route| self.resolved_refs(route, parent, references)),
            });
        }
        let object = &record.object;
        Some(RouteVerdict {
            controller: parent_status::CONTROLLER_NAME,
            name: name.clone(),
            api_version: object.document["apiVersion"].as_str().unwrap_or_default().to_owned(),
            generation: object.generation,
            resource_version: object.resource_version.clone(),
            said: object.parents.clone(),
            parents,
        })
    }

    /// Whether a route is attached to a parent.
    fn accepted(
        &self,
        name: &PolicyName,
        record: &PolicyRecord,
        parent: &ParentReference,
    ) -> ParentCondition {
        let refused = |reason, message: &str| ParentCondition {
            holds: false,
            reason,
            message: status::message(Some(message)),
        };
        if let Some(mistakes) = &record.mistakes {
            return refused("UnsupportedValue", mistakes);
        }
        if let Some(lacking) = self.lacking(parent) {
            return refused("NoMatchingParent", &lacking);
        }
        if record.newest_route().is_some_and(|route| self.is_overruled(route, parent)) {
            let kind = "a route of another kind, which comes first, acts there in its place";
            return refused("Conflicted", kind);
        }
        if !self.traffic.has_room(name, &parent.service) {
            let most = MOST_BYTES >> 20;
            let message = format!(
                "the routes of a namespace at one Service may have {most} MiB together, and older ones have them; remove or shorten some"
            );
            return refused("UnsupportedValue", &message);
        }
        let message = status::message(None);
        ParentCondition { holds: true, reason: "Accepted", message }
    }

    /// What keeps a parent from being one.
    fn lacking(&self, parent: &ParentReference) -> Option<String> {
        let service = &parent.service;
        let Some(record) = self.services.get(service) else {
            return Some(format!("there is no Service {service}"));
        };
        let has = |of: &dyn Fn(&ServicePort) -> bool| record.object.ports.iter().any(of);
        if let Some(port) = parent.port.filter(|port| !has(&|known| known.number == *port)) {
            return Some(format!("the Service {service} has no TCP port {port}"));
        }
        let unknown = |section: &&Arc<str>| !has(&|known| known.name == **section);
        let section = parent.section.as_ref().filter(unknown)?;
        Some(format!("the Service {service} has no port named {section}"))
    }

    fn is_overruled(&self, route: &Route, parent: &ParentReference) -> bool {
        let before = self.attached_before(&parent.service, &route.id.namespace, route.id.kind);
        let before: Vec<Arc<Route>> = before.cloned().collect();
        route.is_overruled(&parent.parent_ref(), &before)
    }

    /// Whether everything that a route leads to is there, and may be led to.
    fn resolved_refs(
        &self,
        route: &Route,
        parent: &ParentReference,
        references: &References,
    ) -> ParentCondition {
        let into: BTreeSet<&Arc<str>> =
            references.crossing(&route.id.namespace).map(|service| &service.namespace).collect();
        let grants = into.into_iter().flat_map(|namespace| self.grants_of(namespace)).cloned();
        let exists = |namespace: &str, name: &str, port: u16| {
            let record = self.services.get(&ObjectName::new(namespace, name));
            record.is_some_and(|record| record.object.ports.iter().any(|p| p.number == port))
        };
        let grants: Vec<ReferenceGrant> = grants.collect();
        let problems = route.ref_problems(&parent.parent_ref(), &grants, exists);
        let Some(first) = problems.first() else {
            let message = "every reference leads to a Service".to_owned();
            return ParentCondition { holds: true, reason: "ResolvedRefs", message };
        };
        let told: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        let message = status::message(Some(&told.join(" | ")));
        ParentCondition { holds: false, reason: first.reason.as_str(), message }
    }
}

impl PolicyRecord {
    /// The newest version of a route, if it is without mistakes.
    fn newest_route(&self) -> Option<&Route> {
        let newest = self.served.as_ref().filter(|_| self.mistakes.is_none())?;
        newest.reading.route.as_deref()
    }
}
