//! Policies: which workloads they are about, which version is in force, and what their writers are told. How what is sent
//! to destinations is carried is in `traffic.rs`, what is said to the writers of routes in `route_status.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::json;

use super::accept::{self, Reading};
use super::attached::Displaced;
use super::changes::Change;
use super::references::References;
use super::scope::{Scope, scope};
use super::{Index, KindRole, ObjectName, PolicyKind, PolicyName, PolicyObject, ResourceDocument};

/// The name of the document that tells a proxy what its pod is.
pub(super) const WORKLOAD: &str = "Workload";

/// A policy object with what was made of it.
#[derive(Debug)]
pub(super) struct PolicyRecord {
    pub(super) object: PolicyObject,
    /// The mistakes of the newest version.
    pub(super) mistakes: Option<String>,
    /// The version in force.
    pub(super) served: Option<ServedPolicy>,
    /// It is well formed, and proxies could not take it beside the others: it waits until it has room.
    pub(super) waits: bool,
    /// What it claims and an older ServiceEntry of its namespace has: then it is not in force.
    claimed: Option<HostClaim>,
}

/// A port of a host that two ServiceEntries of one namespace claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostClaim {
    host: Arc<str>,
    port: u16,
    by: PolicyName,
}

/// The version of a policy that proxies get.
#[derive(Debug)]
pub(super) struct ServedPolicy {
    pub(super) document: Arc<ResourceDocument>,
    pub(super) value: Arc<serde_json::Value>,
    pub(super) scope: Scope,
    pub(super) reading: Reading,
    /// Of a route: what it is attached to, and where it leads.
    pub(super) references: References,
    /// False for a version with mistakes, which is sent because there is no better one: its workloads deny.
    pub(super) accepted: bool,
}

/// What a policy's status must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVerdict {
    /// The policy.
    pub name: PolicyName,
    /// The version of its kind in which it was read.
    pub api_version: String,
    /// The generation that was judged.
    pub generation: i64,
    /// `None`: accepted; else every mistake.
    pub mistakes: Option<String>,
}

impl Index {
    pub(super) fn set_policy(&mut self, name: PolicyName, object: Option<PolicyObject>) {
        let may_free = name.kind == PolicyKind::TokenRevocation;
        self.put_policy(name, object);
        if may_free {
            for (name, object) in self.waiting_revocations() {
                self.put_policy(name, Some(object));
            }
        }
    }

    fn put_policy(&mut self, name: PolicyName, object: Option<PolicyObject>) {
        let Some(object) = object else { return self.remove_policy(&name) };
        if let Some(known) = self.policies.get_mut(&name)
            && known.object.document == object.document
            && !known.waits
        {
            // Only the status or the bookkeeping changed.
            known.object = object;
            return self.review_status(&name);
        }
        let checked = accept::check(&name, &object.document, &self.settings);
        let before = self.policies.remove(&name).and_then(|record| record.served);
        self.unlink_entry(&name, before.as_ref());
        self.unlink_traffic(&name, before.as_ref());
        let room = checked.as_ref().map(|reading| self.room_for(&name, reading.revocations));
        let waits = matches!(room, Ok(Err(_)));
        let (served, mistakes) = match checked {
            Ok(reading) if !waits => (Some(self.serve(&name, &object, reading, true)), None),
            Ok(_) => (before.filter(|served| served.accepted), room.ok().and_then(Result::err)),
            Err(mistakes) => (self.fall_back(&name, &object, before), Some(mistakes)),
        };
        self.link_entry(&name, served.as_ref());
        self.link_traffic(&name, served.as_ref());
        if name.kind.role().is_of_servers() || name.kind.role() == KindRole::Destination {
            let names = self.policies_in.entry(name.object.namespace.clone());
            names.or_default().insert(name.clone());
        }
        let record = PolicyRecord { object, mistakes, served, waits, claimed: None };
        self.policies.insert(name.clone(), record);
        self.policy_changed(&name);
    }

