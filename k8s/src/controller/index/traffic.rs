//! How what is sent to a destination is carried: routes, and the traffic policies beside them. Which proxies they are about,
//! and what these are told.
//!
//! A route is about whom its parents' clients are: those of all namespaces where the Service is of the route's own
//! namespace (a producer route), else those of the route's own namespace alone (a consumer route). A proxy is told those of
//! the Services it has asked for. Traffic policies are about the clients of their own namespace; a DestinationRule of the
//! root namespace about all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use policy::route::{GrantedKind, ReferenceGrant, Referrer, Route, RouteKind};
use serde_json::{Value, json};

use super::attached::{AttachedRoutes, Displaced};
use super::changes::{Change, Dependency};
use super::destinations::Destinations;
use super::policies::ServedPolicy;
use super::references::References;
use super::services::remove;
use super::{Index, KindRole, ObjectName, PolicyKind, PolicyName, ResourceDocument};

/// The routes of one namespace at one Service.
type RouteGroup = (ObjectName, Arc<str>);

/// The routes and traffic policies, by what they are about.
#[derive(Debug, Default)]
pub(super) struct TrafficLinks {
    /// The routes in force that are attached to a Service, by the Service and their own namespace.
    attached: HashMap<RouteGroup, AttachedRoutes>,
    /// The traffic policies of a namespace.
    policies_in: HashMap<Arc<str>, BTreeSet<PolicyName>>,
    /// The grants of a namespace.
    grants_in: HashMap<Arc<str>, BTreeSet<PolicyName>>,
    /// The routes in force of other namespaces that lead into one.
    leading_into: HashMap<Arc<str>, BTreeSet<PolicyName>>,
    /// The routes that are told, or act, otherwise than before because others came or went.
    displaced: Displaced,
}

impl TrafficLinks {
    fn attach(&mut self, name: &PolicyName, served: &ServedPolicy) {
        let namespace = &name.object.namespace;
        for service in served.references.services() {
            let attached = self.attached.entry((service.clone(), namespace.clone())).or_default();
            let parents = served.references.parents_at(service);
            let bytes = served.document.bytes.len();
            self.displaced.extend(attached.add(name, served.created(), bytes, parents));
        }
        for service in served.references.crossing(namespace) {
            let into = self.leading_into.entry(service.namespace.clone());
            into.or_default().insert(name.clone());
        }
    }

    fn detach(&mut self, name: &PolicyName, served: &ServedPolicy) {
        let namespace = &name.object.namespace;
        for service in served.references.services() {
            let group = (service.clone(), namespace.clone());
            let Some(attached) = self.attached.get_mut(&group) else { continue };
            let parents = served.references.parents_at(service);
            self.displaced.extend(attached.remove(name, served.created(), parents));
            if attached.is_empty() {
                self.attached.remove(&group);
            }
        }
        for service in served.references.crossing(namespace) {
            remove(&mut self.leading_into, &service.namespace, name);
        }
    }

    /// Whether there is room for a route among those of its namespace at a Service.
    pub(super) fn has_room(&self, name: &PolicyName, service: &ObjectName) -> bool {
        let group = (service.clone(), name.object.namespace.clone());
        self.attached.get(&group).is_none_or(|attached| attached.is_told(name))
    }

    /// The routes that are told, or act, otherwise than before because others came or went since this was last asked.
    pub(super) fn take_displaced(&mut self) -> Displaced {
        std::mem::take(&mut self.displaced)
    }
}

impl Displaced {
    fn extend(&mut self, more: Self) {
        self.told.extend(more.told);
        self.disputed.extend(more.disputed);
    }
}

impl Index {
    /// Notes the version of a policy that is in force from now on.
    pub(super) fn link_traffic(&mut self, name: &PolicyName, served: Option<&ServedPolicy>) {
        let Some(served) = served else { return };
        let namespace = name.object.namespace.clone();
        let links = &mut self.traffic;
        let names = match name.kind.role() {
            KindRole::Route => {
                links.attach(name, served);
                return self.link_gateways(name, served);
            }
            KindRole::TrafficPolicy => links.policies_in.entry(namespace),
            KindRole::Grant => links.grants_in.entry(namespace),
            KindRole::Gateway | KindRole::Authorization | KindRole::Limit => {
                return self.link_gateways(name, served);
            }
            KindRole::Destination => return,
        };
        names.or_default().insert(name.clone());
    }

    /// Forgets the version that was in force.
    pub(super) fn unlink_traffic(&mut self, name: &PolicyName, served: Option<&ServedPolicy>) {
        let Some(served) = served else { return };
        let namespace = &name.object.namespace;
        let links = &mut self.traffic;
        match name.kind.role() {
            KindRole::Route => {
                links.detach(name, served);
                self.unlink_gateways(name, served);
            }
            KindRole::TrafficPolicy => remove(&mut links.policies_in, namespace, name),
            KindRole::Grant => remove(&mut links.grants_in, namespace, name),
            KindRole::Gateway | KindRole::Authorization | KindRole::Limit => {
                self.unlink_gateways(name, served);
            }
            KindRole::Destination => {}
        }
    }

    /// The document of a route: itself, and of the grants those parts that let it lead into other namespaces. So a proxy
    /// resolves references as it does from files, and is told of no namespace what is not for this route.
    pub(super) fn route_document(
        &self,
        name: &PolicyName,
        value: &Value,
        references: &References,
    ) -> ResourceDocument {
        let crossing = references.crossing(&name.object.namespace);
        let granted = crossing.filter(|service| self.is_granted(name, service));
        let grants: Vec<Value> = granted.map(|service| grant(name, service)).collect();
        if grants.is_empty() {
            return ResourceDocument::of_policy(value);
        }
        let items: Vec<&Value> = std::iter::once(value).chain(&grants).collect();
        ResourceDocument::of_policy(&json!({"apiVersion": "v1", "kind": "List", "items": items}))
    }

