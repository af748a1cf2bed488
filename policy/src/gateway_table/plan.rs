//! What holds of each listener and of each route at it, and why not: the facts that statuses tell and tables are made of.

mod build;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::attach::{self, RouteAttachment};
use super::port::PortProtocol;
use super::references::{References, UnresolvedReference};
use super::{ClientCertificates, GatewaySelection, ListenerConflict, ListenerTls, conflicts};
use crate::Resources;
use crate::gateway::{Gateway, Listener, ListenerSet, ObjectName, TlsMode};
use crate::route::{Route, RouteKind};

/// The Gateways of one proxy, with all that is attached to them.
#[derive(Debug)]
pub struct GatewayPlan<'r> {
    gateways: Vec<PlannedGateway<'r>>,
    listener_sets: Vec<PlannedListenerSet<'r>>,
    listeners: Vec<PlannedListener<'r>>,
    attachments: Vec<RouteAttachment<'r>>,
    /// By listener, the places of its routes among those of the resources.
    attached: Vec<Vec<usize>>,
    routes: &'r [Arc<Route>],
}

/// A Gateway that is served.
#[derive(Debug)]
pub struct PlannedGateway<'r> {
    /// As it was written.
    pub gateway: &'r Gateway,
    /// Whether all its addresses are of a type that is supported. If not, none of its listeners is there (`Accepted` is
    /// false, reason `UnsupportedAddress`).
    pub has_supported_addresses: bool,
    /// The certificate that it shows to backends, or why it has none; `None`: none is written.
    pub client_certificate: Option<Result<ObjectName, UnresolvedReference>>,
}

/// A ListenerSet whose parent is served.
#[derive(Debug)]
pub struct PlannedListenerSet<'r> {
    /// As it was written.
    pub set: &'r ListenerSet,
    /// Its parent.
    pub gateway: &'r Gateway,
    /// Whether the parent takes listeners of it. If not, none is there (`Accepted` is false, reason `NotAllowed`).
    pub is_allowed: bool,
}

/// Whose a listener is.
#[derive(Debug, Clone, Copy)]
pub enum ListenerOwner<'r> {
    /// The Gateway's own.
    Gateway(&'r Gateway),
    /// Of a ListenerSet of it.
    ListenerSet(&'r ListenerSet),
}

impl<'r> ListenerOwner<'r> {
    /// Its namespace and name.
    pub fn id(&self) -> &'r ObjectName {
        match self {
            Self::Gateway(gateway) => &gateway.id,
            Self::ListenerSet(set) => &set.id,
        }
    }

    /// Whether both are the same object.
    pub fn is_same(&self, other: &ListenerOwner<'_>) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.id() == other.id()
    }
}

/// A listener of a Gateway that is served, or of a ListenerSet that is allowed there.
#[derive(Debug)]
pub struct PlannedListener<'r> {
    /// Whose it is.
    pub owner: ListenerOwner<'r>,
    /// The Gateway.
    pub gateway: &'r Gateway,
    /// As it was written.
    pub listener: &'r Listener,
    /// Where it wants to be; empty where its Gateway is not accepted.
    pub(super) wanted_addresses: Vec<Option<IpAddr>>,
    /// Why it is not accepted for its own sake.
    pub not_accepted: Option<NotAccepted>,
    /// Why it cannot have its port.
    pub conflict: Option<ListenerConflict>,
    /// The kinds of routes that may attach, in order of precedence (`supportedKinds`).
    pub kinds: Vec<RouteKind>,
    /// References that lead nowhere, or must not: `ResolvedRefs` is false with the reason of the first.
    pub unresolved: Vec<UnresolvedReference>,
    /// The certificates that are there and permitted.
    pub certificates: Vec<ObjectName>,
    /// Which certificates clients must show.
    pub client_certificates: Option<ClientCertificates>,
    /// The certificate that the gateway shows to backends outside the mesh.
    pub client_certificate: Option<ObjectName>,
    /// How many routes are attached (`attachedRoutes`).
    pub attached_routes: usize,
}

/// Why a listener is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAccepted {
    /// The reason of the condition.
    pub reason: NotAcceptedReason,
    /// What is wrong, for its message.
    pub message: String,
}

/// The reasons of the condition `Accepted`, where it is false and the listener does not conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotAcceptedReason {
    /// Nothing here speaks its protocol.
    UnsupportedProtocol,
    /// A setting that is not known here.
    UnsupportedValue,
    /// Clients must show certificates, and there is no authority to check them by.
    NoValidCaCertificate,
    /// Its port is one of the proxy's own ([`super::PROXY_PORTS`]).
    PortUnavailable,
}

