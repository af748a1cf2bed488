//! From what the app dialled to where its bytes go: the service, its endpoints, and the identity
//! they must prove.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use http::{Request, Response};
use policy::service::{EndpointAddress, Resolution};
use policy::{Service, ServicePort, Snapshot};
use tokio::net::TcpStream;

use crate::config::{Config, OutboundListener};
use crate::control::cluster::demand::Word;
use crate::error::RequestError;
use crate::forward::body::Body;
use crate::forward::mesh::{Destination, Hop, StreamKind};
use crate::link::Link;
use crate::metrics::TrafficLabels;
use crate::net::{self, BoxedIo};
use crate::state::State;
use crate::telemetry::{Direction, Protocol, TrafficMeter};
use crate::worker::Worker;

/// Where the app wanted to go.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// The address it dialled before it was redirected.
    Address(SocketAddr),
    /// The service of the explicit listener it dialled.
    Listener {
        /// The listener's own address.
        bind: SocketAddr,
        /// The service's host.
        service: Arc<str>,
        /// The service's port.
        port: u16,
    },
}

/// A service that was meant, with the port and, where the app dialled one, the very endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The service.
    pub(crate) service: Arc<Service>,
    /// Its port.
    pub(crate) port: ServicePort,
    /// The endpoint's address, when the app dialled an endpoint and not the service.
    pub(crate) endpoint: Option<SocketAddr>,
}

impl Wanted {
    /// Finds out what the app dialled.
    ///
    /// # Errors
    /// A stable word: our own port was dialled, directly or through redirection
    /// (SECURITY-CASES S-44).
    pub(crate) fn of(
        stream: &TcpStream,
        listener: Option<OutboundListener>,
        config: &Config,
    ) -> Result<Self, &'static str> {
        if let Some(OutboundListener { bind, service, port }) = listener {
            return Ok(Self::Listener { bind, service, port });
        }
        let original = net::original_destination(stream).map_err(|_| "closed_by_client")?;
        let original = original.ok_or("not_redirected")?;
        if config.is_own_port(original.port()) {
            return Err("loop");
        }
        Ok(Self::Address(original))
    }

    /// The address that was dialled.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Address(address) => *address,
            Self::Listener { bind, .. } => *bind,
        }
    }

    /// The service that the address or the listener means, if a resource names one.
    pub(crate) fn service(&self, snapshot: &Snapshot) -> Option<Found> {
        match self {
            Self::Listener { service, port, .. } => by_host(snapshot, service, *port),
            Self::Address(address) => by_address(snapshot, *address),
        }
    }

    /// The same, and asks the controller about what is not known yet.
    pub(crate) async fn resolve(&self, state: &State) -> Result<Option<Found>, RequestError> {
        let known = self.service(&state.snapshot());
        let Some(demand) = &state.demand else { return Ok(known) };
        if let Some(found) = known {
            demand.note_use(&found.service.host, state.clock.coarse());
            return Ok(Some(found));
        }
        let key = match self {
            Self::Listener { service, port, .. } => format!("{service}:{port}"),
            Self::Address(address) => address.to_string(),
        };
        let word = demand.ask(&key, state.clock.coarse()).await?;
        match self.service(&state.snapshot()) {
            // Something is there, but what was told of it cannot be used: that is no unknown destination (invariant 10).
            None if word == Word::Service => Err(RequestError::Unresolved(key)),
            found => Ok(found),
        }
    }

    /// The port that a `Host` without one means.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Listener { port, .. } => *port,
        }
    }

    /// Where an external service's bytes go: what the app dialled, or its one endpoint.
    pub(crate) fn dialled(&self, found: &Found) -> Result<SocketAddr, RequestError> {
        match self {
            Self::Address(address) => Ok(*address),
            Self::Listener { .. } => addresses(found)
                .first()
                .copied()
                .ok_or_else(|| RequestError::NoEndpoint(found.service.host.to_string())),
        }
    }
}

