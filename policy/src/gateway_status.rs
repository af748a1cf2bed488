//! What is said of gateways and of what is attached to them: the conditions of the Gateway API (v1.6), as values.
//!
//! A status is a value in the shape that the API server takes, so that whoever writes one adds what only the writer knows:
//! `observedGeneration`, `lastTransitionTime`, `controllerName` and the addresses of a gateway.

mod condition;
mod features;

use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::route::{ParentKind, ParentRef, RouteId, RouteKind};

pub use condition::{Condition, ConditionKind, ConditionStatus};
pub use features::{Channel, FEATURES, Feature, Support, supported_features};

/// The group of the Gateway API.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// What is said of a set of resources.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GatewayStatuses {
    /// Of the GatewayClasses that are ours, by name.
    pub classes: Vec<(Arc<str>, GatewayClassStatus)>,
    /// Of the Gateways of such a class, by namespace and name.
    pub gateways: Vec<(StatusName, GatewayStatus)>,
    /// Of the ListenerSets whose Gateway is one of them, by namespace and name.
    pub listener_sets: Vec<(StatusName, ListenerSetStatus)>,
    /// Of the routes with a parent among them, by kind, namespace and name.
    pub routes: Vec<(RouteId, RouteStatus)>,
    /// Of the BackendTLSPolicies of Services that such a route leads to, by namespace and name.
    pub backend_tls_policies: Vec<(StatusName, PolicyStatus)>,
}

/// The namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// `GatewayClass.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassStatus {
    /// `Accepted` and `SupportedVersion`.
    pub conditions: Vec<Condition>,
    /// What the data plane has, in the order of the alphabet.
    pub supported_features: Vec<SupportedFeature>,
}

/// An item of `GatewayClass.status.supportedFeatures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SupportedFeature {
    /// The feature, by the standard's name.
    pub name: &'static str,
}

/// `Gateway.status`, but for the addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// `Accepted`, `Programmed`, `ResolvedRefs`, and `InsecureFrontendValidationMode` while it is true.
    pub conditions: Vec<Condition>,
    /// Of its own listeners, in the order of its spec.
    pub listeners: Vec<ListenerStatus>,
    /// How many ListenerSets are accepted.
    pub attached_listener_sets: usize,
}

/// `ListenerSet.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListenerSetStatus {
    /// `Accepted` and `Programmed`.
    pub conditions: Vec<Condition>,
    /// Of its listeners, in the order of its spec; empty where it may not attach at all.
    pub listeners: Vec<ListenerStatus>,
}

/// The status of one listener, of a Gateway or a ListenerSet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The kinds of routes that can be attached.
    #[serde(serialize_with = "group_kinds")]
    pub supported_kinds: Vec<RouteKind>,
    /// How many routes are attached and accepted.
    pub attached_routes: usize,
    /// `Accepted`, `Programmed`, `ResolvedRefs`, `Conflicted`, and `OverlappingTLSConfig` while it is true.
    pub conditions: Vec<Condition>,
}

/// `status` of a route of any kind, as far as its parents are ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteStatus {
    /// One for each `parentRef`, in their order.
    pub parents: Vec<RouteParentStatus>,
}

/// What is said of a route at one of its parents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// The parent. Written with everything that a reference may leave out; whoever has the object writes it as it stands
    /// there, because by that it is recognised.
    #[serde(serialize_with = "parent_ref")]
    pub parent_ref: ParentRef,
    /// `Accepted` and `ResolvedRefs`.
    pub conditions: Vec<Condition>,
}

/// `BackendTLSPolicy.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyStatus {
    /// One for each Gateway whose routes lead to what the policy is about: at most 16, by namespace and name.
    pub ancestors: Vec<PolicyAncestorStatus>,
}

/// What is said of a policy at one Gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAncestorStatus {
    /// The Gateway.
    #[serde(serialize_with = "gateway_ref")]
    pub ancestor_ref: StatusName,
    /// `Accepted` and `ResolvedRefs`.
    pub conditions: Vec<Condition>,
}

fn group_kinds<S: Serializer>(kinds: &[RouteKind], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct GroupKind {
        group: &'static str,
        kind: &'static str,
    }
    serializer.collect_seq(kinds.iter().map(|kind| GroupKind { group: GROUP, kind: kind.as_str() }))
}

fn gateway_ref<S: Serializer>(gateway: &StatusName, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("group", GROUP)?;
    map.serialize_entry("kind", "Gateway")?;
    map.serialize_entry("namespace", &*gateway.namespace)?;
    map.serialize_entry("name", &*gateway.name)?;
    map.end()
}

fn parent_ref<S: Serializer>(parent: &ParentRef, serializer: S) -> Result<S::Ok, S::Error> {
    let (group, kind) = match parent.kind {
        ParentKind::Service => ("", "Service"),
        ParentKind::Gateway => (GROUP, "Gateway"),
        ParentKind::ListenerSet => (GROUP, "ListenerSet"),
    };
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("group", group)?;
    map.serialize_entry("kind", kind)?;
    map.serialize_entry("namespace", &*parent.namespace)?;
    map.serialize_entry("name", &*parent.name)?;
    if let Some(section) = &parent.section {
        map.serialize_entry("sectionName", &**section)?;
    }
    if let Some(port) = parent.port {
        map.serialize_entry("port", &port)?;
    }
    map.end()
}
