//! A listener as traffic meets it.

use std::sync::Arc;

use super::{ListenerOwner, ListenerRoutes, PlannedListener};
use crate::RouteRequest;
use crate::client_traffic::ListenerPlace;
use crate::gateway::{ClientValidationMode, ListenerProtocol, ObjectName, TlsMode};
use crate::route::{RouteHost, RouteKind, RouteRule};

/// A listener of a Gateway, or of one of its ListenerSets.
#[derive(Debug)]
pub struct GatewayListener {
    /// The Gateway.
    pub gateway: ObjectName,
    /// The ListenerSet that the listener is of; `None`: it is the Gateway's own.
    pub listener_set: Option<ObjectName>,
    /// Its name.
    pub section: Arc<str>,
    /// For logs and metrics: `shop/edge:https`, `shop/edge:team/extra:https` of a ListenerSet.
    pub label: Arc<str>,
    /// What is spoken.
    pub protocol: ListenerProtocol,
    /// The hosts it is for; `None`: every one.
    pub host: Option<RouteHost>,
    /// What TLS does, for HTTPS and TLS.
    pub tls: Option<ListenerTls>,
    /// The certificate that the gateway shows to backends outside the mesh.
    pub client_certificate: Option<ObjectName>,
    routes: ListenerRoutes,
}

/// TLS of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// Where it ends.
    pub mode: TlsMode,
    /// The certificates that may be shown: those that are there and permitted. Empty where it ends here: every handshake
    /// is refused.
    pub certificates: Vec<ObjectName>,
    /// The certificates that clients show; `None`: none is asked for.
    pub client_certificates: Option<ClientCertificates>,
}

/// Which certificates of clients are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The certificates of the authorities, PEM, one bundle after the other.
    pub authorities: Arc<[u8]>,
    /// Whether a client may come without.
    pub mode: ClientValidationMode,
}

impl GatewayListener {
    pub(super) fn of(planned: &PlannedListener<'_>, routes: ListenerRoutes) -> Self {
        let listener = planned.listener;
        let listener_set = match planned.owner {
            ListenerOwner::Gateway(_) => None,
            ListenerOwner::ListenerSet(set) => Some(set.id.clone()),
        };
        Self {
            gateway: planned.gateway.id.clone(),
            listener_set,
            section: Arc::clone(&listener.name),
            label: planned.label().into(),
            protocol: listener.protocol.clone(),
            host: listener.host.clone(),
            tls: planned.tls(),
            client_certificate: planned.client_certificate.clone(),
            routes,
        }
    }

    /// Where it stands, for policies that are about listeners.
    pub fn place(&self) -> ListenerPlace<'_> {
        let Self { gateway, listener_set, section, .. } = self;
        ListenerPlace { gateway, listener_set: listener_set.as_ref(), section }
    }

    /// The rule that takes a request: routes of gRPC are asked before those of HTTP. `None`: 404, `route_not_found`. A
    /// request for a host that is not the listener's is taken by none.
    pub fn choose(&self, request: &RouteRequest<'_>) -> Option<&Arc<RouteRule>> {
        if !self.is_for(request.host.name()) {
            return None;
        }
        let mut sets = [RouteKind::Grpc, RouteKind::Http].into_iter();
        sets.find_map(|kind| self.set(kind)?.choose(request, 0, ""))
    }

    /// The rule of the TLSRoute that takes a connection with this server name, in any case. `None`: it is closed.
    pub fn tls_route(&self, server_name: Option<&str>) -> Option<&Arc<RouteRule>> {
        self.set(RouteKind::Tls)?.tls(server_name, 0, "")
    }

    /// The rule of the TCPRoute that takes every connection. `None`: it is closed.
    pub fn tcp_route(&self) -> Option<&Arc<RouteRule>> {
        self.set(RouteKind::Tcp)?.tcp(0, "")
    }

    /// Whether a host (canonical name) is one of the listener's.
    pub fn is_for(&self, host: &str) -> bool {
        self.host.as_ref().is_none_or(|own| own.takes(host))
    }

    pub(super) fn set(&self, kind: RouteKind) -> Option<&crate::route_table::index::RouteSet> {
        let at = RouteKind::ALL.iter().position(|known| *known == kind)?;
        self.routes.get(at)?.as_deref()
    }
}