/// The service of this host and port.
pub(crate) fn by_host(snapshot: &Snapshot, host: &str, port: u16) -> Option<Found> {
    let service = snapshot.service_by_host(host, port)?;
    let port = service.port(port)?.clone();
    Some(Found { service: service.clone(), port, endpoint: None })
}

/// The same, and asks the controller about what is not known yet.
pub(crate) async fn resolve_host(
    state: &State,
    host: &str,
    port: u16,
) -> Result<Option<Found>, RequestError> {
    let known = by_host(&state.snapshot(), host, port);
    let Some(demand) = &state.demand else { return Ok(known) };
    if let Some(found) = known {
        demand.note_use(&found.service.host, state.clock.coarse());
        return Ok(Some(found));
    }
    demand.ask(&format!("{host}:{port}"), state.clock.coarse()).await?;
    Ok(by_host(&state.snapshot(), host, port))
}

fn by_address(snapshot: &Snapshot, address: SocketAddr) -> Option<Found> {
    let service = snapshot.service_by_address(address)?;
    let endpoint_port = service.ports.iter().find(|port| {
        service.endpoints.iter().any(|endpoint| {
            endpoint.address == EndpointAddress::Ip(address.ip())
                && service.endpoint_port(endpoint, port) == address.port()
        })
    });
    let (port, endpoint) = match endpoint_port {
        Some(port) => (port, Some(address)),
        None => (service.port(address.port())?, None),
    };
    Some(Found { service: service.clone(), port: port.clone(), endpoint })
}

/// The way to a service: its endpoints, each a destination that must prove an identity.
pub(crate) struct Route {
    /// The service.
    pub(crate) service: Arc<Service>,
    /// The counters of requests on this way.
    pub(crate) meter: Arc<TrafficMeter>,
    endpoints: Vec<Endpoint>,
    turn: AtomicUsize,
}

struct Endpoint {
    destination: Arc<Destination>,
    in_flight: AtomicUsize,
}

/// Finds the endpoints of a service and makes a route of them.
///
/// # Errors
/// [`RequestError::NoIdentity`] when nobody could be believed, [`RequestError::NoEndpoint`].
pub(crate) async fn resolve(
    worker: &Arc<Worker>,
    found: &Found,
    protocol: Protocol,
) -> Result<Arc<Route>, RequestError> {
    let service = &found.service;
    has_identity(service)?;
    let mut addresses = addresses(found);
    if addresses.is_empty() && service.resolution == Resolution::Dns {
        addresses = look_up(worker, found).await;
    }
    if addresses.is_empty() {
        return Err(RequestError::NoEndpoint(service.host.to_string()));
    }
    let most = usize::try_from(worker.state.config.limits.pool_destinations).unwrap_or(1);
    let endpoints = addresses
        .into_iter()
        .map(|address| Endpoint {
            destination: worker.mesh.destination(most, address, &service.host, &service.identities),
            in_flight: AtomicUsize::new(0),
        })
        .collect();
    let principal = service.identities.first().map(|id| id.without_scheme());
    let meter = worker.meter(labels(worker, protocol, &service.host, principal));
    Ok(Arc::new(Route { service: service.clone(), meter, endpoints, turn: AtomicUsize::new(0) }))
}

/// Whoever could answer for a service without an identity would not be believed.
fn has_identity(service: &Service) -> Result<(), RequestError> {
    match service.identities.is_empty() {
        true => Err(RequestError::NoIdentity(service.host.to_string())),
        false => Ok(()),
    }
}

/// The addresses at hand: the one that was dialled, or those that are written.
fn addresses(found: &Found) -> Vec<SocketAddr> {
    if let Some(endpoint) = found.endpoint {
        return vec![endpoint];
    }
    let written = found.service.endpoints.iter().filter_map(|endpoint| match &endpoint.address {
        EndpointAddress::Ip(ip) => {
            Some(SocketAddr::new(*ip, found.service.endpoint_port(endpoint, &found.port)))
        }
        EndpointAddress::Dns(_) => None,
    });
    written.collect()
}

