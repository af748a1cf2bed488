//! The destinations of one proxy: what it was told of each, and which of them a change concerns.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::ObjectName;
use super::changes::{Change, Dependency};
use super::lookup::LookupTarget;
use super::services::remove;

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

/// A destination, as it was when it was last looked up.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) sent: SentState,
    /// What it follows from by its name alone.
    own: Option<Dependency>,
    pub(super) target: Option<LookupTarget>,
}

/// The destinations that a proxy has asked for, by name.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    known: BTreeMap<Arc<str>, Destination>,
    /// The names of those that follow from a thing, by the thing.
    dependents: HashMap<Dependency, BTreeSet<Arc<str>>>,
    /// Those to be compared whatever has changed in the cluster: the proxy has asked for them, or dials another
    /// endpoint of the same service, or has ceased to (see [`super::services::MOST_ENDPOINTS`]).
    due: BTreeSet<Arc<str>>,
    /// Whether the Services that they follow from may be others than when it was last asked.
    moved: bool,
}

impl Destinations {
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Destination> {
        self.known.get_mut(name)
    }

    pub(super) fn ask(&mut self, name: &str, sent: SentState) {
        let name: Arc<str> = name.into();
        self.due.insert(name.clone());
        self.moved = true;
        let new = || Destination { sent: SentState::Nothing, own: None, target: None };
        self.known.entry(name).or_insert_with(new).sent = sent;
    }

    pub(super) fn forget(&mut self, name: &str) {
        let Some((name, destination)) = self.known.remove_entry(name) else { return };
        self.due.remove(&name);
        self.moved = true;
        for dependency in destination.dependencies() {
            remove(&mut self.dependents, &dependency, &name);
        }
        self.compare_beside(destination.target.as_ref());
    }

    /// Those that the changes concern, and those that are due; all of them when the changes are not known.
    pub(super) fn take_due<'a>(
        &mut self,
        changes: Option<impl Iterator<Item = &'a Change>>,
    ) -> BTreeSet<Arc<str>> {
        let mut due = std::mem::take(&mut self.due);
        let Some(changes) = changes else { return self.known.keys().cloned().collect() };
        for change in changes {
            match change {
                Change::Destinations(dependency) => {
                    due.extend(self.dependents.get(dependency).into_iter().flatten().cloned());
                }
                Change::AllDestinations => return self.known.keys().cloned().collect(),
                Change::Workload(_)
                | Change::AllWorkloads
                | Change::Traffic(_)
                | Change::Gateways => {}
            }
        }
        due
    }

    /// Notes what a destination was found to be. Where that moves a dialled endpoint, all others of its
    /// service become due.
    pub(super) fn set_target(
        &mut self,
        name: &Arc<str>,
        own: Option<Dependency>,
        target: Option<LookupTarget>,
    ) {
        let Some(destination) = self.known.get_mut(name) else { return };
        if destination.own == own && destination.target == target {
            return;
        }
        for dependency in destination.dependencies() {
            remove(&mut self.dependents, &dependency, name);
        }
        self.moved = true;
        destination.own = own;
        let before = std::mem::replace(&mut destination.target, target.clone());
        for dependency in destination.dependencies() {
            self.dependents.entry(dependency).or_default().insert(name.clone());
        }
        self.compare_beside(before.as_ref());
        self.compare_beside(target.as_ref());
    }

    /// A proxy is told every endpoint that it dials: when it dials one more or less, the document of the service may be
    /// another one.
    fn compare_beside(&mut self, target: Option<&LookupTarget>) {
        let Some(LookupTarget::Service(service, Some(_))) = target else { return };
        let beside = self.dependents.get(&Dependency::Service(service.clone()));
        self.due.extend(beside.into_iter().flatten().cloned());
    }

    /// The endpoints of a service that the proxy dials itself.
    pub(super) fn dialled(&self, service: &ObjectName) -> BTreeSet<IpAddr> {
        let names = self.dependents.get(&Dependency::Service(service.clone()));
        let found = names.into_iter().flatten().filter_map(|name| self.known.get(name));
        let dialled = found.filter_map(|destination| match &destination.target {
            Some(LookupTarget::Service(of, ip)) if of == service => *ip,
            _ => None,
        });
        dialled.collect()
    }

    /// Whether a destination follows from this.
    pub(super) fn follow_from(&self, dependency: &Dependency) -> bool {
        self.dependents.contains_key(dependency)
    }

    /// The Services that destinations follow from, by their names or by what they were found to be.
    pub(super) fn services(&self) -> impl Iterator<Item = &ObjectName> {
        self.dependents.keys().filter_map(|dependency| match dependency {
            Dependency::Service(name) => Some(name),
            Dependency::Address(_) => None,
        })
    }

    /// Has all that follows from them compared once more.
    pub(super) fn set_moved(&mut self) {
        self.moved = true;
    }

    /// Whether the Services that they follow from may be others than when this was last asked.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// The Services, each once, that these destinations were found to be.
    pub(super) fn services_of<'a>(
        &'a self,
        names: &'a BTreeSet<Arc<str>>,
    ) -> impl Iterator<Item = &'a ObjectName> {
        let found = names.iter().filter_map(|name| self.known.get(name));
        let services = found.filter_map(|destination| match &destination.target {
            Some(LookupTarget::Service(service, _)) => Some(service),
            _ => None,
        });
        services.collect::<BTreeSet<_>>().into_iter()
    }
}

impl Destination {
    /// What it follows from: its name, and the Service it was found to be.
    fn dependencies(&self) -> Vec<Dependency> {
        let service = match &self.target {
            Some(LookupTarget::Service(name, _)) => Some(Dependency::Service(name.clone())),
            _ => None,
        };
        self.own.iter().cloned().chain(service).collect()
    }
}