impl NotAcceptedReason {
    /// The reason as the standard writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedProtocol => "UnsupportedProtocol",
            Self::UnsupportedValue => "UnsupportedValue",
            Self::NoValidCaCertificate => "NoValidCACertificate",
            Self::PortUnavailable => "PortUnavailable",
        }
    }
}

impl fmt::Display for NotAcceptedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'r> GatewayPlan<'r> {
    /// What holds of the Gateways that are served.
    pub fn build(resources: &'r Resources, selection: &GatewaySelection) -> Self {
        let references = References::new(resources, &selection.certificates);
        let gateways = build::gateways(resources, selection, &references);
        let listener_sets = build::listener_sets(resources, &gateways);
        let mut listeners = build::listeners(&gateways, &listener_sets, &references);
        conflicts::find(&mut listeners);
        let attachments = attach::attach(resources, &gateways, &listener_sets, &listeners);
        let attached = attach::by_listener(&attachments, listeners.len());
        for (listener, routes) in listeners.iter_mut().zip(&attached) {
            listener.attached_routes = routes.len();
        }
        let routes = resources.routes();
        Self { gateways, listener_sets, listeners, attachments, attached, routes }
    }

    /// The Gateways, in order of precedence: the oldest first, those without a time (of files) last, then by name.
    pub fn gateways(&self) -> &[PlannedGateway<'r>] {
        &self.gateways
    }

    /// The ListenerSets of these Gateways, in order of precedence.
    pub fn listener_sets(&self) -> &[PlannedListenerSet<'r>] {
        &self.listener_sets
    }

    /// All listeners, in order of precedence: those of a Gateway before those of its ListenerSets.
    pub fn listeners(&self) -> &[PlannedListener<'r>] {
        &self.listeners
    }

    /// Each reference of a route to one of these Gateways or ListenerSets, and what came of it.
    pub fn attachments(&self) -> &[RouteAttachment<'r>] {
        &self.attachments
    }

    /// The places of the routes of a kind that act at a listener. None at one that is not accepted.
    pub(super) fn routes_of(&self, listener: usize, kind: RouteKind) -> Vec<usize> {
        let is_accepted = self.listeners.get(listener).is_some_and(PlannedListener::is_accepted);
        let attached = self.attached.get(listener).filter(|_| is_accepted);
        let of_kind = |at: &&usize| self.routes.get(**at).is_some_and(|r| r.id.kind == kind);
        attached.into_iter().flatten().filter(of_kind).copied().collect()
    }
}

impl PlannedListener<'_> {
    /// Whether it is accepted: nothing is wrong with itself, and its port is its own.
    pub fn is_accepted(&self) -> bool {
        self.not_accepted.is_none() && self.wants_port()
    }

    /// Whether clients can reach it (`Programmed`).
    pub fn is_programmed(&self) -> bool {
        self.is_accepted() && (!self.terminates() || !self.certificates.is_empty())
    }

    /// For logs and metrics: `shop/edge:https`, `shop/edge:team/extra:https` of a ListenerSet.
    pub fn label(&self) -> String {
        let (gateway, name) = (&self.gateway.id, &self.listener.name);
        match self.owner {
            ListenerOwner::Gateway(_) => format!("{gateway}:{name}"),
            ListenerOwner::ListenerSet(set) => format!("{gateway}:{}:{name}", set.id),
        }
    }

    /// Where it listens. One that is not accepted for its own sake keeps its place, where it has one: what is meant for its
    /// host must not be taken by a listener of more hosts.
    pub(super) fn addresses(&self) -> &[Option<IpAddr>] {
        if self.wants_port() { &self.wanted_addresses } else { &[] }
    }

    pub(super) fn wants_port(&self) -> bool {
        let is_known = PortProtocol::of(&self.listener.protocol).is_some();
        let is_free = !super::PROXY_PORTS.contains(&self.listener.port);
        is_known && is_free && self.conflict.is_none() && !self.wanted_addresses.is_empty()
    }

    /// What TLS does; without certificates where the listener is not accepted.
    pub(super) fn tls(&self) -> Option<ListenerTls> {
        let has_tls = PortProtocol::of(&self.listener.protocol) == Some(PortProtocol::Tls);
        let certificates = match self.is_accepted() {
            true => self.certificates.clone(),
            false => Vec::new(),
        };
        let mode = self.mode();
        let client_certificates = self.client_certificates.clone();
        has_tls.then_some(ListenerTls { mode, certificates, client_certificates })
    }

    fn terminates(&self) -> bool {
        let has_tls = PortProtocol::of(&self.listener.protocol) == Some(PortProtocol::Tls);
        has_tls && self.mode() == TlsMode::Terminate
    }

    fn mode(&self) -> TlsMode {
        self.listener.tls.as_ref().map_or(TlsMode::Terminate, |tls| tls.mode)
    }
}