/// Asks the system's resolver for the endpoints that are names, or for the host itself. A name
/// that cannot be found has no address, which the caller says.
async fn look_up(worker: &Worker, found: &Found) -> Vec<SocketAddr> {
    let limit = worker.state.config.limits.dns_timeout;
    let mut names: Vec<(String, u16)> = found
        .service
        .endpoints
        .iter()
        .filter_map(|endpoint| match &endpoint.address {
            EndpointAddress::Dns(name) => {
                Some((name.to_string(), found.service.endpoint_port(endpoint, &found.port)))
            }
            EndpointAddress::Ip(_) => None,
        })
        .collect();
    if names.is_empty() {
        names.push((found.service.host.to_string(), found.port.target_port));
    }
    let mut addresses = Vec::new();
    for name in names {
        if let Ok(Ok(found)) = tokio::time::timeout(limit, tokio::net::lookup_host(name)).await {
            addresses.extend(found);
        }
    }
    addresses
}

/// The labels of traffic to a service.
pub(crate) fn labels(
    worker: &Worker,
    protocol: Protocol,
    service: &Arc<str>,
    principal: Option<&str>,
) -> TrafficLabels {
    let own = worker.state.own_id();
    TrafficLabels {
        direction: Direction::Outbound,
        source_principal: own.as_ref().map_or("unknown", |id| id.without_scheme()).into(),
        destination_principal: principal.unwrap_or("none").into(),
        destination_service: service.clone(),
        protocol,
        mtls: principal.is_some(),
    }
}

impl Route {
    /// The first identity that the service may prove.
    pub(crate) fn principal(&self) -> Option<&str> {
        self.service.identities.first().map(|id| id.without_scheme())
    }

    /// Sends a request to an endpoint. One that cannot be reached gives way to the next, each tried
    /// once; a request that has been sent is never sent again.
    ///
    /// # Errors
    /// The last endpoint's.
    pub(crate) async fn send(
        &self,
        worker: &Arc<Worker>,
        request: Request<Body>,
    ) -> Result<(Response<Body>, SocketAddr), RequestError> {
        let (endpoint, hop) = self.reach(worker).await?;
        endpoint.in_flight.fetch_add(1, Relaxed);
        let sent = endpoint.destination.send(worker, hop, request).await;
        endpoint.in_flight.fetch_sub(1, Relaxed);
        sent.map(|response| (response, endpoint.destination.address))
    }

    async fn reach(&self, worker: &Arc<Worker>) -> Result<(&Endpoint, Hop), RequestError> {
        let mut last = RequestError::NoEndpoint(self.service.host.to_string());
        for _ in 0..self.endpoints.len() {
            let endpoint = self.pick();
            match endpoint.destination.hop(worker).await {
                Ok(hop) => return Ok((endpoint, hop)),
                Err(error) if error.is_unprocessed() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Opens a byte stream to an endpoint, trying each once.
    ///
    /// # Errors
    /// The last endpoint's.
    pub(crate) async fn open_stream(
        &self,
        worker: &Arc<Worker>,
        kind: StreamKind,
    ) -> Result<(BoxedIo, Arc<Link>), RequestError> {
        let mut last = RequestError::NoEndpoint(self.service.host.to_string());
        for _ in 0..self.endpoints.len() {
            match self.pick().destination.open_stream(worker, kind).await {
                Ok(opened) => return Ok(opened),
                Err(error) if error.is_unprocessed() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Of two endpoints in turn, the one with fewer requests under way.
    fn pick(&self) -> &Endpoint {
        let turn = self.turn.fetch_add(1, Relaxed);
        let first = &self.endpoints[turn % self.endpoints.len()];
        let second = &self.endpoints[(turn + 1) % self.endpoints.len()];
        if second.in_flight.load(Relaxed) < first.in_flight.load(Relaxed) { second } else { first }
    }
}

#[cfg(test)]
mod tests;