    /// After a mistake: the last accepted version; without one the workloads it selects deny. What selects nobody, and is
    /// not for gateways, is then not there.
    fn fall_back(
        &self,
        name: &PolicyName,
        object: &PolicyObject,
        before: Option<ServedPolicy>,
    ) -> Option<ServedPolicy> {
        before.filter(|served| served.accepted).or_else(|| {
            // What is for gateways is told as it is: a proxy that has an older version stays with that, and one that has
            // none opens nothing.
            let told = matches!(name.kind.role(), KindRole::Authorization | KindRole::Gateway);
            told.then(|| self.serve(name, object, Reading::default(), false))
        })
    }

    fn remove_policy(&mut self, name: &PolicyName) {
        let Some(record) = self.policies.remove(name) else { return };
        self.unlink_entry(name, record.served.as_ref());
        self.unlink_traffic(name, record.served.as_ref());
        super::services::remove(&mut self.policies_in, &name.object.namespace, name);
        self.policy_changed(name);
    }

    /// A ServiceEntry is about destinations, whose change is recorded as its hosts are linked; a grant about the routes
    /// that lead into its namespace.
    fn policy_changed(&mut self, name: &PolicyName) {
        let namespace = &name.object.namespace;
        match name.kind.role() {
            KindRole::Authorization | KindRole::Limit => {
                self.changes.record(Change::AllWorkloads);
            }
            KindRole::Destination => self.settle_claims(namespace),
            KindRole::Route | KindRole::TrafficPolicy => {
                self.changes.record(Change::Traffic(name.clone()));
            }
            KindRole::Gateway => self.changes.record(Change::Gateways),
            KindRole::Grant => self.grants_changed(namespace),
        }
        let Displaced { told, disputed } = self.traffic.take_displaced();
        self.review_routes(disputed.union(&told).cloned());
        told.into_iter().for_each(|name| self.changes.record(Change::Traffic(name)));
        self.review_status(name);
    }

    /// A version of a policy as it is to be served.
    fn serve(
        &self,
        name: &PolicyName,
        object: &PolicyObject,
        reading: Reading,
        accepted: bool,
    ) -> ServedPolicy {
        let value = object.document.clone();
        let (references, document) = match name.kind.role() {
            KindRole::Route => {
                let references = References::of(name, &value, reading.route.as_deref());
                let document = self.route_document(name, &value, &references);
                (references, document)
            }
            KindRole::Gateway | KindRole::Authorization | KindRole::Limit => {
                let references = References::of_gateways(name, &value);
                (references, ResourceDocument::of_policy(&value))
            }
            _ => (References::default(), ResourceDocument::of_policy(&value)),
        };
        let (scope, document) = (scope(&value), Arc::new(document));
        ServedPolicy { document, value, scope, reading, references, accepted }
    }

    /// Gives each port of a host that ServiceEntries of a namespace claim to the oldest of them, and of equally old ones to the
    /// first by name. One that does not get all it claims is not in force: half of it would not be what its writer meant.
    fn settle_claims(&mut self, namespace: &Arc<str>) {
        let names = self.policies_in.get(namespace).into_iter().flatten();
        let entries = names.filter(|name| name.kind.role() == KindRole::Destination);
        let claims = entries.filter_map(|name| {
            let served = self.policies.get(name)?.served.as_ref()?;
            Some((served.created().to_owned(), name.clone(), served.reading.entry.claims()))
        });
        let mut claims: Vec<_> = claims.collect();
        claims.sort();
        let mut owners: HashMap<(Arc<str>, u16), PolicyName> = HashMap::new();
        for (_, name, claims) in claims {
            let taken = claims.iter().find_map(|(host, port)| {
                let by = owners.get(&(host.clone(), *port))?.clone();
                Some(HostClaim { host: host.clone(), port: *port, by })
            });
            if taken.is_none() {
                owners.extend(claims.into_iter().map(|claim| (claim, name.clone())));
            }
            if let Some(record) = self.policies.get_mut(&name) {
                record.claimed = taken;
            }
        }
    }

