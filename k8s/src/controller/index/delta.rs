//! What one proxy was told, and what it must be told now: the difference.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

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
    /// By destination: what it was told.
    services: BTreeMap<String, SentState>,
    /// Names that mean nothing, to be told so.
    nonsense: Vec<String>,
    /// The revisions of the index at the last delta; `None` after a new question.
    seen: Option<[u64; 3]>,
    first: bool,
}

/// A proxy asks for more than one needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MOST_DESTINATIONS} destinations; unsubscribe from those that are not used")]
pub struct TooManyDestinations;

/// What a proxy was told of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SentState {
    /// Nothing yet.
    Nothing,
    /// That it means nothing.
    Unknown,
    /// The document of this version.
    Version(String),
}

/// What is to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// About the workload itself. `Some` though empty once, so that the proxy knows it has everything.
    pub policies: Option<TypeDelta>,
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
    fn if_any(self) -> Option<Self> {
        (!self.changed.is_empty() || !self.removed.is_empty()).then_some(self)
    }
}

impl Subscriber {
    /// The proxy of a pod, which was told nothing.
    #[must_use]
    pub fn new(pod: ObjectName, uid: Arc<str>) -> Self {
        let (services, nonsense) = (BTreeMap::new(), Vec::new());
        Self { pod, uid, policies: None, services, nonsense, seen: None, first: true }
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
        self.seen = None;
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
        let new = names.iter().filter(|name| !self.services.contains_key(*name)).count();
        if self.services.len() + new > MOST_DESTINATIONS {
            return Err(TooManyDestinations);
        }
        let (names, nonsense): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| name.len() <= LONGEST_KEY);
        self.nonsense = nonsense;
        for name in names {
            let answer = has.remove(&name).map_or(SentState::Nothing, SentState::Version);
            self.services.insert(name, answer);
        }
        self.seen = None;
        Ok(())
    }

    /// It does not need these destinations any more.
    pub fn forget_services(&mut self, names: &[String]) {
        for name in names {
            self.services.remove(name);
        }
    }

    /// How many destinations it asks for.
    #[must_use]
    pub fn destinations(&self) -> usize {
        self.services.len()
    }
}

impl Index {
    /// What the proxy must be told now, and notes that it was told. `None` when its pod is gone: it has no right to anything.
    pub fn delta(&self, subscriber: &mut Subscriber) -> Option<Delta> {
        let now = self.revisions();
        let pod = self.pods.get(&subscriber.pod).filter(|pod| pod.uid == subscriber.uid)?;
        if subscriber.seen == Some(now) {
            return Some(Delta::default());
        }
        let [services, appeared, policies] = now;
        let same = |part: usize, revision: u64| {
            subscriber.seen.is_some_and(|seen| seen.get(part) == Some(&revision))
        };
        let (same_services, same_policies) =
            (same(0, services) && same(1, appeared), same(2, policies));
        let mut delta = Delta::default();
        if !same_policies {
            delta.policies = self.policies_delta(subscriber)?;
        }
        if !same_services {
            delta.services = self.services_delta(subscriber, &pod.uid).if_any();
        }
        subscriber.seen = Some(now);
        Some(delta)
    }

    fn policies_delta(&self, subscriber: &mut Subscriber) -> Option<Option<TypeDelta>> {
        let now = self.policies_for(&subscriber.pod)?;
        let Some(told) = subscriber.policies.as_mut() else { return Some(None) };
        let mut delta = TypeDelta::default();
        told.retain(|name, _| {
            let stays = now.contains_key(name);
            if !stays {
                delta.removed.push(name.clone());
            }
            stays
        });
        for (name, document) in now {
            if told.get(&name) != Some(&document.version) {
                told.insert(name.clone(), document.version.clone());
                delta.changed.push((name, document));
            }
        }
        delta.removed.sort();
        let first = std::mem::take(&mut subscriber.first);
        Some(if first { Some(delta) } else { delta.if_any() })
    }

    fn services_delta(&self, subscriber: &mut Subscriber, uid: &str) -> TypeDelta {
        let namespace = &subscriber.pod.namespace;
        let found: Vec<Option<LookupTarget>> =
            subscriber.services.keys().map(|key| self.look_up(namespace, key)).collect();
        let mut dialled: HashMap<&ObjectName, BTreeSet<IpAddr>> = HashMap::new();
        for target in found.iter().flatten() {
            if let LookupTarget::Service(name, Some(ip)) = target {
                dialled.entry(name).or_default().insert(*ip);
            }
        }
        let none = BTreeSet::new();
        let removed = std::mem::take(&mut subscriber.nonsense);
        let mut delta = TypeDelta { removed, ..TypeDelta::default() };
        for ((key, answer), target) in subscriber.services.iter_mut().zip(&found) {
            let document = target.as_ref().and_then(|target| match target {
                LookupTarget::Entry(name) => {
                    self.policies.get(name)?.served.as_ref()?.facts.document.clone()
                }
                LookupTarget::Service(name, _) => {
                    self.service_document(name, uid, dialled.get(name).unwrap_or(&none))
                }
                LookupTarget::Outside(host, address) => {
                    Some(Arc::new(self.outside_document(host, *address)))
                }
            });
            let now = document.as_ref().map_or(SentState::Unknown, |document| {
                SentState::Version(document.version.clone())
            });
            if *answer != now {
                match document {
                    Some(document) => delta.changed.push((key.clone(), document)),
                    None => delta.removed.push(key.clone()),
                }
                *answer = now;
            }
        }
        delta
    }
}
