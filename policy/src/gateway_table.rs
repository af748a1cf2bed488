//! Which listener takes a connection or a request at the edge, and which rule: all Gateways of one proxy, compiled once a
//! change.
//!
//! [`GatewayPlan`] says what holds of each listener and each route (and why not, for their statuses); [`GatewayTable`] is
//! made of it for traffic. Listeners of several Gateways on one address and port share it. A request belongs to the most
//! specific listener of its port alone (listener isolation): what that one's routes do not take is taken by no other's.

mod attach;
mod conflicts;
mod listener;
mod plan;
mod port;
mod references;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::Resources;
use crate::gateway::{GATEWAY_CLASS, ObjectName};
use crate::route::{ReferenceGrant, RouteKind, RouteRule};
use crate::route_table::index::RouteSet;
use crate::route_table::resolve::Grants;

pub use attach::{NotAttached, RouteAttachment};
pub use conflicts::ListenerConflict;
pub use listener::{ClientCertificates, GatewayListener, ListenerTls};
pub use plan::{
    GatewayPlan, ListenerOwner, NotAccepted, NotAcceptedReason, PlannedGateway, PlannedListener,
    PlannedListenerSet,
};
pub use port::{GatewayPort, PortProtocol};
pub use references::{UnresolvedReason, UnresolvedReference};

/// The ports that a proxy has itself, as it is configured by default: for its admin interface, outbound and inbound
/// connections, metrics and readiness. No listener gets one.
pub const PROXY_PORTS: [u16; 5] = [15000, 15001, 15006, 15020, 15021];

/// Which Gateways a proxy serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySelection {
    /// The class they name. A GatewayClass of that name that another controller has is not ours; another class that is
    /// ours by its `controllerName` is served as well. Default: [`GATEWAY_CLASS`].
    pub class: Arc<str>,
    /// The one Gateway that is served; `None`: every one of the class.
    pub gateway: Option<ObjectName>,
    /// Secrets whose certificates the proxy has from elsewhere: a reference to them leads somewhere.
    pub certificates: BTreeSet<ObjectName>,
}

impl Default for GatewaySelection {
    fn default() -> Self {
        Self { class: GATEWAY_CLASS.into(), gateway: None, certificates: BTreeSet::new() }
    }
}

/// A port at an address, or at every one.
type PortKey = (u16, Option<IpAddr>);

/// The listeners of a proxy at the edge. Cloning takes constant time; the default has none.
#[derive(Debug, Clone, Default)]
pub struct GatewayTable {
    ports: Arc<BTreeMap<PortKey, Arc<GatewayPort>>>,
    /// What the rules of routes were resolved by.
    grants: Arc<[ReferenceGrant]>,
}

impl GatewayTable {
    /// The table of what `resources` say of the Gateways that are served.
    pub fn build(resources: &Resources, selection: &GatewaySelection) -> Self {
        Self::default().renewed(resources, selection)
    }

    /// The same, after this one: what is still the very same value in the resources (routes of files that have not changed)
    /// stays what was made of it.
    #[must_use]
    pub fn renewed(&self, resources: &Resources, selection: &GatewaySelection) -> Self {
        self.renewed_of_plan(&GatewayPlan::build(resources, selection), resources)
    }

    /// The table of a plan that was made of `resources`.
    pub fn of_plan(plan: &GatewayPlan<'_>, resources: &Resources) -> Self {
        Self::default().renewed_of_plan(plan, resources)
    }

