//! Gateways: which of them are ours, and what their proxies are told.
//!
//! A gateway's proxy is a pod of the Gateway's namespace with its label and its service account, which the proxy has
//! proved. It is told of everything that is attached to its Gateway, and of the certificates that this names where it may: in
//! its own namespace, or by a ReferenceGrant. Nobody else is told of any of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use policy::gateway::CONTROLLER_NAME;
use policy::route::{GrantedKind, ReferenceGrant, Referrer};
use serde_json::{Value, json};

use super::attached::AttachedRoutes;
use super::changes::Change;
use super::guests::closed;
use super::policies::ServedPolicy;
use super::references::{CertificateKind, EdgeParent, References};
use super::scope::Scope;
use super::services::remove;
use super::{
    Deployment, Index, KindRole, Namespace, ObjectName, PolicyKind, PolicyName, ResourceDocument,
};
use crate::controller::gateways::names::{is_proxy_of, label_value};

/// What belongs to gateways, by what it belongs to.
#[derive(Debug, Default)]
pub(super) struct GatewayLinks {
    /// The routes in force that are attached to a Gateway or a ListenerSet, by their namespace.
    routes: HashMap<EdgeParent, BTreeMap<Arc<str>, AttachedRoutes>>,
    /// The ListenerSets of a Gateway, and the policies about a Gateway or a ListenerSet.
    about: HashMap<EdgeParent, BTreeSet<PolicyName>>,
    /// The BackendTLSPolicies of a Service.
    backend_tls: HashMap<ObjectName, BTreeSet<PolicyName>>,
    pub(super) secrets: HashMap<ObjectName, Arc<ResourceDocument>>,
    pub(super) authorities: HashMap<ObjectName, Arc<ResourceDocument>>,
    /// What policies about sign-in and tokens refer to.
    pub(super) credentials: HashMap<ObjectName, Arc<ResourceDocument>>,
    pub(super) deployments: HashMap<ObjectName, Deployment>,
}

/// Whom documents are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Proxy,
    Review,
}

/// Documents by name.
type Documents = BTreeMap<String, Arc<ResourceDocument>>;
/// Routes, each once.
type Routes<'i> = BTreeSet<&'i PolicyName>;

impl Index {
    pub(super) fn set_namespace(&mut self, name: Arc<str>, namespace: Option<Namespace>) {
        let before = match namespace.clone() {
            Some(namespace) => self.namespaces.insert(name, namespace),
            None => self.namespaces.remove(&name),
        };
        if before.map(|before| before.labels) != namespace.map(|now| now.labels) {
            self.changes.record(Change::Gateways);
        }
    }

    pub(super) fn set_secret(&mut self, name: ObjectName, now: Option<Arc<ResourceDocument>>) {
        if set(&mut self.gateways.secrets, name, now) {
            self.changes.record(Change::Gateways);
        }
    }

    pub(super) fn set_authorities(&mut self, name: ObjectName, now: Option<Arc<ResourceDocument>>) {
        if set(&mut self.gateways.authorities, name, now) {
            self.changes.record(Change::Gateways);
        }
    }

    pub(super) fn set_credentials(&mut self, name: ObjectName, now: Option<Arc<ResourceDocument>>) {
        if set(&mut self.gateways.credentials, name, now) {
            self.changes.record(Change::AllWorkloads);
        }
    }

    /// No proxy is told of it.
    pub(super) fn set_deployment(&mut self, name: ObjectName, now: Option<Deployment>) {
        set(&mut self.gateways.deployments, name, now);
    }

    /// Notes the version that is in force from now on of a route, or of what is for gateways.
    pub(super) fn link_gateways(&mut self, name: &PolicyName, served: &ServedPolicy) {
        let References { edge, targets, .. } = &served.references;
        let links = &mut self.gateways;
        for parent in edge {
            match name.kind.role() {
                KindRole::Route => {
                    let bytes = served.document.bytes.len();
                    let attached = links.routes.entry(parent.clone()).or_default();
                    let attached = attached.entry(name.object.namespace.clone()).or_default();
                    attached.add(name, served.created(), bytes, std::iter::empty());
                }
                _ => {
                    links.about.entry(parent.clone()).or_default().insert(name.clone());
                }
            }
        }
        for service in targets {
            links.backend_tls.entry(service.clone()).or_default().insert(name.clone());
        }
        if !edge.is_empty() {
            self.changes.record(Change::Gateways);
        }
    }

