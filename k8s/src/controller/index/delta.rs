//! What one proxy was told, and what it must be told now: the difference.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::changes::Change;
use super::destinations::{Destinations, SentState};
use super::lookup::{LONGEST_KEY, LookupTarget};
use super::{Index, ObjectName, ResourceDocument};

/// The most destinations one proxy may ask for at a time: twice what a proxy asks for before it gives old ones up.
const MOST_DESTINATIONS: usize = 4096;

/// A proxy, and what it was told.
#[derive(Debug)]
pub struct Subscriber {
    pod: ObjectName,
    uid: Arc<str>,
    /// `None` until it asks for its policies.
    policies: Option<HashMap<String, String>>,
    /// The versions of the routes and traffic policies it was told; `None` until it asks for them.
    traffic: Option<HashMap<String, String>>,
    /// What it was told as a gateway's proxy; `None` until it asks for that.
    gateway: Option<HashMap<String, String>>,
    /// Whether its question for that has no answer yet.
    first_of_gateway: bool,
    /// Whether it said what it had of them before it said which destinations it needs.
    resumes: bool,
    /// What it has asked for, and what it was told of it.
    destinations: Destinations,
    /// Names that mean nothing, to be told so.
    nonsense: Vec<String>,
    /// The revision of the index at the last delta.
    seen: Option<u64>,
    /// Whether its question for policies has no answer yet.
    first: bool,
}

/// A proxy asks for more than one needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MOST_DESTINATIONS} destinations; unsubscribe from those that are not used")]
pub struct TooManyDestinations;

/// What is to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// About the workload itself. `Some` though empty once, so that the proxy knows it has everything.
    pub policies: Option<TypeDelta>,
    /// How what is sent to destinations is carried. To be told before the destinations: nothing is to be sent to one before
    /// its routes are known.
    pub traffic: Option<TypeDelta>,
    /// What a gateway's proxy serves. `Some` though empty once, so that it knows it has everything.
    pub gateway: Option<TypeDelta>,
    /// About destinations.
    pub services: Option<TypeDelta>,
}

/// Of one type of resource.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TypeDelta {
    /// New or changed, by name.
    pub changed: Vec<(String, Arc<ResourceDocument>)>,
    /// Gone, or never there.
    pub removed: Vec<String>,
}

impl TypeDelta {
    /// Adds a document, unless the proxy was told this version.
    fn tell(
        &mut self,
        told: &mut HashMap<String, String>,
        name: String,
        document: Arc<ResourceDocument>,
    ) {
        if told.get(&name) != Some(&document.version) {
            told.insert(name.clone(), document.version.clone());
            self.changed.push((name, document));
        }
    }

    /// Takes away whatever the proxy was told that does not stay.
    fn take_away(&mut self, told: &mut HashMap<String, String>, stays: impl Fn(&String) -> bool) {
        let gone = told.extract_if(|name, _| !stays(name)).map(|(name, _)| name);
        self.removed.extend(gone);
        self.removed.sort();
    }

    /// Takes away what the proxy may have been told.
    fn take_away_one(&mut self, told: &mut HashMap<String, String>, name: String) {
        if told.remove(&name).is_some() {
            self.removed.push(name);
        }
    }

    fn if_any(self) -> Option<Self> {
        (!self.changed.is_empty() || !self.removed.is_empty()).then_some(self)
    }
}

impl Subscriber {
    /// The proxy of a pod, which was told nothing.
    #[must_use]
    pub fn new(pod: ObjectName, uid: Arc<str>) -> Self {
        Self {
            pod,
            uid,
            policies: None,
            traffic: None,
            gateway: None,
            first_of_gateway: true,
            resumes: false,
            destinations: Destinations::default(),
            nonsense: Vec::new(),
            seen: None,
            first: true,
        }
    }

    /// The pod.
    #[must_use]
    pub fn pod(&self) -> &ObjectName {
        &self.pod
    }

    /// It asks for its policies. `has` is what it has already, by name.
    pub fn ask_policies(&mut self, has: HashMap<String, String>) {
        self.policies = Some(has);
        self.first = true;
    }

