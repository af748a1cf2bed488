//! A backend of requests: a service's port, its endpoints, the identities they must prove, and which of them is next.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancer::{Balancer, InFlight, Observation, Outcome};
use http::{Request, Response};
use policy::service::Resolution;
use policy::{Service, TrafficPolicy};

use super::name_cache::FRESH_SECONDS;
use super::service_match::ServiceMatch;
use crate::connection::mesh_connection::MeshConnection;
use crate::connection::net::BoxedIo;
use crate::http::body::Body;
use crate::http::error::{OtherEnd, RequestError};
use crate::labels::{Direction, Protocol};
use crate::telemetry::metrics::TrafficLabels;
use crate::traffic::balancing::{
    BalancedService, BalancerKey, EndpointPlace, balancer_settings, zone,
};
use crate::traffic::mesh::{Destination, RequestConnection, StreamKind};
use crate::traffic::record::TrafficMeter;
use crate::traffic::worker::Worker;

/// The most endpoints that are dialled for one request, if none of them can be reached.
const MOST_DIALLED: usize = 5;

/// A service's port as one worker calls it: its endpoints, each a destination that must prove an identity.
pub(crate) struct Backend {
    /// The service.
    pub(crate) service: Arc<Service>,
    /// Its port.
    pub(crate) port: u16,
    /// The counters of requests to it.
    pub(crate) meter: Arc<TrafficMeter>,
    /// What its DestinationRule says, or the defaults.
    pub(crate) policy: Arc<TrafficPolicy>,
    /// What all workers know of it.
    pub(crate) shared: Arc<BalancedService>,
    balancer: Arc<Balancer>,
    /// In the order of the balancer's endpoints.
    endpoints: Vec<Arc<Destination>>,
    /// The app dialled this exact endpoint, so that no other may be used.
    pinned: bool,
    /// When its names have to be looked up again, in seconds of the coarse clock; `None` where its endpoints are addresses.
    stale_at: Option<u32>,
}

/// An endpoint with an open connection for one request.
pub(crate) struct ReachedEndpoint {
    chosen: ChosenEndpoint,
    connection: RequestConnection,
    /// Since it was chosen: a slow handshake is a burden, too.
    in_flight: Option<InFlight>,
}

/// The endpoint that the balancer chose.
#[derive(Clone, Copy)]
pub(crate) struct ChosenEndpoint(usize);

/// What of a request matters to the choice of its endpoint.
#[derive(Clone, Copy)]
pub(crate) struct EndpointHints {
    /// When it is chosen: a moment ago, so that the clock is not read for each step.
    pub(crate) at: Instant,
    /// The hash of what ties the request to an endpoint.
    pub(crate) hash: Option<u64>,
    /// Another one than this, where there is one.
    pub(crate) except: Option<SocketAddr>,
}

/// Finds the endpoints of a service's port.
///
/// # Errors
/// [`RequestError::NoIdentity`] when the service has no identity to verify, [`RequestError::NoEndpoint`].
pub(crate) async fn resolve(
    worker: &Arc<Worker>,
    found: &ServiceMatch,
    policy: &Arc<TrafficPolicy>,
    protocol: Protocol,
) -> Result<Arc<Backend>, RequestError> {
    let service = &found.service;
    has_identity(service)?;
    let (state, limits) = (&worker.state, &worker.state.settings.limits);
    let mut places = found.places();
    let by_name = service.resolution == Resolution::Dns;
    if places.is_empty() && by_name {
        let addresses = worker.names.look_up(state, found).await;
        places = addresses.into_iter().map(EndpointPlace::at).collect();
    }
    if places.is_empty() {
        return Err(RequestError::NoEndpoint(service.host.to_string()));
    }
    let key = BalancerKey {
        namespace: service.namespace.clone(),
        host: service.host.clone(),
        port: found.port.number,
    };
    let shared = state.balancers.service(&key);
    let locality = state.settings.locality.as_ref();
    let settings = balancer_settings(policy, limits.endpoint_rest, locality);
    let now = state.clock.since_start(Instant::now());
    let balancer = match found.endpoint {
        Some(address) => shared.only(address, &settings),
        None => shared.balance(&places, &settings, now),
    };
    let endpoints = places.iter().map(|place| {
        worker.mesh.destination(limits, place.address, service, &policy.connection_pool)
    });
    let endpoints = endpoints.collect();
    let principal = service.identities.first().map(|id| id.without_scheme());
    Ok(Arc::new(Backend {
        service: service.clone(),
        port: found.port.number,
        meter: worker.meter(labels(worker, protocol, &service.host, principal)),
        policy: policy.clone(),
        shared,
        balancer,
        endpoints,
        pinned: found.endpoint.is_some(),
        stale_at: by_name.then(|| state.clock.coarse().saturating_add(FRESH_SECONDS)),
    }))
}

