//! The route to a service: its endpoints, the identity they must prove, and which of them is next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use policy::Service;
use policy::service::Resolution;

use super::dialled::ServiceMatch;
use crate::connection::mesh_connection::MeshConnection;
use crate::connection::net::BoxedIo;
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::labels::{Direction, Protocol};
use crate::telemetry::metrics::TrafficLabels;
use crate::traffic::mesh::{Destination, RequestConnection, StreamKind};
use crate::traffic::record::TrafficMeter;
use crate::traffic::worker::Worker;

/// The most endpoints that are dialled for one request, if none of them can be reached.
const MOST_DIALLED: usize = 5;

/// The route to a service: its endpoints, each a destination that must prove an identity.
pub(crate) struct Route {
    /// The service.
    pub(crate) service: Arc<Service>,
    /// The counters of requests on this route.
    pub(crate) meter: Arc<TrafficMeter>,
    endpoints: Vec<Arc<Destination>>,
    /// The app dialled this exact endpoint, so that no other may be used.
    pinned: bool,
}

/// An endpoint with an open connection for one request.
pub(crate) struct ReachedEndpoint {
    endpoint: Arc<Destination>,
    connection: RequestConnection,
}

/// Finds the endpoints of a service and makes a route of them.
///
/// # Errors
/// [`RequestError::NoIdentity`] when the service has no identity to verify, [`RequestError::NoEndpoint`].
pub(crate) async fn resolve(
    worker: &Arc<Worker>,
    found: &ServiceMatch,
    protocol: Protocol,
) -> Result<Arc<Route>, RequestError> {
    let service = &found.service;
    has_identity(service)?;
    let (now, limits) = (worker.state.clock.coarse(), &worker.state.settings.limits);
    let mut addresses = found.addresses();
    if addresses.is_empty() && service.resolution == Resolution::Dns {
        addresses = worker.names.look_up(found, now, limits.dns_timeout).await;
    }
    if addresses.is_empty() {
        return Err(RequestError::NoEndpoint(service.host.to_string()));
    }
    let most = usize::try_from(limits.pool_destinations).unwrap_or(1);
    let endpoints = addresses
        .into_iter()
        .map(|address| worker.mesh.destination(most, address, &service.host, &service.identities))
        .collect();
    let principal = service.identities.first().map(|id| id.without_scheme());
    let meter = worker.meter(labels(worker, protocol, &service.host, principal));
    let pinned = found.endpoint.is_some();
    Ok(Arc::new(Route { service: service.clone(), meter, endpoints, pinned }))
}