    /// It asks for the routes and traffic policies of whatever destinations it needs. `has` is what it has already: where it
    /// has not yet said which destinations it needs, nothing of this is taken away until it does.
    pub fn ask_traffic(&mut self, has: HashMap<String, String>) {
        self.resumes = !has.is_empty() && self.destinations.len() == 0;
        self.traffic = Some(has);
        self.destinations.set_moved();
    }

    /// It asks for what it serves as a gateway's proxy. `has` is what it has already.
    pub fn ask_gateway(&mut self, has: HashMap<String, String>) {
        self.gateway = Some(has);
        self.first_of_gateway = true;
    }

    /// It asks for destinations. `has` is what it has already. A name that is longer than any can be is answered once, and
    /// not kept.
    ///
    /// # Errors
    /// More than a proxy needs: nothing of it is kept.
    pub fn ask_services(
        &mut self,
        names: Vec<String>,
        mut has: HashMap<String, String>,
    ) -> Result<(), TooManyDestinations> {
        let new = names.iter().filter(|name| !self.destinations.contains(name)).count();
        if self.destinations.len() + new > MOST_DESTINATIONS {
            return Err(TooManyDestinations);
        }
        self.resumes = false;
        let (names, nonsense): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| name.len() <= LONGEST_KEY);
        self.nonsense = nonsense;
        for name in names {
            let answer = has.remove(&name).map_or(SentState::Nothing, SentState::Version);
            self.destinations.ask(&name, answer);
        }
        Ok(())
    }

    /// It does not need these destinations any more.
    pub fn forget_services(&mut self, names: &[String]) {
        for name in names {
            self.destinations.forget(name);
        }
    }

    /// How many destinations it asks for.
    #[must_use]
    pub fn destinations(&self) -> usize {
        self.destinations.len()
    }
}

impl Index {
    /// What the proxy must be told now, and notes that it was told. `None` when its pod is gone: it has no right to anything.
    pub fn delta(&self, subscriber: &mut Subscriber) -> Option<Delta> {
        self.pods.get(&subscriber.pod).filter(|pod| pod.uid == subscriber.uid)?;
        let changes = subscriber.seen.and_then(|seen| self.changes.since(seen));
        let concerns = |change: &Change| match change {
            Change::Workload(pod) => *pod == subscriber.pod,
            Change::AllWorkloads => true,
            Change::Destinations(_) | Change::AllDestinations | Change::Traffic(_) => false,
            // Policies may be about what is attached to its gateway.
            Change::Gateways => subscriber.gateway.is_some(),
        };
        let mut delta = Delta::default();
        if subscriber.first || changes.clone().is_none_or(|mut changes| changes.any(concerns)) {
            delta.policies = self.policies_delta(subscriber)?;
        }
        delta.services = self.services_delta(subscriber, changes.clone()).if_any();
        delta.gateway = self.gateway_delta(subscriber, changes.clone());
        // After the destinations have been looked up: whose routes are told follows from them.
        delta.traffic = self.traffic_delta(subscriber, changes).and_then(TypeDelta::if_any);
        subscriber.seen = Some(self.changes.revision());
        Some(delta)
    }

    fn policies_delta(&self, subscriber: &mut Subscriber) -> Option<Option<TypeDelta>> {
        let Some(told) = subscriber.policies.as_mut() else { return Some(None) };
        let now = self.policies_for(&subscriber.pod)?;
        let mut delta = TypeDelta::default();
        delta.take_away(told, |name| now.contains_key(name));
        for (name, document) in now {
            delta.tell(told, name, document);
        }
        let first = std::mem::take(&mut subscriber.first);
        Some(if first { Some(delta) } else { delta.if_any() })
    }