/// Without an identity to verify, no endpoint can be trusted.
pub(crate) fn has_identity(service: &Service) -> Result<(), RequestError> {
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

impl ServiceMatch {
    /// The endpoints: the one that was dialled, or those of the resource. One without weight gets nothing, unless none has
    /// one.
    fn places(&self) -> Vec<EndpointPlace> {
        if let Some(endpoint) = self.endpoint {
            return vec![EndpointPlace::at(endpoint)];
        }
        let place = |(address, endpoint): (SocketAddr, &policy::Endpoint)| EndpointPlace {
            address,
            weight: NonZeroU32::new(endpoint.weight).unwrap_or(NonZeroU32::MIN),
            zone: endpoint.locality.as_ref().and_then(zone),
        };
        let weighted = self.endpoints().filter(|(_, endpoint)| endpoint.weight > 0).map(place);
        let weighted: Vec<_> = weighted.collect();
        match weighted.is_empty() {
            true => self.endpoints().map(place).collect(),
            false => weighted,
        }
    }
}

impl Backend {
    /// The first identity that the service may prove.
    pub(crate) fn principal(&self) -> Option<&str> {
        self.service.identities.first().map(|id| id.without_scheme())
    }

    /// Whether it still says what the service and its policy say.
    pub(crate) fn is_of(
        &self,
        service: &Arc<Service>,
        policy: &Arc<TrafficPolicy>,
        now: u32,
    ) -> bool {
        Arc::ptr_eq(&self.service, service)
            && Arc::ptr_eq(&self.policy, policy)
            && !self.is_stale(now)
    }

    /// Whether its names have to be looked up again.
    pub(crate) fn is_stale(&self, now: u32) -> bool {
        self.stale_at.is_some_and(|stale_at| now >= stale_at)
    }

    /// A connection for one request; to `first`, where that one has been chosen. After one that cannot be reached the next
    /// is tried, up to a limit; one that is ejected or at rest only with `even_ejected`.
    ///
    /// # Errors
    /// The last endpoint's.
    pub(crate) async fn reach(
        &self,
        worker: &Arc<Worker>,
        mut first: Option<ChosenEndpoint>,
        hints: EndpointHints,
        even_ejected: bool,
    ) -> Result<ReachedEndpoint, RequestError> {
        let mut last = RequestError::NoEndpoint(self.service.host.to_string());
        for _ in 0..self.endpoints.len().min(MOST_DIALLED) {
            let in_turn = || self.next(worker, hints, even_ejected);
            let Some(chosen) = first.take().or_else(in_turn) else { break };
            let Some(endpoint) = self.endpoints.get(chosen.0) else { break };
            let (began, in_flight) = (Instant::now(), self.in_flight(chosen));
            match endpoint.open_request_connection(&worker.dialer).await {
                Ok(connection) => return Ok(ReachedEndpoint { chosen, connection, in_flight }),
                Err(error) if error.is_unprocessed() => {
                    self.unreachable(worker, chosen, &error, began);
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
        hints: EndpointHints,
    ) -> Result<ReachedEndpoint, Option<ChosenEndpoint>> {
        let chosen = self.next(worker, hints, false).ok_or(None)?;
        let endpoint = self.endpoints.get(chosen.0).ok_or(None)?;
        match endpoint.take_request_connection(&worker.dialer) {
            Some(connection) => {
                Ok(ReachedEndpoint { chosen, connection, in_flight: self.in_flight(chosen) })
            }
            None => Err(Some(chosen)),
        }
    }

    /// Opens a byte stream to an endpoint. After one that cannot be reached the next is tried, up to a limit. The stream
    /// counts as under way at its endpoint for as long as the third value is held.
    ///
    /// # Errors
    /// The last endpoint's.
    pub(crate) async fn open_stream(
        &self,
        worker: &Arc<Worker>,
        kind: StreamKind,
        hints: EndpointHints,
    ) -> Result<(BoxedIo, Arc<MeshConnection>, Option<InFlight>), RequestError> {
        let mut last = RequestError::NoEndpoint(self.service.host.to_string());
        for _ in 0..self.endpoints.len().min(MOST_DIALLED) {
            let Some(chosen) = self.next(worker, hints, true) else { break };
            let Some(endpoint) = self.endpoints.get(chosen.0) else { break };
            let began = Instant::now();
            let in_flight = self.in_flight(chosen);
            match endpoint.open_stream(&worker.dialer, kind).await {
                Ok((io, mesh_connection)) => {
                    let at = Instant::now();
                    let opened = Observation::new(Outcome::Success, at.duration_since(began));
                    self.observe(worker, chosen, at, opened);
                    return Ok((io, mesh_connection, in_flight));
                }
                Err(error) if error.is_unprocessed() => {
                    self.unreachable(worker, chosen, &error, began);
                    last = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Whether there is another endpoint that is not ejected.
    pub(crate) fn has_alternative(&self, worker: &Worker, than: SocketAddr) -> bool {
        let now = worker.state.clock.since_start(Instant::now());
        let is_this = |at: usize| self.endpoints.get(at).is_some_and(|e| e.address == than);
        self.balancer.has_alternative(now, is_this)
    }

    /// Whether one of the endpoints failed a moment ago, so that another may replace it.
    pub(crate) fn may_be_replaced(&self, worker: &Worker) -> bool {
        let wait = worker.state.settings.limits.endpoint_wait;
        let now = worker.state.clock.since_start(Instant::now());
        let mut endpoints = self.balancer.endpoints().iter();
        !self.pinned && endpoints.any(|endpoint| endpoint.has_just_gone(now, wait))
    }

    /// The endpoint that the balancer chooses; one that is ejected or at rest only where no other is left and
    /// `even_ejected` allows it.
    fn next(
        &self,
        worker: &Worker,
        hints: EndpointHints,
        even_ejected: bool,
    ) -> Option<ChosenEndpoint> {
        let now = worker.state.clock.since_start(hints.at);
        let excluded = |at: usize| match hints.except {
            Some(except) => self.endpoints.get(at).is_some_and(|e| e.address == except),
            None => false,
        };
        let pick = self.balancer.pick(now, fastrand::u64(..), hints.hash, excluded)?;
        if pick.last_resort {
            if !even_ejected {
                return None;
            }
            worker.state.metrics.balancer_fallback.inc();
        }
        Some(ChosenEndpoint(pick.index))
    }

    fn in_flight(&self, chosen: ChosenEndpoint) -> Option<InFlight> {
        self.balancer.endpoints().get(chosen.0).cloned().map(InFlight::begin)
    }

    fn observe(
        &self,
        worker: &Worker,
        chosen: ChosenEndpoint,
        at: Instant,
        observation: Observation,
    ) {
        let now = worker.state.clock.since_start(at);
        let ejected = self.balancer.observe(now, chosen.0, observation, fastrand::u64(..));
        if let Some(cause) = ejected {
            worker.state.metrics.ejection(cause.as_str());
            let endpoint = self.endpoints.get(chosen.0).map(|endpoint| endpoint.address);
            tracing::warn!(
                service = &*self.service.host,
                endpoint = endpoint.map(tracing::field::display),
                cause = cause.as_str(),
                "endpoint ejected"
            );
        }
    }

    /// One that could not be reached, by its own fault or not.
    fn unreachable(
        &self,
        worker: &Worker,
        chosen: ChosenEndpoint,
        error: &RequestError,
        began: Instant,
    ) {
        if !error.is_endpoint_fault() {
            return;
        }
        let at = Instant::now();
        let unreachable = Observation::new(Outcome::Unreachable, at.duration_since(began));
        self.observe(worker, chosen, at, unreachable);
    }

    /// Where a reached endpoint is.
    pub(crate) fn address(&self, reached: &ReachedEndpoint) -> Option<SocketAddr> {
        self.endpoints.get(reached.chosen.0).map(|endpoint| endpoint.address)
    }

    /// Sends a request to a reached endpoint, and tells the balancer what came of it, since `began`. The request counts as
    /// under way at the endpoint for as long as the second value is held.
    ///
    /// # Errors
    /// The endpoint has not answered then; `within` is over, [`RequestError::Timeout`].
    pub(crate) async fn send(
        &self,
        worker: &Arc<Worker>,
        reached: ReachedEndpoint,
        request: Box<Request<Body>>,
        began: Instant,
        within: Option<Duration>,
    ) -> (Result<Response<Body>, RequestError>, Option<InFlight>) {
        let ReachedEndpoint { chosen, connection, in_flight } = reached;
        let Some(endpoint) = self.endpoints.get(chosen.0) else {
            let none = RequestError::NoEndpoint(self.service.host.to_string());
            return (Err(none), None);
        };
        let mut attempt = UnseenAttempt { backend: self, worker, chosen, began, seen: false };
        let sending = endpoint.send(&worker.dialer, connection, request);
        let answered = match within {
            None => sending.await,
            Some(within) => match tokio::time::timeout(within, sending).await {
                Ok(answered) => answered,
                Err(_) => Err(RequestError::Timeout { who: OtherEnd::Upstream }),
            },
        };
        attempt.seen(&answered);
        (answered, in_flight)
    }
}

/// An attempt whose result the balancer has not been told; dropped so, the caller went away or its time was over.
struct UnseenAttempt<'a> {
    backend: &'a Backend,
    worker: &'a Arc<Worker>,
    chosen: ChosenEndpoint,
    began: Instant,
    seen: bool,
}

impl UnseenAttempt<'_> {
    fn seen(&mut self, answered: &Result<Response<Body>, RequestError>) {
        self.seen = true;
        let at = Instant::now();
        if let Some(observation) = super::outcome::observed(answered, at.duration_since(self.began))
        {
            self.backend.observe(self.worker, self.chosen, at, observation);
        }
    }
}

impl Drop for UnseenAttempt<'_> {
    fn drop(&mut self) {
        if !self.seen {
            let at = Instant::now();
            let cancelled = Observation::new(Outcome::Cancelled, at.duration_since(self.began));
            self.backend.observe(self.worker, self.chosen, at, cancelled);
        }
    }
}