    fn renewed_of_plan(&self, plan: &GatewayPlan<'_>, resources: &Resources) -> Self {
        let mut routes = RouteSets::new(resources, self);
        let mut ports: BTreeMap<PortKey, Vec<Arc<GatewayListener>>> = BTreeMap::new();
        for (at, planned) in plan.listeners().iter().enumerate() {
            let addresses = planned.addresses();
            if addresses.is_empty() {
                continue;
            }
            let made = routes.of_listener(plan, at, &planned.label());
            let listener = GatewayListener::of(planned, made);
            let listener = Arc::new(listener);
            for address in addresses {
                let key = (planned.listener.port, *address);
                ports.entry(key).or_default().push(Arc::clone(&listener));
            }
        }
        let made = |((number, address), listeners)| {
            GatewayPort::of(number, address, listeners).map(|port| ((number, address), port.into()))
        };
        let grants = match *self.grants == *resources.reference_grants() {
            true => Arc::clone(&self.grants),
            false => resources.reference_grants().into(),
        };
        Self { ports: Arc::new(ports.into_iter().filter_map(made).collect()), grants }
    }

    /// The ports to listen on, by number, and the ones of every address before those of single ones.
    pub fn ports(&self) -> impl Iterator<Item = &Arc<GatewayPort>> {
        self.ports.values()
    }

    /// A port, by the address that is listened on (`None`: every one).
    pub fn port(&self, address: Option<IpAddr>, number: u16) -> Option<&Arc<GatewayPort>> {
        self.ports.get(&(number, address))
    }

    /// True when there is nothing to listen on.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }
}

/// The rules of a listener, a set for each kind of route.
pub(crate) type ListenerRoutes = [Option<Arc<RouteSet>>; RouteKind::ALL.len()];

/// Which routes a set is made of: their kind, and their places among all.
type RouteSetKey = (RouteKind, Vec<usize>);

/// Sets of rules while listeners are made: those with the same routes share one.
struct RouteSets<'r> {
    resources: &'r Resources,
    grants: Grants<'r>,
    made: HashMap<RouteSetKey, Arc<RouteSet>>,
    /// The rules of a route as grants leave them, by the place of the route.
    resolved: HashMap<usize, Vec<Arc<RouteRule>>>,
    /// The listeners of before, by label, where the grants are the same.
    before: HashMap<Arc<str>, Arc<GatewayListener>>,
}

impl<'r> RouteSets<'r> {
    fn new(resources: &'r Resources, before: &GatewayTable) -> Self {
        let grants = Grants::new(resources.reference_grants());
        let is_known = *before.grants == *resources.reference_grants();
        let listeners = before.ports().filter(|_| is_known).flat_map(|port| port.listeners());
        let before = listeners.map(|one| (Arc::clone(&one.label), Arc::clone(one))).collect();
        Self { resources, grants, made: HashMap::new(), resolved: HashMap::new(), before }
    }

    fn of_listener(&mut self, plan: &GatewayPlan<'_>, at: usize, label: &str) -> ListenerRoutes {
        let before = self.before.get(label).cloned();
        RouteKind::ALL.map(|kind| {
            let routes = plan.routes_of(at, kind);
            let before = before.as_ref().and_then(|before| before.set(kind));
            (!routes.is_empty()).then(|| self.set(kind, routes, before))
        })
    }

    fn set(
        &mut self,
        kind: RouteKind,
        routes: Vec<usize>,
        before: Option<&RouteSet>,
    ) -> Arc<RouteSet> {
        let key = (kind, routes);
        if let Some(made) = self.made.get(&key) {
            return Arc::clone(made);
        }
        let Self { resources, grants, resolved, .. } = self;
        let routes = key.1.iter().filter_map(|at| Some((*at, resources.routes().get(*at)?)));
        // The very rules of all sets are the same values: a route that many listeners have is resolved once.
        let resolve = |at: usize, rule: &Arc<RouteRule>| {
            let rules = resolved.entry(at).or_insert_with(|| {
                let definitions = resources.routes().get(at).into_iter().flat_map(|r| &r.rules);
                definitions.map(|one| grants.resolve(&one.rule, None)).collect()
            });
            rules.get(rule.index).map_or_else(|| Arc::clone(rule), Arc::clone)
        };
        let set = Arc::new(RouteSet::of_routes(kind, routes, before, resolve));
        self.made.insert(key, Arc::clone(&set));
        set
    }
}

#[cfg(test)]
mod tests;
