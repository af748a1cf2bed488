//! ReferenceGrant: a namespace's permission that objects of another one refer to its own.

use std::sync::Arc;

use super::RouteKind;

/// A ReferenceGrant, as far as it is about what is referred to here; what else it permits is nothing that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceGrant {
    /// The namespace whose objects it is about: its own.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
    /// Who may refer to them; any one of them.
    pub from: Vec<GrantSource>,
    /// Which objects; any one of them.
    pub to: Vec<GrantTarget>,
}

/// Objects of one kind in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSource {
    /// Their kind; `None` for one that refers to nothing here.
    pub kind: Option<Referrer>,
    /// Their namespace.
    pub namespace: Arc<str>,
}

/// The kinds of objects that refer to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Referrer {
    /// Routes of one kind: to Services.
    Route(RouteKind),
    /// Gateways: to Secrets and ConfigMaps.
    Gateway,
    /// ListenerSets: to Secrets. What a grant says of Gateways does not hold for them, nor the other way round.
    ListenerSet,
}

/// Objects of the grant's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantTarget {
    /// Their kind; `None` for one that nothing here refers to.
    pub kind: Option<GrantedKind>,
    /// The one of this name; `None`: all of them.
    pub name: Option<Arc<str>>,
}

/// The kinds of objects, all of the core group, that are referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantedKind {
    /// `Service`.
    Service,
    /// `Secret`.
    Secret,
    /// `ConfigMap`.
    ConfigMap,
}

impl GrantedKind {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 3] =
        [("Service", Self::Service), ("Secret", Self::Secret), ("ConfigMap", Self::ConfigMap)];
}

impl ReferenceGrant {
    /// True when objects of this kind and namespace may refer to the object.
    pub fn permits(
        &self,
        referrer: Referrer,
        from_namespace: &str,
        kind: GrantedKind,
        namespace: &str,
        name: &str,
    ) -> bool {
        let from =
            |from: &GrantSource| from.kind == Some(referrer) && *from.namespace == *from_namespace;
        let to = |to: &GrantTarget| {
            to.kind == Some(kind) && to.name.as_ref().is_none_or(|known| **known == *name)
        };
        *self.namespace == *namespace && self.from.iter().any(from) && self.to.iter().any(to)
    }
}
