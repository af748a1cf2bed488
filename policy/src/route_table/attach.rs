//! Which routes act on which Service, for the clients of one namespace.

use std::collections::HashMap;
use std::sync::Arc;

use super::index::{RouteSet, RouteSetBuilder};
use super::resolve::Grants;
use crate::route::{ParentKind, ParentRef, ReferenceGrant, Route, RouteKind};
use crate::service::CLUSTER_SUFFIX;

/// The sets of one Service, in order of precedence: those of consumers before those of producers, and among them the
/// kinds in their order.
#[derive(Debug, Default)]
pub(super) struct ServiceSets(Vec<Arc<RouteSet>>);

impl ServiceSets {
    /// The set that acts on a port.
    pub(super) fn acting_on(&self, number: u16, name: &str) -> Option<&Arc<RouteSet>> {
        self.0.iter().find(|set| set.accepts(number, name))
    }
}

/// Which of two sets acts where both could: declared in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RouteRole {
    /// Of the clients' own namespace.
    Consumer,
    /// Of the Service's namespace.
    Producer,
}

/// What a route with such a parent is to clients of a namespace; `None` when it does not act on them.
pub(super) fn role(route: &Route, parent: &ParentRef, client_namespace: &str) -> Option<RouteRole> {
    if parent.kind != ParentKind::Service {
        return None;
    }
    if parent.namespace == route.id.namespace {
        return Some(RouteRole::Producer);
    }
    (*route.id.namespace == *client_namespace).then_some(RouteRole::Consumer)
}

/// The host of the Service that a parent names.
pub(super) fn host_of(parent: &ParentRef) -> Arc<str> {
    format!("{}.{}{CLUSTER_SUFFIX}", parent.name, parent.namespace).into()
}

/// The sets of all Services, by host.
pub(super) fn by_service(
    routes: &[Arc<Route>],
    grants: &[ReferenceGrant],
    client_namespace: &str,
) -> HashMap<Arc<str>, ServiceSets> {
    let grants = Grants::new(grants);
    let mut building: HashMap<Arc<str>, HashMap<(RouteRole, RouteKind), RouteSetBuilder>> =
        HashMap::new();
    for route in routes {
        for (parent, ports) in parents(route) {
            let Some(role) = role(route, parent, client_namespace) else { continue };
            let sets = building.entry(host_of(parent)).or_default();
            let set = sets
                .entry((role, route.id.kind))
                .or_insert_with(|| RouteSetBuilder::new(route.id.kind));
            set.add(route, &ports, |rule| grants.resolve(rule, Some(parent)));
        }
    }
    let finished = building.into_iter().map(|(host, sets)| {
        let mut sets: Vec<_> = sets.into_iter().collect();
        sets.sort_by_key(|(precedence, _)| *precedence);
        let sets = sets.into_iter().map(|(_, set)| Arc::new(set.finish()));
        (host, ServiceSets(sets.collect()))
    });
    finished.collect()
}

/// The ports of a Service that a route acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PortScope {
    /// Every one.
    All,
    /// Any that one of these is about.
    Some(Arc<[PortSelector]>),
}

/// Ports with this number and this name, where they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortSelector {
    number: Option<u16>,
    name: Option<Arc<str>>,
}

impl PortSelector {
    fn accepts(&self, number: u16, name: &str) -> bool {
        self.number.is_none_or(|known| known == number)
            && self.name.as_deref().is_none_or(|known| known == name)
    }

    fn is_any(&self) -> bool {
        self.number.is_none() && self.name.is_none()
    }
}

impl PortScope {
    pub(super) fn accepts(&self, number: u16, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(ports) => ports.iter().any(|port| port.accepts(number, name)),
        }
    }
}

/// Each parent once, with all ports that the route names of it.
fn parents(route: &Route) -> Vec<(&ParentRef, PortScope)> {
    let mut found: Vec<&ParentRef> = Vec::new();
    for parent in &route.parents {
        if !found.iter().any(|known| known.is_same_object(parent)) {
            found.push(parent);
        }
    }
    found.into_iter().map(|parent| (parent, scope(route, parent))).collect()
}

fn scope(route: &Route, parent: &ParentRef) -> PortScope {
    let same = route.parents.iter().filter(|other| other.is_same_object(parent));
    let ports: Vec<_> = same
        .map(|parent| PortSelector { number: parent.port, name: parent.section.clone() })
        .collect();
    match ports.iter().any(PortSelector::is_any) {
        true => PortScope::All,
        false => PortScope::Some(ports.into()),
    }
}
