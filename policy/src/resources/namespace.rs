//! Namespace (`v1`): its labels, which selectors of listeners ask for.

use super::object::ResourceObject;
use crate::core_group::Namespace;

/// Reads a Namespace. What its `spec` says is the cluster's own affair.
pub(super) fn read(object: ResourceObject<'_>) -> Namespace {
    Namespace { name: object.name, labels: object.labels }
}
