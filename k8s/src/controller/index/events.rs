//! What can happen, and what it does to the index.

use std::collections::HashSet;
use std::sync::Arc;

use super::{
    Deployment, Index, KindRole, Namespace, ObjectName, Pod, PolicyKind, PolicyName, PolicyObject,
    ResourceDocument, Service, Slice,
};

/// Something that was heard of the cluster. `None` means that the object is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A Pod.
    Pod(ObjectName, Option<Pod>),
    /// A Service.
    Service(ObjectName, Option<Service>),
    /// An EndpointSlice.
    Slice(ObjectName, Option<Slice>),
    /// A Namespace.
    Namespace(Arc<str>, Option<Namespace>),
    /// A Secret of type `kubernetes.io/tls`, as a proxy is told it.
    Secret(ObjectName, Option<Arc<ResourceDocument>>),
    /// A Secret of type `Opaque` with what policies about sign-in and tokens refer to, as a proxy is told it.
    Credentials(ObjectName, Option<Arc<ResourceDocument>>),
    /// A ConfigMap with certificates of authorities, as a proxy is told it.
    Authorities(ObjectName, Option<Arc<ResourceDocument>>),
    /// A Deployment that runs a gateway.
    Deployment(ObjectName, Option<Deployment>),
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
    /// Certificates of gateways, with their keys.
    Secret,
    /// What policies about sign-in and tokens refer to.
    Credentials,
    /// Certificates of authorities, for gateways.
    Authorities,
    /// What runs gateways.
    Deployment,
}

impl ObjectKind {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let core = [Self::Pod, Self::Service, Self::Slice, Self::Namespace, Self::Bundle];
        let of_gateways = [Self::Secret, Self::Credentials, Self::Authorities, Self::Deployment];
        core.into_iter().chain(PolicyKind::ALL.map(Self::Policy)).chain(of_gateways)
    }

    /// Whether it is there for gateways alone: watched where there are to be any, and nothing that a sidecar waits for.
    #[must_use]
    pub fn is_of_gateways(self) -> bool {
        match self {
            Self::Secret | Self::Credentials | Self::Authorities | Self::Deployment => true,
            Self::Policy(kind) => kind.role() == KindRole::Gateway,
            Self::Pod | Self::Service | Self::Slice | Self::Namespace | Self::Bundle => false,
        }
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
            Self::Secret => "Secret",
            Self::Credentials => "Secret of clients and sessions",
            Self::Authorities => "ConfigMap of authorities",
            Self::Deployment => "Deployment",
        }
    }
}

impl Event {
    /// Whether what is said of gateways, or runs them, may follow from it. What happens often does not: pods and endpoints.
    fn concerns_gateways(&self) -> bool {
        let kind = match self {
            Self::Pod(..) => ObjectKind::Pod,
            Self::Slice(..) => ObjectKind::Slice,
            Self::Bundle(..) => ObjectKind::Bundle,
            Self::Policy(name, _) => ObjectKind::Policy(name.kind),
            Self::Only(kind, _) => *kind,
            Self::Service(..) => ObjectKind::Service,
            Self::Namespace(..) => ObjectKind::Namespace,
            Self::Secret(..) => ObjectKind::Secret,
            Self::Credentials(..) => ObjectKind::Credentials,
            Self::Authorities(..) => ObjectKind::Authorities,
            Self::Deployment(..) => ObjectKind::Deployment,
        };
        match kind {
            ObjectKind::Pod | ObjectKind::Slice | ObjectKind::Bundle | ObjectKind::Credentials => {
                false
            }
            ObjectKind::Policy(kind) => {
                // A policy with a mistake may close what it is about.
                let roles =
                    [KindRole::Authorization, KindRole::Gateway, KindRole::Grant, KindRole::Route];
                roles.contains(&kind.role())
            }
            _ => true,
        }
    }
}

impl Index {
    /// Takes in what happened. True when something that a proxy is told may have changed.
    pub fn apply(&mut self, event: Event) -> bool {
        let before = self.changes.revision();
        if event.concerns_gateways() {
            self.gateway_revision += 1;
        }
        match event {
            Event::Pod(name, pod) => self.set_pod(name, pod),
            Event::Service(name, service) => self.set_service(name, service),
            Event::Slice(name, slice) => self.set_slice(name, slice),
            Event::Namespace(name, namespace) => self.set_namespace(name, namespace),
            Event::Secret(name, document) => self.set_secret(name, document),
            Event::Credentials(name, document) => self.set_credentials(name, document),
            Event::Authorities(name, document) => self.set_authorities(name, document),
            Event::Deployment(name, deployment) => self.set_deployment(name, deployment),
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
                let gone = self.namespaces.keys().filter(|name| !listed.contains(&***name));
                for name in gone.cloned().collect::<Vec<_>>() {
                    self.set_namespace(name, None);
                }
            }
            ObjectKind::Bundle => {
                let listed: HashSet<&str> = names.iter().map(|name| &*name.namespace).collect();
                self.bundles.retain(|namespace, _| listed.contains(&**namespace));
            }
            ObjectKind::Secret => {
                for name in self.gateways.secrets.keys().filter(gone).cloned().collect::<Vec<_>>() {
                    self.set_secret(name, None);
                }
            }
            ObjectKind::Credentials => {
                let names = self.gateways.credentials.keys().filter(gone).cloned();
                for name in names.collect::<Vec<_>>() {
                    self.set_credentials(name, None);
                }
            }
            ObjectKind::Authorities => {
                let names = self.gateways.authorities.keys().filter(gone).cloned();
                for name in names.collect::<Vec<_>>() {
                    self.set_authorities(name, None);
                }
            }
            ObjectKind::Deployment => {
                let names = self.gateways.deployments.keys().filter(gone).cloned();
                for name in names.collect::<Vec<_>>() {
                    self.set_deployment(name, None);
                }
            }
        }
    }
}
