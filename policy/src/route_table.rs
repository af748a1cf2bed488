//! Which rule takes a request: the routes that act on one workload's clients, compiled once a change.
//!
//! A route that names a Service as its parent acts on requests to that Service, in the sidecars of those who call it. A
//! *producer* route lies in the Service's namespace and acts on all clients; a *consumer* route lies in another one, acts
//! on the clients of its own namespace, and there it acts in the producers' place (GEP-1426). Of several kinds on one
//! port only the first acts: GRPCRoute, HTTPRoute, TLSRoute, TCPRoute.
//!
//! A Service without routes is forwarded to as ever. One with routes of which none matches is refused, never
//! forwarded to all the same: whoever wrote the routes has said what it takes.

mod attach;
mod conditions;
pub(crate) mod index;
pub(crate) mod order;
pub(crate) mod resolve;

use std::collections::HashMap;
use std::sync::Arc;

use crate::route::{RouteKind, RouteRule};
use crate::{CanonicalPath, HeaderSource, HostName, Resources, ServicePort, Workload};
use attach::ServiceSets;
use index::RouteSet;

pub use resolve::RefProblem;

/// The routes that act on the requests of one workload's app. Cloning takes constant time.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    /// By the host of the Service.
    services: Arc<HashMap<Arc<str>, ServiceSets>>,
}

impl RouteTable {
    /// The table of what `resources` say to this workload.
    pub fn build(resources: &Resources, workload: &Workload) -> Self {
        let grants = resources.reference_grants();
        let services = attach::by_service(resources.routes(), grants, &workload.namespace);
        Self { services: Arc::new(services) }
    }

    /// The routes of a Service's port, by the Service's canonical host. `None`: no route acts there, and requests are
    /// forwarded as ever.
    pub fn of_service(&self, host: &str, port: &ServicePort) -> Option<ServiceRoutes> {
        let set = self.services.get(host)?.acting_on(port.number, &port.name)?;
        let (number, name) = (port.number, Arc::clone(&port.name));
        Some(ServiceRoutes { set: Arc::clone(set), number, name })
    }

    /// The same, by the port's number and name.
    pub fn of_port(&self, host: &str, number: u16, name: &str) -> Option<ServiceRoutes> {
        let set = self.services.get(host)?.acting_on(number, name)?;
        Some(ServiceRoutes { set: Arc::clone(set), number, name: name.into() })
    }

    /// True when no route acts on this workload's clients.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The hosts of the Services that routes act on, in no order.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.services.keys()
    }
}

/// The routes of one port of a Service, all of one kind. A handle: cloning takes constant time.
#[derive(Debug, Clone)]
pub struct ServiceRoutes {
    set: Arc<RouteSet>,
    number: u16,
    name: Arc<str>,
}

/// A request, after the gate.
#[derive(Clone, Copy)]
pub struct RouteRequest<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// `Host` or `:authority`, in its one spelling.
    pub host: &'a HostName,
    /// The canonical path and the query.
    pub path: &'a CanonicalPath<'a>,
    /// The header fields.
    pub headers: &'a dyn HeaderSource,
    /// True for a request of gRPC (`content-type: application/grpc…`).
    pub is_grpc: bool,
}

impl ServiceRoutes {
    /// The kind that acts on the port. Where it is of requests ([`RouteKind::is_of_requests`]), ask
    /// [`ServiceRoutes::choose`]; else the connection is routed as a whole, whatever is spoken on it.
    pub fn kind(&self) -> RouteKind {
        self.set.kind()
    }

    /// The rule that takes a request. `None`: 404, `route_not_found`. A GRPCRoute takes requests of gRPC alone. Allocates
    /// nothing, but for conditions with regular expressions on fields of several lines or on parameters with escapes.
    pub fn choose(&self, request: &RouteRequest<'_>) -> Option<&Arc<RouteRule>> {
        self.set.choose(request, self.number, &self.name)
    }

    /// The rule of the TLSRoute that takes a connection with this server name, in any case. `None`: the connection is
    /// closed.
    pub fn tls(&self, server_name: Option<&str>) -> Option<&Arc<RouteRule>> {
        self.set.tls(server_name, self.number, &self.name)
    }

    /// The rule of the TCPRoute that takes every connection. `None` only where another kind acts.
    pub fn tcp(&self) -> Option<&Arc<RouteRule>> {
        self.set.tcp(self.number, &self.name)
    }
}

#[cfg(test)]
mod tests;
