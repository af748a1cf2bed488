//! What a route is attached to.

use std::sync::Arc;

/// A `parentRef`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentRef {
    /// What it names.
    pub kind: ParentKind,
    /// The namespace it names, else that of the route.
    pub namespace: Arc<str>,
    /// The name of the Service or Gateway.
    pub name: Arc<str>,
    /// The port it is about; `None`: every port.
    pub port: Option<u16>,
    /// The name of the port (of a Service) or listener (of a Gateway) it is about; `None`: every one.
    pub section: Option<Arc<str>>,
}

/// The kind of object that a `parentRef` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParentKind {
    /// A Service of the core group: the route acts in the sidecars of its clients.
    Service,
    /// A Gateway of `gateway.networking.k8s.io`: no sidecar is asked.
    Gateway,
    /// A ListenerSet of `gateway.networking.k8s.io`: no sidecar is asked.
    ListenerSet,
}

impl ParentRef {
    /// True when both name the same object, on whatever port.
    pub fn is_same_object(&self, other: &Self) -> bool {
        (self.kind, &self.namespace, &self.name) == (other.kind, &other.namespace, &other.name)
    }
}
