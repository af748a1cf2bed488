//! ReferenceGrant: a namespace's permission that routes of another one send to its Services.

use std::sync::Arc;

use super::RouteKind;

/// A ReferenceGrant, as far as it is about Services and routes; what else it permits is nothing that is asked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceGrant {
    /// The namespace whose Services it is about: its own.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
    /// Who may refer to them; any one of them.
    pub from: Vec<GrantSource>,
    /// Which Services; any one of them.
    pub to: Vec<GrantTarget>,
}

/// Routes of one kind in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSource {
    /// The kind of routes; `None` for a kind that is none.
    pub kind: Option<RouteKind>,
    /// Their namespace.
    pub namespace: Arc<str>,
}

/// Services of the grant's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantTarget {
    /// All of them.
    AnyService,
    /// The one of this name.
    Service(Arc<str>),
    /// Another kind of object.
    Other,
}

impl ReferenceGrant {
    /// True when routes of this kind and namespace may send to the Service.
    pub fn permits(
        &self,
        kind: RouteKind,
        from_namespace: &str,
        namespace: &str,
        service: &str,
    ) -> bool {
        let from =
            |from: &GrantSource| from.kind == Some(kind) && *from.namespace == *from_namespace;
        let to = |to: &GrantTarget| match to {
            GrantTarget::AnyService => true,
            GrantTarget::Service(name) => **name == *service,
            GrantTarget::Other => false,
        };
        *self.namespace == *namespace && self.from.iter().any(from) && self.to.iter().any(to)
    }
}