    /// Whether a grant of the Service's namespace lets the route lead to it.
    pub(super) fn is_granted(&self, route: &PolicyName, service: &ObjectName) -> bool {
        let ObjectName { namespace, name } = service;
        let of = &route.object.namespace;
        let permits = |grant: &ReferenceGrant| {
            let referrer = route.kind.route().map(Referrer::Route);
            let service = GrantedKind::Service;
            referrer.is_some_and(|from| grant.permits(from, of, service, namespace, name))
        };
        self.grants_of(namespace).any(permits)
    }

    /// The grants of a namespace that are in force.
    pub(super) fn grants_of(&self, namespace: &Arc<str>) -> impl Iterator<Item = &ReferenceGrant> {
        let names = self.traffic.grants_in.get(namespace).into_iter().flatten();
        names.filter_map(|name| self.policies.get(name)?.served.as_ref()?.reading.grant.as_ref())
    }

    /// The routes in force of one namespace that are attached to a Service, of kinds that come before another one.
    pub(super) fn attached_before(
        &self,
        service: &ObjectName,
        namespace: &Arc<str>,
        kind: RouteKind,
    ) -> impl Iterator<Item = &Arc<Route>> {
        let group = (service.clone(), namespace.clone());
        let names = self.traffic.attached.get(&group).into_iter().flat_map(AttachedRoutes::names);
        let before = names.filter(move |name| name.kind.route().is_some_and(|known| known < kind));
        before.filter_map(|name| self.policies.get(name)?.served.as_ref()?.reading.route.as_ref())
    }

    /// The grants of a namespace have changed: what routes lead there may be another.
    pub(super) fn grants_changed(&mut self, namespace: &Arc<str>) {
        self.changes.record(Change::Gateways);
        let routes = self.traffic.leading_into.get(namespace).cloned().unwrap_or_default();
        for name in routes {
            let Some(served) = self.policies.get(&name).and_then(|record| record.served.as_ref())
            else {
                continue;
            };
            let now = self.route_document(&name, &served.value, &served.references);
            if *served.document == now {
                continue;
            }
            let served = self.policies.get_mut(&name).and_then(|record| record.served.as_mut());
            if let Some(served) = served {
                served.document = Arc::new(now);
            }
            self.changes.record(Change::Traffic(name));
        }
    }

    /// What a proxy in a namespace is told of an object, if that is about what it calls.
    pub(super) fn traffic_document(
        &self,
        name: &PolicyName,
        client_namespace: &Arc<str>,
        destinations: &Destinations,
    ) -> Option<Arc<ResourceDocument>> {
        let served = self.policies.get(name)?.served.as_ref()?;
        let namespace = &name.object.namespace;
        let own = namespace == client_namespace;
        let is_about = match name.kind {
            PolicyKind::DestinationRule => own || *namespace == self.settings.root_namespace,
            PolicyKind::FaultInjection => own,
            kind if kind.role() == KindRole::Route => {
                let mut services = served.references.services().into_iter();
                services.any(|service| {
                    (own || service.namespace == *namespace)
                        && self.traffic.has_room(name, service)
                        && destinations.follow_from(&Dependency::Service(service.clone()))
                })
            }
            _ => false,
        };
        is_about.then(|| served.document.clone())
    }

    /// Everything that a proxy in a namespace is told, by name.
    pub(super) fn traffic_documents(
        &self,
        client_namespace: &Arc<str>,
        destinations: &Destinations,
    ) -> BTreeMap<String, Arc<ResourceDocument>> {
        let links = &self.traffic;
        let root = &self.settings.root_namespace;
        let groups = destinations.services().flat_map(|service| {
            [&service.namespace, client_namespace].map(|of| (service.clone(), of.clone()))
        });
        let attached = groups.filter_map(|group| links.attached.get(&group));
        let attached = attached.flat_map(AttachedRoutes::names);
        let beside = [client_namespace, root].map(|namespace| links.policies_in.get(namespace));
        let names = attached.chain(beside.into_iter().flatten().flatten());
        let told = names.filter_map(|name| {
            let document = self.traffic_document(name, client_namespace, destinations)?;
            Some((name.to_string(), document))
        });
        told.collect()
    }
}

/// A ReferenceGrant for one route to one Service.
fn grant(route: &PolicyName, service: &ObjectName) -> Value {
    let (group, ..) = route.kind.resource();
    let from = (&*route.to_string(), group, route.kind.as_str(), &route.object.namespace);
    grant_of(from, ("Service", service))
}

/// A ReferenceGrant for one object to one object: from whom (its name for people, its group, kind and namespace), to what.
pub(super) fn grant_of(
    (from, from_group, from_kind, from_namespace): (&str, &str, &str, &Arc<str>),
    (to_kind, to): (&str, &ObjectName),
) -> Value {
    let mut hasher = DefaultHasher::new();
    (from, to_kind, to.to_string()).hash(&mut hasher);
    let (group, version, _) = PolicyKind::ReferenceGrant.resource();
    json!({
        "apiVersion": format!("{group}/{version}"),
        "kind": PolicyKind::ReferenceGrant.as_str(),
        "metadata": {
            "name": format!("granted-{:016x}", hasher.finish()),
            "namespace": &*to.namespace,
        },
        "spec": {
            "from": [{
                "group": from_group,
                "kind": from_kind,
                "namespace": &**from_namespace,
            }],
            "to": [{"group": "", "kind": to_kind, "name": &*to.name}],
        },
    })
}
