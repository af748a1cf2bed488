//! What is said of gateways and of what is attached to them: the conditions of the Gateway API (v1.6), as values.
//!
//! A status is a value in the shape that the API server takes, so that whoever writes one adds what only the writer knows:
//! `observedGeneration`, `lastTransitionTime`, `controllerName` and the addresses of a gateway.

mod backend_tls;
mod condition;
mod facts;
mod features;
mod gateway;
mod listener;
mod overlap;
mod route;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use self::gateway::JudgedGateway;
use self::listener::JudgedListener;
use crate::gateway::{CONTROLLER_NAME, ObjectName};
use crate::route::{ParentKind, ParentRef, RouteId, RouteKind};
use crate::{GatewayPlan, GatewaySelection, ListenerOwner, Resources};

pub use condition::{Condition, ConditionKind, ConditionStatus};
pub use facts::{GatewayProgress, StatusFacts};
pub use features::{Channel, FEATURES, Feature, Support, supported_features};

/// The group of the Gateway API.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// What is said of a set of resources.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GatewayStatuses {
    /// Of the GatewayClasses that are ours, by name.
    pub classes: Vec<(Arc<str>, GatewayClassStatus)>,
    /// Of the Gateways of such a class, by namespace and name.
    pub gateways: Vec<(ObjectName, GatewayStatus)>,
    /// Of the ListenerSets whose Gateway is one of them, by namespace and name.
    pub listener_sets: Vec<(ObjectName, ListenerSetStatus)>,
    /// Of the routes with a parent among them, by kind, namespace and name.
    pub routes: Vec<(RouteId, RouteStatus)>,
    /// Of the BackendTLSPolicies of Services that such a route leads to, by namespace and name.
    pub backend_tls_policies: Vec<(ObjectName, PolicyStatus)>,
}

impl GatewayStatuses {
    /// What is said of the Gateways that are served, and of all that is attached to them.
    #[must_use]
    pub fn of(
        resources: &Resources,
        selection: &GatewaySelection,
        facts: &dyn StatusFacts,
    ) -> Self {
        Self::of_plan(&GatewayPlan::build(resources, selection), resources, facts)
    }

    /// The same of a plan that was made of `resources`.
    #[must_use]
    pub fn of_plan(plan: &GatewayPlan<'_>, resources: &Resources, facts: &dyn StatusFacts) -> Self {
        let bad_certificates = listener::bad_certificates(plan, resources, facts);
        let listeners = listener::judge(plan, &bad_certificates, facts);
        let by_owner = ByOwner::new(&listeners);
        let judged: Vec<JudgedGateway<'_, '_>> = plan
            .gateways()
            .iter()
            .map(|planned| {
                let own = by_owner.of_gateway(&planned.gateway.id);
                JudgedGateway::of(planned, own, &bad_certificates, facts)
            })
            .collect();
        let listener_sets = listener_sets(plan, &judged, &by_owner);
        Self {
            classes: classes(resources),
            gateways: gateways(plan, &judged, &listener_sets),
            listener_sets,
            routes: route::statuses(plan, resources, facts),
            backend_tls_policies: backend_tls::statuses(plan, resources, facts),
        }
    }
}

fn classes(resources: &Resources) -> Vec<(Arc<str>, GatewayClassStatus)> {
    let all = resources.gateway_classes().iter();
    let ours = all.filter(|class| *class.controller == *CONTROLLER_NAME);
    let mut told: Vec<_> =
        ours.map(|class| (Arc::clone(&class.name), gateway::class_status(class))).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

fn gateways(
    plan: &GatewayPlan<'_>,
    judged: &[JudgedGateway<'_, '_>],
    sets: &[(ObjectName, ListenerSetStatus)],
) -> Vec<(ObjectName, GatewayStatus)> {
    let accepted: HashSet<&ObjectName> =
        sets.iter().filter(|(_, status)| is_accepted(status)).map(|(name, _)| name).collect();
    let mut attached: HashMap<&ObjectName, usize> = HashMap::new();
    for planned in plan.listener_sets() {
        if accepted.contains(&planned.set.id) {
            *attached.entry(&planned.gateway.id).or_default() += 1;
        }
    }
    let mut told: Vec<_> = judged
        .iter()
        .map(|judged| {
            let name = &judged.planned.gateway.id;
            (name.clone(), judged.status(attached.get(name).copied().unwrap_or_default()))
        })
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

fn is_accepted(status: &ListenerSetStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|c| c.kind == ConditionKind::Accepted && c.status == ConditionStatus::True)
}

fn listener_sets(
    plan: &GatewayPlan<'_>,
    judged: &[JudgedGateway<'_, '_>],
    by_owner: &ByOwner<'_, '_>,
) -> Vec<(ObjectName, ListenerSetStatus)> {
    let states: HashMap<&ObjectName, _> =
        judged.iter().map(|judged| (&judged.planned.gateway.id, &judged.state)).collect();
    let mut told: Vec<_> = plan
        .listener_sets()
        .iter()
        .filter_map(|planned| {
            let state = states.get(&planned.gateway.id)?;
            let listeners = by_owner.of_set(&planned.set.id);
            Some((planned.set.id.clone(), gateway::set_status(planned, listeners, state)))
        })
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

/// Listeners by the object they stand in.
struct ByOwner<'p, 'r> {
    gateways: HashMap<&'r ObjectName, &'p [JudgedListener<'p, 'r>]>,
    sets: HashMap<&'r ObjectName, &'p [JudgedListener<'p, 'r>]>,
}

impl<'p, 'r> ByOwner<'p, 'r> {
    /// Those of one object stand together.
    fn new(listeners: &'p [JudgedListener<'p, 'r>]) -> Self {
        let (mut gateways, mut sets) = (HashMap::new(), HashMap::new());
        for own in listeners.chunk_by(|a, b| a.planned.owner.is_same(&b.planned.owner)) {
            match own.first().map(|listener| listener.planned.owner) {
                Some(ListenerOwner::Gateway(gateway)) => drop(gateways.insert(&gateway.id, own)),
                Some(ListenerOwner::ListenerSet(set)) => drop(sets.insert(&set.id, own)),
                None => {}
            }
        }
        Self { gateways, sets }
    }

    fn of_gateway(&self, name: &ObjectName) -> &'p [JudgedListener<'p, 'r>] {
        self.gateways.get(name).copied().unwrap_or_default()
    }

    fn of_set(&self, name: &ObjectName) -> &'p [JudgedListener<'p, 'r>] {
        self.sets.get(name).copied().unwrap_or_default()
    }
}

/// `GatewayClass.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassStatus {
    /// `Accepted`.
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
    pub ancestor_ref: ObjectName,
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

fn gateway_ref<S: Serializer>(gateway: &ObjectName, serializer: S) -> Result<S::Ok, S::Error> {
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

#[cfg(test)]
mod tests;