    /// Forgets the version that was in force.
    pub(super) fn unlink_gateways(&mut self, name: &PolicyName, served: &ServedPolicy) {
        let References { edge, targets, .. } = &served.references;
        let links = &mut self.gateways;
        for parent in edge {
            match name.kind.role() {
                KindRole::Route => {
                    let Some(attached) = links.routes.get_mut(parent) else { continue };
                    let namespace = &name.object.namespace;
                    if let Some(routes) = attached.get_mut(namespace) {
                        routes.remove(name, served.created(), std::iter::empty());
                        if routes.is_empty() {
                            attached.remove(namespace);
                        }
                    }
                    if attached.is_empty() {
                        links.routes.remove(parent);
                    }
                }
                _ => remove(&mut links.about, parent, name),
            }
        }
        for service in targets {
            remove(&mut links.backend_tls, service, name);
        }
        if !edge.is_empty() {
            self.changes.record(Change::Gateways);
        }
    }

    /// The Gateways in force whose class is ours.
    pub(super) fn own_gateways(&self) -> impl Iterator<Item = &PolicyName> {
        let gateways = self.of_kind(PolicyKind::Gateway, None);
        gateways.filter(|name| self.class_of(name).is_some())
    }

    /// Whether what a route is attached to is a gateway of ours, or belongs to one.
    pub(super) fn is_own(&self, parent: &EdgeParent) -> bool {
        let is_ours = |object: &ObjectName| {
            let name = PolicyName { kind: PolicyKind::Gateway, object: object.clone() };
            self.class_of(&name).is_some()
        };
        match parent {
            EdgeParent::Gateway(object) => is_ours(object),
            EdgeParent::ListenerSet(object) => {
                let name = PolicyName { kind: PolicyKind::ListenerSet, object: object.clone() };
                let set = self.policies.get(&name).and_then(|record| record.served.as_ref());
                let mut of = set.into_iter().flat_map(|set| &set.references.edge);
                of.any(|parent| matches!(parent, EdgeParent::Gateway(object) if is_ours(object)))
            }
        }
    }

    /// The names of a kind, in all namespaces or in one.
    pub(super) fn of_kind(
        &self,
        kind: PolicyKind,
        namespace: Option<&Arc<str>>,
    ) -> impl Iterator<Item = &PolicyName> {
        let (namespace, of) = (namespace.cloned().unwrap_or_default(), namespace.cloned());
        let from = PolicyName { kind, object: ObjectName { namespace, name: "".into() } };
        let names = self.policies.range(from..).map(|(name, _)| name);
        names.take_while(move |name| {
            name.kind == kind && of.as_ref().is_none_or(|of| name.object.namespace == *of)
        })
    }

    /// The GatewayClasses that are ours.
    pub(super) fn own_classes(&self) -> impl Iterator<Item = &PolicyName> {
        self.of_kind(PolicyKind::GatewayClass, None).filter(|name| self.is_own_class(name))
    }

    fn is_own_class(&self, class: &PolicyName) -> bool {
        let served = self.policies.get(class).and_then(|record| record.served.as_ref());
        let controller = served.and_then(|served| served.value.pointer("/spec/controllerName"));
        controller.is_some_and(|controller| controller == CONTROLLER_NAME)
    }

    /// Whether a GatewayClass asks for parameters, of which none are read: then it is not accepted.
    pub(super) fn has_parameters(&self, class: &str) -> bool {
        let name =
            PolicyName { kind: PolicyKind::GatewayClass, object: ObjectName::new("", class) };
        let parameters =
            self.served(&name).and_then(|served| served.value.pointer("/spec/parametersRef"));
        parameters.is_some_and(|parameters| !parameters.is_null())
    }