    fn link_entry(&mut self, name: &PolicyName, served: Option<&ServedPolicy>) {
        let Some(served) = served.filter(|_| name.kind.role() == KindRole::Destination) else {
            return;
        };
        for host in &served.reading.entry.hosts {
            let key = (name.object.namespace.clone(), host.clone());
            self.entry_hosts.entry(key).or_default().insert(name.clone());
        }
        self.changes.record(Change::AllDestinations);
    }

    fn unlink_entry(&mut self, name: &PolicyName, served: Option<&ServedPolicy>) {
        let Some(served) = served.filter(|_| name.kind.role() == KindRole::Destination) else {
            return;
        };
        for host in &served.reading.entry.hosts {
            let key = (name.object.namespace.clone(), host.clone());
            super::services::remove(&mut self.entry_hosts, &key, name);
        }
        self.changes.record(Change::AllDestinations);
    }

    /// Everything that is about a pod as a server, by name: its own description, and the policies that select it. `None` when
    /// the pod is gone.
    pub(super) fn policies_for(
        &self,
        pod: &ObjectName,
    ) -> Option<BTreeMap<String, Arc<ResourceDocument>>> {
        let found = self.pods.get(pod)?;
        let mut documents = BTreeMap::new();
        let mut credentials = BTreeSet::new();
        documents.insert(WORKLOAD.to_owned(), Arc::new(self.workload(pod)?));
        let root = &self.settings.root_namespace;
        let namespaces = [Some(&pod.namespace), (*root != pod.namespace).then_some(root)];
        let names = namespaces.into_iter().flatten().filter_map(|ns| self.policies_in.get(ns));
        let of_servers = |name: &&PolicyName| name.kind.role().is_of_servers();
        let own = names.flatten().filter(of_servers).filter_map(|name| {
            let served = self.policies.get(name)?.served.as_ref()?;
            Some((name, served))
        });
        for (name, served) in own.chain(self.policies_of_guests(pod)) {
            if let Some(document) = self.if_about(name, served, pod, found) {
                documents.insert(name.to_string(), document);
                if served.accepted {
                    credentials.extend(&served.references.credentials);
                    documents.extend(self.attachments_of(served));
                }
            }
        }
        documents.extend(self.secrets_of(&credentials));
        Some(documents)
    }

