//! Names of objects, and references to them.

use std::fmt;
use std::sync::Arc;

/// An object of a kind that is told beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectName {
    /// The object of this namespace and name.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    /// `shop/edge`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A reference to an object of whatever kind. That it leads somewhere, and may, is not said by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectReference {
    /// The group; empty for the core group.
    pub group: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
    /// The object; in the namespace of the one that refers to it, unless another is named.
    pub object: ObjectName,
}

impl ObjectReference {
    /// Whether it names a kind of the core group, such as `Secret`.
    pub fn is_core(&self, kind: &str) -> bool {
        self.group.is_empty() && *self.kind == *kind
    }
}

impl fmt::Display for ObjectReference {
    /// `Secret shop/edge-cert`, `Bucket.storage.example shop/b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => write!(f, "{} {}", self.kind, self.object),
            group => write!(f, "{}.{group} {}", self.kind, self.object),
        }
    }
}