    /// The class of a Gateway in force, if that is ours.
    fn class_of(&self, gateway: &PolicyName) -> Option<PolicyName> {
        let class = self.policies.get(gateway)?.class()?;
        let name =
            PolicyName { kind: PolicyKind::GatewayClass, object: ObjectName::new("", class) };
        self.is_own_class(&name).then_some(name)
    }

    /// The Gateway whose proxy a pod is.
    pub(super) fn gateway_of(&self, pod: &ObjectName) -> Option<&PolicyName> {
        let found = self.pods.get(pod)?;
        let of = |name: &&PolicyName| {
            is_proxy_of(&name.object.name, &found.labels, &found.service_account)
                && self.class_of(name).is_some()
        };
        self.of_kind(PolicyKind::Gateway, Some(&pod.namespace)).find(of)
    }

    /// The ListenerSets of a Gateway, and the policies about a Gateway or ListenerSet: those about its clients, also, of
    /// which nothing more can be read than that they have targets.
    pub(super) fn about(&self, parent: &EdgeParent) -> Vec<&PolicyName> {
        let (EdgeParent::Gateway(object) | EdgeParent::ListenerSet(object)) = parent;
        let clients = self.unread(PolicyKind::ClientTrafficPolicy, &object.namespace);
        self.gateways.about.get(parent).into_iter().flatten().chain(clients).collect()
    }

    /// The policies of a kind whose targets cannot be read.
    fn unread(&self, kind: PolicyKind, namespace: &Arc<str>) -> impl Iterator<Item = &PolicyName> {
        self.of_kind(kind, Some(namespace)).filter(|name| {
            let served = self.policies.get(*name).and_then(|record| record.served.as_ref());
            served.is_some_and(|served| served.scope == Scope::Namespace)
        })
    }

    pub(super) fn is_accepted(&self, name: &PolicyName) -> bool {
        let served = self.policies.get(name).and_then(|record| record.served.as_ref());
        served.is_some_and(|served| served.accepted)
    }

    /// Whether it is not known how a backend of a route is to be called: a BackendTLSPolicy about it was never without a
    /// mistake. Without TLS it must not be, so that the route is not told.
    fn leads_astray(&self, route: &PolicyName) -> bool {
        let mut policies = self.backends_of(route).flat_map(|service| {
            let unread = self.unread(PolicyKind::BackendTLSPolicy, &service.namespace);
            self.gateways.backend_tls.get(service).into_iter().flatten().chain(unread)
        });
        policies.any(|name| !self.is_accepted(name))
    }

    /// Whether a Gateway, ListenerSet or route is a gateway, or attached to it.
    pub(super) fn belongs_to(&self, part: &PolicyName, gateway: &ObjectName) -> bool {
        if part.kind == PolicyKind::Gateway {
            return part.object == *gateway;
        }
        let served = self.policies.get(part).and_then(|record| record.served.as_ref());
        served.is_some_and(|served| {
            served.references.edge.iter().any(|parent| match parent {
                EdgeParent::Gateway(object) => object == gateway,
                // A ListenerSet is attached to Gateways alone.
                EdgeParent::ListenerSet(object) => {
                    let set = PolicyName { kind: PolicyKind::ListenerSet, object: object.clone() };
                    part.kind != PolicyKind::ListenerSet && self.belongs_to(&set, gateway)
                }
            })
        })
    }

    /// Whether a Service is in front of the proxies of a gateway.
    pub(super) fn is_of_gateway(&self, service: &ObjectName) -> bool {
        let Some(record) = self.services.get(service) else { return false };
        let label = record.object.selector.get(crate::controller::convert::GATEWAY_LABEL);
        label.is_some_and(|label| {
            let gateways = self.of_kind(PolicyKind::Gateway, Some(&service.namespace));
            let named = |name: &&PolicyName| label_value(&name.object.name) == *label;
            gateways.filter(|name| self.class_of(name).is_some()).any(|name| named(&name))
        })
    }

    /// Everything that the proxy of a gateway is told, by name; nothing for any other proxy.
    pub(super) fn gateway_documents(&self, pod: &ObjectName) -> Documents {
        let mut documents = Documents::new();
        if let Some(gateway) = self.gateway_of(pod) {
            self.collect(gateway, Reader::Proxy, &mut documents);
        }
        documents
    }

