//! What can happen, and what it does to the index.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Index, ObjectName, Pod, PolicyKind, PolicyName, PolicyObject, Service, Slice};

/// Something that was heard of the cluster. `None` means that the object is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A Pod.
    Pod(ObjectName, Option<Pod>),
    /// A Service.
    Service(ObjectName, Option<Service>),
    /// An EndpointSlice.
    Slice(ObjectName, Option<Slice>),
    /// A Namespace, and whether it is part of the mesh.
    Namespace(Arc<str>, Option<bool>),
    /// A policy.
    Policy(PolicyName, Option<Box<PolicyObject>>),
    /// The digest of a namespace's trust bundle.
    Bundle(Arc<str>, Option<u64>),
    /// After a list: of this kind these are all there are.
    Only(ObjectKind, HashSet<ObjectName>),
}

/// The kinds that are listed. Namespaces are listed under an empty namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// Pods.
    Pod,
    /// Services.
    Service,
    /// EndpointSlices.
    Slice,
    /// Namespaces.
    Namespace,
    /// Policies of one kind.
    Policy(PolicyKind),
    /// Trust bundles.
    Bundle,
}

impl ObjectKind {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let core = [Self::Pod, Self::Service, Self::Slice, Self::Namespace, Self::Bundle];
        core.into_iter().chain(PolicyKind::ALL.map(Self::Policy))
    }

    /// The name for logs and `/status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::Slice => "EndpointSlice",
            Self::Namespace => "Namespace",
            Self::Policy(kind) => kind.as_str(),
            Self::Bundle => "ConfigMap",
        }
    }
}

impl Index {
    /// Takes in what happened. True when something that a proxy is told may have changed.
    pub fn apply(&mut self, event: Event) -> bool {
        let before = self.changes.revision();
        match event {
            Event::Pod(name, pod) => self.set_pod(name, pod),
            Event::Service(name, service) => self.set_service(name, service),
            Event::Slice(name, slice) => self.set_slice(name, slice),
            Event::Namespace(name, Some(member)) => {
                self.namespaces.insert(name, member);
            }
            Event::Namespace(name, None) => {
                self.namespaces.remove(&name);
            }
            Event::Policy(name, object) => self.set_policy(name, object.map(|object| *object)),
            Event::Bundle(namespace, Some(digest)) => {
                self.bundles.insert(namespace, digest);
            }
            Event::Bundle(namespace, None) => {
                self.bundles.remove(&namespace);
            }
            Event::Only(kind, names) => self.keep_only(kind, &names),
        }
        self.changes.revision() != before
    }

    /// Objects that vanished while nobody watched.
    fn keep_only(&mut self, kind: ObjectKind, names: &HashSet<ObjectName>) {
        let gone = |name: &&ObjectName| !names.contains(*name);
        match kind {
            ObjectKind::Pod => {
                for name in self.pods.keys().filter(gone).cloned().collect::<Vec<_>>() {
                    self.set_pod(name, None);
                }
            }
            ObjectKind::Service => {
                for name in self.services.keys().filter(gone).cloned().collect::<Vec<_>>() {
                    self.set_service(name, None);
                }
            }
            ObjectKind::Slice => {
                for name in self.slices.keys().filter(gone).cloned().collect::<Vec<_>>() {
                    self.set_slice(name, None);
                }
            }
            ObjectKind::Policy(kind) => {
                let policies = self.policies.keys().filter(|name| name.kind == kind);
                let gone = policies.filter(|name| !names.contains(&name.object)).cloned();
                for name in gone.collect::<Vec<_>>() {
                    self.set_policy(name, None);
                }
            }
            ObjectKind::Namespace => {
                let listed: HashSet<&str> = names.iter().map(|name| &*name.name).collect();
                self.namespaces.retain(|name, _| listed.contains(&**name));
            }
            ObjectKind::Bundle => {
                let listed: HashSet<&str> = names.iter().map(|name| &*name.namespace).collect();
                self.bundles.retain(|namespace, _| listed.contains(&**namespace));
            }
        }
    }
}