    /// All of it is compared when anything of it may have changed. What everything else waits for comes last: where it is
    /// told in parts, nothing is open before its routes are there.
    fn gateway_delta<'a>(
        &self,
        subscriber: &mut Subscriber,
        changes: Option<impl Iterator<Item = &'a Change>>,
    ) -> Option<TypeDelta> {
        let Subscriber { pod, gateway, first_of_gateway, .. } = subscriber;
        let told = gateway.as_mut()?;
        let first = std::mem::take(first_of_gateway);
        // A policy with a mistake may close what it is about.
        let concerns = |change: &Change| match change {
            Change::Gateways | Change::AllWorkloads => true,
            Change::Workload(of) => of == pod,
            _ => false,
        };
        if !first && changes.is_some_and(|mut changes| !changes.any(concerns)) {
            return None;
        }
        let now = self.gateway_documents(pod);
        let mut delta = TypeDelta::default();
        delta.take_away(told, |name| now.contains_key(name));
        let (last, before): (Vec<_>, Vec<_>) =
            now.into_iter().partition(|(name, _)| name.starts_with("Gateway/"));
        for (name, document) in before.into_iter().chain(last) {
            delta.tell(told, name, document);
        }
        if first { Some(delta) } else { delta.if_any() }
    }

    /// All of them are compared when the destinations are others than before; else those that have changed.
    fn traffic_delta<'a>(
        &self,
        subscriber: &mut Subscriber,
        changes: Option<impl Iterator<Item = &'a Change>>,
    ) -> Option<TypeDelta> {
        let Subscriber { pod, destinations, traffic, resumes, .. } = subscriber;
        let told = traffic.as_mut()?;
        let moved = destinations.take_moved();
        let mut delta = TypeDelta::default();
        let Some(changes) = changes.filter(|_| !moved) else {
            let now = self.traffic_documents(&pod.namespace, destinations);
            delta.take_away(told, |name| *resumes || now.contains_key(name));
            for (name, document) in now {
                delta.tell(told, name, document);
            }
            return Some(delta);
        };
        let changed = changes.filter_map(|change| match change {
            Change::Traffic(name) => Some((name.to_string(), name)),
            _ => None,
        });
        for (text, name) in changed.collect::<BTreeMap<_, _>>() {
            match self.traffic_document(name, &pod.namespace, destinations) {
                Some(document) => delta.tell(told, text, document),
                None => delta.take_away_one(told, text),
            }
        }
        Some(delta)
    }

    fn services_delta<'a>(
        &self,
        subscriber: &mut Subscriber,
        changes: Option<impl Iterator<Item = &'a Change>>,
    ) -> TypeDelta {
        let removed = std::mem::take(&mut subscriber.nonsense);
        let mut delta = TypeDelta { removed, ..TypeDelta::default() };
        let due = self.look_up_due(subscriber, changes);
        let Subscriber { destinations, uid, .. } = subscriber;
        let services = destinations.services_of(&due);
        let dialled = services.map(|name| (name.clone(), destinations.dialled(name))).collect();
        for name in due {
            let Some(destination) = destinations.get_mut(&name) else { continue };
            let target = destination.target.as_ref();
            let document = target.and_then(|target| self.document_of(target, uid, &dialled));
            let now = document.as_ref().map_or(SentState::Unknown, |document| {
                SentState::Version(document.version.clone())
            });
            if destination.sent != now {
                match document {
                    Some(document) => delta.changed.push((name.to_string(), document)),
                    None => delta.removed.push(name.to_string()),
                }
                destination.sent = now;
            }
        }
        delta
    }

    /// Looks up the destinations that the changes concern. To be compared are these, and those whose document follows
    /// from what these were found to be.
    fn look_up_due<'a>(
        &self,
        subscriber: &mut Subscriber,
        changes: Option<impl Iterator<Item = &'a Change>>,
    ) -> BTreeSet<Arc<str>> {
        let Subscriber { destinations, pod, .. } = subscriber;
        let mut due = destinations.take_due(changes);
        for name in &due {
            let own = self.dependency_of(&pod.namespace, name);
            destinations.set_target(name, own, self.look_up(&pod.namespace, name));
        }
        due.extend(destinations.take_due(Some(std::iter::empty())));
        due
    }

    /// The document of what a destination was found to be. `dialled` are the endpoints that the proxy dials itself, by
    /// Service.
    fn document_of(
        &self,
        target: &LookupTarget,
        uid: &str,
        dialled: &HashMap<ObjectName, BTreeSet<IpAddr>>,
    ) -> Option<Arc<ResourceDocument>> {
        match target {
            LookupTarget::Entry(name) => {
                self.policies.get(name)?.served.as_ref()?.reading.entry.document.clone()
            }
            LookupTarget::Service(name, _) => {
                self.service_document(name, uid, dialled.get(name).unwrap_or(&BTreeSet::new()))
            }
            LookupTarget::Outside(host, address) => {
                Some(Arc::new(self.outside_document(host, *address)))
            }
        }
    }
}