/// Without an identity to verify, no endpoint can be trusted.
fn has_identity(service: &Service) -> Result<(), RequestError> {
    match service.identities.is_empty() {
        true => Err(RequestError::NoIdentity(service.host.to_string())),
        false => Ok(()),
    }
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

    /// A connection for one request, to an endpoint other than `except`; to `first`, where that one has been chosen. After
    /// one that cannot be reached the next is tried, up to a limit; ejected ones only with `even_ejected`.
    ///
    /// # Errors
    /// The last endpoint's.
    pub(crate) async fn reach(
        &self,
        worker: &Arc<Worker>,
        mut first: Option<Arc<Destination>>,
        except: Option<SocketAddr>,
        even_ejected: bool,
    ) -> Result<ReachedEndpoint, RequestError> {
        let mut last = RequestError::NoEndpoint(self.service.host.to_string());
        for _ in 0..self.endpoints.len().min(MOST_DIALLED) {
            let in_turn = || self.next(worker, except, even_ejected).cloned();
            let Some(endpoint) = first.take().or_else(in_turn) else { break };
            match endpoint.open_request_connection(&worker.dialer).await {
                Ok(connection) => return Ok(ReachedEndpoint { endpoint, connection }),
                Err(error) if error.is_unprocessed() => {
                    if error.is_endpoint_fault() {
                        endpoint.health.failed(worker.state.clock.coarse());
                    }
                    last = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// As [`Self::reach`], where the endpoint in turn has an open connection with room, which is how most requests go
    /// out: there is nothing to wait for.
    ///
    /// # Errors
    /// The endpoint in turn, whose connection has to be opened; `None` where all are ejected.
    pub(crate) fn reach_open(
        &self,
        worker: &Arc<Worker>,
    ) -> Result<ReachedEndpoint, Option<Arc<Destination>>> {
        let endpoint = self.next(worker, None, false).ok_or(None)?;
        match endpoint.take_request_connection(&worker.dialer) {
            Some(connection) => Ok(ReachedEndpoint { endpoint: endpoint.clone(), connection }),
            None => Err(Some(endpoint.clone())),
        }
    }

    /// Opens a byte stream to an endpoint. After one that cannot be reached the next is tried, up to a limit.
    ///
    /// # Errors
    /// The last endpoint's.
    pub(crate) async fn open_stream(
        &self,
        worker: &Arc<Worker>,
        kind: StreamKind,
    ) -> Result<(BoxedIo, Arc<MeshConnection>), RequestError> {
        let mut last = RequestError::NoEndpoint(self.service.host.to_string());
        for _ in 0..self.endpoints.len().min(MOST_DIALLED) {
            let Some(endpoint) = self.next(worker, None, true) else { break };
            match endpoint.open_stream(&worker.dialer, kind).await {
                Ok(opened) => return Ok(opened),
                Err(error) if error.is_unprocessed() => {
                    if error.is_endpoint_fault() {
                        endpoint.health.failed(worker.state.clock.coarse());
                    }
                    last = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Whether there is another endpoint that is not ejected.
    pub(crate) fn has_alternative(&self, worker: &Worker, than: SocketAddr) -> bool {
        self.next(worker, Some(than), false).is_some()
    }

    /// Whether one of the endpoints failed a moment ago, so that another may replace it.
    pub(crate) fn may_be_replaced(&self, worker: &Worker) -> bool {
        let wait = seconds(worker.state.settings.limits.endpoint_wait);
        let now = worker.state.clock.coarse();
        !self.pinned && self.endpoints.iter().any(|e| e.health.has_just_gone(now, wait))
    }

    /// Of two endpoints in turn, the one with fewer waiting requests. Ejected ones are skipped, unless all are ejected
    /// and `even_ejected` allows one of them.
    fn next(
        &self,
        worker: &Worker,
        except: Option<SocketAddr>,
        even_ejected: bool,
    ) -> Option<&Arc<Destination>> {
        let ejection = seconds(worker.state.settings.limits.endpoint_rest);
        let now = worker.state.clock.coarse();
        let turn = worker.mesh.turn() % self.endpoints.len();
        let (after, before) = self.endpoints.split_at(turn);
        let in_turn = || before.iter().chain(after).filter(|e| Some(e.address) != except);
        let healthy = in_turn().filter(|e| !e.health.is_ejected(now, ejection));
        let best = healthy.take(2).min_by_key(|e| e.waiting());
        best.or_else(|| even_ejected.then(|| in_turn().next()).flatten())
    }
}

impl ReachedEndpoint {
    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.address
    }

    /// Sends a request, and records the result in the endpoint's health: an answer is a success, unless the peer
    /// reports that its app cannot be reached.
    ///
    /// # Errors
    /// The endpoint has not answered then.
    pub(crate) async fn send(
        self,
        worker: &Arc<Worker>,
        request: Box<Request<Body>>,
    ) -> Result<Response<Body>, RequestError> {
        let Self { endpoint, connection } = self;
        let answered = endpoint.send(&worker.dialer, connection, request).await;
        let now = worker.state.clock.coarse();
        match &answered {
            Ok(response) if super::retry::is_app_unreachable(response) => {
                endpoint.health.failed(now)
            }
            Ok(_) => endpoint.health.answered(now),
            // The cause may be this request alone.
            Err(_) => {}
        }
        answered
    }
}

/// Whole seconds, up.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