    /// The Secrets that a proxy's policies name, cut down to the keys that they need of each.
    fn secrets_of(
        &self,
        needed: &BTreeSet<&(ObjectName, &'static str)>,
    ) -> BTreeMap<String, Arc<ResourceDocument>> {
        let mut keys: BTreeMap<&ObjectName, BTreeSet<&str>> = BTreeMap::new();
        for (object, key) in needed {
            keys.entry(object).or_default().insert(*key);
        }
        let secrets = keys.into_iter().filter_map(|(object, keys)| {
            let document = self.gateways.credentials.get(object)?.with_only(&keys)?;
            Some((format!("Secret/{object}"), Arc::new(document)))
        });
        secrets.collect()
    }

    /// Where the routes are attached that a policy with a Secret is about.
    fn attachments_of(&self, served: &ServedPolicy) -> Vec<(String, Arc<ResourceDocument>)> {
        if served.references.credentials.is_empty() {
            return Vec::new();
        }
        let routes = served.scope.edge().iter().filter(|part| part.kind == PolicyKind::HTTPRoute);
        let routes = routes.filter_map(|route| {
            let value = &self.served(route).filter(|served| served.accepted)?.value;
            Some((route.to_string(), Arc::new(ResourceDocument::of_policy(&attachment(value)))))
        });
        routes.collect()
    }

    fn if_about(
        &self,
        name: &PolicyName,
        served: &ServedPolicy,
        pod: &ObjectName,
        found: &super::Pod,
    ) -> Option<Arc<ResourceDocument>> {
        let has = |wanted: &BTreeMap<String, String>| {
            wanted.iter().all(|(key, value)| found.labels.get(key) == Some(value))
        };
        match &served.scope {
            Scope::Labels(wanted) => has(wanted).then(|| served.document.clone()),
            Scope::Targets { services, edge } => self
                .if_behind(name, served, services, pod, &has)
                .or_else(|| self.if_at_the_edge(served, edge, !services.is_empty(), pod)),
            Scope::Namespace => {
                (name.object.namespace == pod.namespace).then(|| served.document.clone())
            }
        }
    }

    fn if_behind(
        &self,
        name: &PolicyName,
        served: &ServedPolicy,
        services: &[Arc<str>],
        pod: &ObjectName,
        has: &dyn Fn(&BTreeMap<String, String>) -> bool,
    ) -> Option<Arc<ResourceDocument>> {
        let here = name.object.namespace == pod.namespace;
        let selectors = services.iter().filter(|_| here).filter_map(|service| {
            let service = ObjectName { namespace: pod.namespace.clone(), name: service.clone() };
            self.services.get(&service).map(|record| &record.object.selector)
        });
        let mut matching = selectors.filter(|selector| !selector.is_empty() && has(selector));
        let selector = matching.next()?;
        if !served.accepted {
            // With a selector in place of its targets it might be one that can be read, and be about others than was meant.
            return Some(served.document.clone());
        }
        let value = accept::with_selector(&served.value, selector);
        Some(Arc::new(ResourceDocument::of_policy(&value)))
    }

    /// What is about a part of the gateway whose proxy a pod is.
    fn if_at_the_edge(
        &self,
        served: &ServedPolicy,
        edge: &[PolicyName],
        has_services: bool,
        pod: &ObjectName,
    ) -> Option<Arc<ResourceDocument>> {
        let gateway = self.gateway_of(pod).filter(|_| !edge.is_empty())?;
        if !edge.iter().any(|part| self.belongs_to(part, &gateway.object)) {
            return None;
        }
        Some(match has_services && served.accepted {
            true => Arc::new(ResourceDocument::of_policy(&accept::at_the_edge(&served.value))),
            false => served.document.clone(),
        })
    }

    /// The policies of other namespaces about what is attached to the gateway whose proxy a pod is. One with a mistake is not
    /// told: it would close the whole gateway. What it is about is closed by itself ([`Self::is_closed`]).
    fn policies_of_guests(
        &self,
        pod: &ObjectName,
    ) -> impl Iterator<Item = (&PolicyName, &ServedPolicy)> {
        let gateway = self.gateway_of(pod);
        let namespaces = gateway.map(|gateway| self.guests_of(&gateway.object)).unwrap_or_default();
        let root = self.settings.root_namespace.clone();
        let own = pod.namespace.clone();
        let guests = namespaces.into_iter().filter(move |of| *of != own && *of != root);
        let names = guests.filter_map(|of| self.policies_in.get(&of)).flatten();
        names.filter_map(|name| {
            let served = self.policies.get(name)?.served.as_ref()?;
            let is_of_edge =
                matches!(&served.scope, Scope::Targets { edge, .. } if !edge.is_empty());
            (name.kind.role().is_of_servers() && is_of_edge && served.accepted)
                .then_some((name, served))
        })
    }

    /// What the pod is: its labels, what its ports speak, and the service it is behind when that is one.
    fn workload(&self, name: &ObjectName) -> Option<ResourceDocument> {
        let pod = self.pods.get(name)?;
        let ports: BTreeMap<String, &str> = self
            .port_protocols(name)
            .into_iter()
            .map(|(port, protocol)| (port.to_string(), protocol.as_str()))
            .collect();
        let mut spec = json!({
            "serviceAccount": &*pod.service_account,
            "labels": &*pod.labels,
            "ports": ports,
        });
        let mut services = self.services_before(name).into_iter();
        if let (Some(service), None) = (services.next(), services.next()) {
            spec["service"] = self.host_of(&service).into();
        }
        Some(ResourceDocument::of_policy(&json!({
            "apiVersion": "postern.dev/v1",
            "kind": WORKLOAD,
            "metadata": {"name": &*name.name, "namespace": &*name.namespace},
            "spec": spec,
        })))
    }

    /// The policies whose condition does not say yet what is to be said of them. A route is answered at each of its parents,
    /// the kinds of gateways as the Gateway API says, and a grant has no status.
    #[must_use]
    pub fn unreported(&self) -> Vec<PolicyVerdict> {
        let has_condition = |name: &PolicyName| {
            let is_own = name.kind == PolicyKind::ClientTrafficPolicy;
            is_own
                || !matches!(
                    name.kind.role(),
                    KindRole::Route | KindRole::Grant | KindRole::Gateway
                )
        };
        let records = self.policies.iter();
        let records = records.filter(|(name, record)| has_condition(name) && !record.is_reported());
        let verdict = |(name, record): (&PolicyName, &PolicyRecord)| PolicyVerdict {
            name: name.clone(),
            api_version: record.object.document["apiVersion"].as_str().unwrap_or_default().into(),
            generation: record.object.generation,
            mistakes: record.why_not(),
        };
        records.map(verdict).collect()
    }

    /// The policies with mistakes, for `/status`.
    #[must_use]
    pub fn refused(&self) -> Vec<(PolicyName, String)> {
        let records = self.policies.iter();
        let refused = records.filter_map(|(name, record)| Some((name, record, record.why_not()?)));
        let ours = refused.filter(|(name, record, _)| self.answers_for(name, record));
        ours.map(|(name, _, why_not)| (name.clone(), why_not)).collect()
    }

    /// Whether it is ours to say what is wrong with it: the routes of other gateways may say what we do not understand.
    fn answers_for(&self, name: &PolicyName, record: &PolicyRecord) -> bool {
        if name.kind.role() != KindRole::Route {
            return true;
        }
        let References { parents, edge, .. } = References::of(name, &record.object.document, None);
        !parents.is_empty() || edge.iter().any(|parent| self.is_own(parent))
    }
}

/// A route without what it does.
fn attachment(route: &serde_json::Value) -> serde_json::Value {
    let metadata = |key: &str| route.pointer(&format!("/metadata/{key}")).cloned();
    let mut spec = serde_json::Map::new();
    for key in ["parentRefs", "hostnames"] {
        let written = route.pointer(&format!("/spec/{key}")).cloned();
        spec.extend(written.map(|written| (key.to_owned(), written)));
    }
    json!({
        "apiVersion": route["apiVersion"], "kind": route["kind"],
        "metadata": {"name": metadata("name"), "namespace": metadata("namespace")},
        "spec": spec,
    })
}

impl PolicyRecord {
    /// The version in force, of one that has all it claims.
    pub(super) fn in_force(&self) -> Option<&ServedPolicy> {
        self.served.as_ref().filter(|_| self.claimed.is_none())
    }

    /// The class of a Gateway in force.
    pub(super) fn class(&self) -> Option<&str> {
        self.served.as_ref()?.value.pointer("/spec/gatewayClassName")?.as_str()
    }

    /// Why it is not accepted: every mistake, and who has what it claims.
    fn why_not(&self) -> Option<String> {
        let claimed = self.claimed.as_ref().map(|HostClaim { host, port, by }| {
            format!("found port {port} of the host {host}; expected each host and port once in a namespace; {by}, which is older or first by name, has it: remove it from one of them")
        });
        let told: Vec<String> = self.mistakes.clone().into_iter().chain(claimed).collect();
        (!told.is_empty()).then(|| told.join(" | "))
    }

    fn is_reported(&self) -> bool {
        let why_not = self.why_not();
        let message = crate::controller::status::message(why_not.as_deref());
        self.object.reported.as_ref().is_some_and(|reported| {
            reported.accepted == why_not.is_none()
                && reported.generation == self.object.generation
                && reported.message == message
        })
    }
}

impl ServedPolicy {
    /// When the object was made: of two that answer to one name, the older one does.
    pub(super) fn created(&self) -> &str {
        self.value.pointer("/metadata/creationTimestamp").and_then(|v| v.as_str()).unwrap_or("~")
    }
}