    /// Everything that belongs to a gateway, as it is reviewed for the statuses.
    pub(super) fn documents_to_review(&self, gateway: &PolicyName) -> Documents {
        let mut documents = Documents::new();
        self.collect(gateway, Reader::Review, &mut documents);
        documents
    }

    /// A gateway and its ListenerSets, and what is about any of them. A review is about those, too, that it does not let in.
    fn about_gateway(
        &self,
        gateway: &ObjectName,
        reader: Reader,
    ) -> (Vec<EdgeParent>, BTreeSet<PolicyName>) {
        let mut sets = self.sets_of(gateway);
        if reader == Reader::Review {
            sets.taken.append(&mut sets.refused);
        }
        let is_told = |set: &&&PolicyName| {
            // What is closed is told as closed, which one with a mistake of its own cannot be.
            reader == Reader::Review || self.is_accepted(set) || !self.is_closed(gateway, set)
        };
        let sets: Vec<&PolicyName> = sets.taken.iter().filter(is_told).copied().collect();
        let mut parents = vec![EdgeParent::Gateway(gateway.clone())];
        parents.extend(sets.iter().map(|set| EdgeParent::ListenerSet(set.object.clone())));
        let policies = parents.iter().flat_map(|parent| self.about(parent));
        let policies = policies.filter(|name| name.kind != PolicyKind::ListenerSet);
        let is_guests = |name: &PolicyName| name.object.namespace != gateway.namespace;
        // A guest's mistake closes the guest's own.
        let policies = policies
            .filter(|name| reader == Reader::Review || self.is_accepted(name) || !is_guests(name));
        let names = policies.chain(sets).cloned().collect();
        (parents, names)
    }

