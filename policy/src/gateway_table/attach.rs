//! Which routes attach to which listeners.
//!
//! A reference of a route leads to the listeners of its parent that it names, then to those of them that allow the route's
//! kind and namespace, then to those whose host has one in common with the route's.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{ListenerOwner, PlannedGateway, PlannedListener, PlannedListenerSet};
use crate::Resources;
use crate::gateway::ObjectName;
use crate::route::{ParentKind, ParentRef, Route, RouteHost};

/// What came of a route's reference to a Gateway or ListenerSet that is served.
#[derive(Debug)]
pub struct RouteAttachment<'r> {
    /// The route.
    pub route: &'r Arc<Route>,
    /// The place of the route among those of the resources.
    pub(super) place: usize,
    /// The reference.
    pub parent: &'r ParentRef,
    /// The listeners it is attached to, by their places in [`super::GatewayPlan::listeners`]; never empty.
    pub listeners: Result<Vec<usize>, NotAttached>,
}

/// The reasons of a route's condition `Accepted`, where it is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotAttached {
    /// The parent has no listener of that name or port.
    NoMatchingParent,
    /// None of them takes routes of the kind, or of the namespace.
    NotAllowedByListeners,
    /// None of these is for a host of the route.
    NoMatchingListenerHostname,
}

impl NotAttached {
    /// The reason as the standard writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoMatchingParent => "NoMatchingParent",
            Self::NotAllowedByListeners => "NotAllowedByListeners",
            Self::NoMatchingListenerHostname => "NoMatchingListenerHostname",
        }
    }
}

impl fmt::Display for NotAttached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An object that routes attach to.
type ParentKey<'r> = (ParentKind, &'r str, &'r str);

/// Follows every reference to a parent that is served.
pub(super) fn attach<'r>(
    resources: &'r Resources,
    gateways: &[PlannedGateway<'r>],
    sets: &[PlannedListenerSet<'r>],
    listeners: &[PlannedListener<'r>],
) -> Vec<RouteAttachment<'r>> {
    let parents = parents(gateways, sets, listeners);
    let mut attachments = Vec::new();
    for (place, route) in resources.routes().iter().enumerate() {
        for parent in &route.parents {
            let key = (parent.kind, &*parent.namespace, &*parent.name);
            let Some(candidates) = parents.get(&key) else { continue };
            let listeners = follow(resources, route, parent, candidates, listeners);
            attachments.push(RouteAttachment { route, place, parent, listeners });
        }
    }
    attachments
}

/// The listeners of each parent; a ListenerSet that is not allowed has none.
fn parents<'r>(
    gateways: &[PlannedGateway<'r>],
    sets: &[PlannedListenerSet<'r>],
    listeners: &[PlannedListener<'r>],
) -> HashMap<ParentKey<'r>, Vec<usize>> {
    let key = |kind, id: &'r ObjectName| (kind, &*id.namespace, &*id.name);
    let mut parents: HashMap<ParentKey<'r>, Vec<usize>> = HashMap::new();
    for planned in gateways {
        parents.entry(key(ParentKind::Gateway, &planned.gateway.id)).or_default();
    }
    for planned in sets {
        parents.entry(key(ParentKind::ListenerSet, &planned.set.id)).or_default();
    }
    for (at, planned) in listeners.iter().enumerate() {
        let kind = match planned.owner {
            ListenerOwner::Gateway(_) => ParentKind::Gateway,
            ListenerOwner::ListenerSet(_) => ParentKind::ListenerSet,
        };
        parents.entry(key(kind, planned.owner.id())).or_default().push(at);
    }
    parents
}

fn follow(
    resources: &Resources,
    route: &Route,
    parent: &ParentRef,
    candidates: &[usize],
    listeners: &[PlannedListener<'_>],
) -> Result<Vec<usize>, NotAttached> {
    let planned = |at: &usize| listeners.get(*at);
    let is_named = |at: &&usize| planned(at).is_some_and(|listener| names(parent, listener));
    let named: Vec<&usize> = candidates.iter().filter(is_named).collect();
    if named.is_empty() {
        return Err(NotAttached::NoMatchingParent);
    }
    let is_allowed =
        |at: &&usize| planned(at).is_some_and(|listener| allows(resources, route, listener));
    let allowed: Vec<&usize> = named.into_iter().filter(is_allowed).collect();
    if allowed.is_empty() {
        return Err(NotAttached::NotAllowedByListeners);
    }
    let has_host = |at: &&usize| {
        planned(at).is_some_and(|listener| meet(listener.listener.host.as_ref(), &route.hosts))
    };
    let met: Vec<usize> = allowed.into_iter().filter(has_host).copied().collect();
    match met.is_empty() {
        true => Err(NotAttached::NoMatchingListenerHostname),
        false => Ok(met),
    }
}

/// Whether a reference to its object is about a listener.
fn names(parent: &ParentRef, listener: &PlannedListener<'_>) -> bool {
    parent.section.as_ref().is_none_or(|section| *section == listener.listener.name)
        && parent.port.is_none_or(|port| port == listener.listener.port)
}

/// Whether a listener takes routes of the kind and namespace. `Same` means the namespace of the object it stands in.
fn allows(resources: &Resources, route: &Route, listener: &PlannedListener<'_>) -> bool {
    let (own, from) = (&listener.owner.id().namespace, &route.id.namespace);
    let labels = |name: &str| resources.namespace_labels(name);
    listener.kinds.contains(&route.id.kind)
        && listener.listener.allowed_routes.namespaces.takes(own, from, labels)
}

/// Whether a listener's host and a route's have one in common.
fn meet(listener: Option<&RouteHost>, hosts: &[RouteHost]) -> bool {
    let Some(listener) = listener else { return true };
    hosts.is_empty() || hosts.iter().any(|host| host.intersects(listener))
}

/// The places of each listener's routes, in order, each once.
pub(super) fn by_listener(
    attachments: &[RouteAttachment<'_>],
    listeners: usize,
) -> Vec<Vec<usize>> {
    let mut attached = vec![Vec::new(); listeners];
    for attachment in attachments {
        for at in attachment.listeners.iter().flatten() {
            // Attachments are in the order of their routes: the same one comes twice in a row.
            let of_listener: Option<&mut Vec<usize>> = attached.get_mut(*at);
            let Some(of_listener) = of_listener else { continue };
            if of_listener.last() != Some(&attachment.place) {
                of_listener.push(attachment.place);
            }
        }
    }
    attached
}
