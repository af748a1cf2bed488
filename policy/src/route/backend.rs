//! Where a rule sends requests, and the share of each backend.

use std::fmt;
use std::sync::Arc;

use super::FieldChanges;

/// A `backendRef`.
#[derive(Debug, Clone, PartialEq)]
pub struct Backend {
    /// What it names.
    pub kind: BackendKind,
    /// The namespace it names, else that of the route.
    pub namespace: Arc<str>,
    /// The name of the Service or other object.
    pub name: Arc<str>,
    /// The Service's host, canonical: `cart.shop.svc.cluster.local`.
    pub host: Arc<str>,
    /// The Service's port; 0 for another kind than Service.
    pub port: u16,
    /// Its share, from 0 to 1,000,000, relative to the other weights of the rule. Default 1.
    pub weight: u32,
    /// Changes of request fields, after those of the rule.
    pub request_fields: FieldChanges,
    /// Changes of answer fields, before those of the rule.
    pub response_fields: FieldChanges,
    /// Why nothing may be sent there; `None` for a backend that is valid as far as the resources tell. Whether the
    /// Service exists is known when it is looked up.
    pub invalid: Option<InvalidBackend>,
}

/// The kind of object that a `backendRef` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendKind {
    /// A Service of the core group.
    Service,
    /// Anything else, as `kind.group`: nothing can be sent there.
    Other(Arc<str>),
}

/// Why a backend is invalid: the reasons of the condition `ResolvedRefs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InvalidBackend {
    /// It names another kind than Service.
    InvalidKind,
    /// It lies in another namespace, and no ReferenceGrant there permits it.
    RefNotPermitted,
    /// There is no such Service, or it has no such port.
    BackendNotFound,
}

impl InvalidBackend {
    /// The reason as the standard writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidKind => "InvalidKind",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::BackendNotFound => "BackendNotFound",
        }
    }
}

impl fmt::Display for InvalidBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was drawn for a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BackendChoice<'r> {
    /// It goes there. A Service that turns out to be unknown is an invalid backend all the same.
    Backend(&'r Backend),
    /// The share of a backend that nothing may be sent to: 500, `backend_invalid`.
    Invalid(&'r Backend, InvalidBackend),
    /// The rule has no backend, or none with a weight: 500, `backend_invalid`.
    None,
}

/// Draws a backend by weight.
pub(super) fn draw(backends: &[Backend], random: u64) -> BackendChoice<'_> {
    let total: u64 = backends.iter().map(|backend| u64::from(backend.weight)).sum();
    // The upper half of the product is uniform below `total`.
    let product = u128::from(random) * u128::from(total);
    let mut left = u64::try_from(product >> 64).unwrap_or(0);
    for backend in backends {
        let weight = u64::from(backend.weight);
        if left < weight {
            return match backend.invalid {
                Some(why) => BackendChoice::Invalid(backend, why),
                None => BackendChoice::Backend(backend),
            };
        }
        left -= weight;
    }
    BackendChoice::None
}