    fn routes_for(
        &self,
        gateway: &ObjectName,
        parents: &[EdgeParent],
        reader: Reader,
    ) -> Routes<'_> {
        let of = |parent: &EdgeParent| -> Vec<&PolicyName> {
            match reader {
                Reader::Review => self.routes_at(parent).collect(),
                Reader::Proxy => {
                    let told = self.routes_told_at(gateway, parent);
                    told.into_iter().filter(|route| !self.leads_astray(route)).collect()
                }
            }
        };
        parents.iter().flat_map(of).collect()
    }

    fn collect(&self, gateway: &PolicyName, reader: Reader, into: &mut Documents) {
        let (parents, mut names) = self.about_gateway(&gateway.object, reader);
        names.retain(|name| !name.kind.role().is_of_servers());
        names.extend(self.class_of(gateway));
        names.insert(gateway.clone());
        let routes = self.routes_for(&gateway.object, &parents, reader);
        for service in routes.iter().flat_map(|route| self.backends_of(route)) {
            names.extend(self.gateways.backend_tls.get(service).into_iter().flatten().cloned());
        }
        let namespaces =
            names.iter().chain(routes.iter().copied()).map(|name| &name.object.namespace);
        for namespace in namespaces.collect::<BTreeSet<_>>() {
            if let Some(found) = self.namespaces.get(namespace) {
                into.insert(format!("Namespace/{namespace}"), Arc::new(describe(namespace, found)));
            }
        }
        for name in routes {
            let served = self.policies.get(name).and_then(|record| record.served.as_ref());
            into.extend(served.map(|served| (name.to_string(), served.document.clone())));
        }
        for name in &names {
            let told = match reader {
                Reader::Review => None,
                Reader::Proxy => self.told_otherwise(name, &gateway.object),
            };
            self.collect_one(name, told, into);
        }
    }

    /// The routes that are attached to a parent, as far as there is room for them.
    pub(super) fn routes_at(&self, parent: &EdgeParent) -> impl Iterator<Item = &PolicyName> {
        let attached = self.gateways.routes.get(parent).into_iter().flat_map(BTreeMap::values);
        attached.flat_map(|routes| routes.names().filter(|name| routes.is_told(name)))
    }

    fn backends_of(&self, route: &PolicyName) -> impl Iterator<Item = &ObjectName> {
        let served = self.policies.get(route).and_then(|record| record.served.as_ref());
        served.into_iter().flat_map(|served| &served.references.backends)
    }

    /// An object for gateways, with the certificates that it names and may have.
    fn collect_one(&self, name: &PolicyName, told: Option<Value>, into: &mut Documents) {
        let Some(served) = self.policies.get(name).and_then(|record| record.served.as_ref()) else {
            return;
        };
        let mut grants = Vec::new();
        for (kind, object) in &served.references.certificates {
            if object.namespace != name.object.namespace {
                if !self.may_refer(name, *kind, object) {
                    continue;
                }
                grants.push(grant(name, *kind, object));
            }
            let held = match kind {
                CertificateKind::Secret => &self.gateways.secrets,
                CertificateKind::ConfigMap => &self.gateways.authorities,
            };
            let document = held.get(object).cloned();
            into.extend(document.map(|document| (format!("{}/{object}", kind.as_str()), document)));
        }
        let document = match (told, grants.is_empty()) {
            (None, true) => served.document.clone(),
            (told, _) => {
                let value = told.unwrap_or_else(|| (*served.value).clone());
                Arc::new(with_grants(value, grants))
            }
        };
        into.insert(name.to_string(), document);
    }

    /// What a proxy is told in place of what was written.
    fn told_otherwise(&self, name: &PolicyName, gateway: &ObjectName) -> Option<Value> {
        let value = &self.served(name)?.value;
        match name.kind {
            PolicyKind::Gateway => Some(without_addresses(value)),
            PolicyKind::ListenerSet => self.is_closed(gateway, name).then(|| closed(value)),
            _ => None,
        }
    }

    /// Whether a ReferenceGrant of its namespace lets an object name what holds certificates.
    fn may_refer(&self, from: &PolicyName, kind: CertificateKind, object: &ObjectName) -> bool {
        let referrer = match from.kind {
            PolicyKind::Gateway => Referrer::Gateway,
            PolicyKind::ListenerSet => Referrer::ListenerSet,
            _ => return false,
        };
        let granted = match kind {
            CertificateKind::Secret => GrantedKind::Secret,
            CertificateKind::ConfigMap => GrantedKind::ConfigMap,
        };
        let ObjectName { namespace, name } = object;
        let of = &from.object.namespace;
        let permits =
            |grant: &ReferenceGrant| grant.permits(referrer, of, granted, namespace, name);
        self.grants_of(namespace).any(permits)
    }
}

/// Whether it was another one before.
fn set<T: PartialEq>(known: &mut HashMap<ObjectName, T>, name: ObjectName, now: Option<T>) -> bool {
    if known.get(&name) == now.as_ref() {
        return false;
    }
    match now {
        Some(now) => drop(known.insert(name, now)),
        None => drop(known.remove(&name)),
    }
    true
}

/// A Namespace with its labels, by which listeners let routes in.
fn describe(name: &str, namespace: &Namespace) -> ResourceDocument {
    ResourceDocument::of_policy(&json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": &*namespace.labels},
    }))
}

/// The addresses of a Gateway are its load balancer's: in a pod, the proxy listens on all that it has.
fn without_addresses(gateway: &Value) -> Value {
    let mut gateway = gateway.clone();
    if let Some(spec) = gateway.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("addresses");
    }
    gateway
}

/// An object and the grants that it needs.
fn with_grants(value: Value, grants: Vec<Value>) -> ResourceDocument {
    if grants.is_empty() {
        return ResourceDocument::of_policy(&value);
    }
    let items: Vec<Value> = std::iter::once(value).chain(grants).collect();
    ResourceDocument::of_policy(&json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

/// A ReferenceGrant for one object and one that it names.
fn grant(from: &PolicyName, kind: CertificateKind, to: &ObjectName) -> Value {
    let (group, ..) = from.kind.resource();
    let from_text = from.to_string();
    super::traffic::grant_of(
        (&from_text, group, from.kind.as_str(), &from.object.namespace),
        (kind.as_str(), to),
    )
}
