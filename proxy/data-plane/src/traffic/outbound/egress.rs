//! Calls to services outside the mesh, which a ServiceEntry with `MESH_EXTERNAL` allows: requests by host, and TLS of the
//! app's own by the server name it asks for.
//!
//! A service is called at its endpoints, or at what its name resolves to; the address that the app dialled is believed only
//! where it is what the ServiceEntry names. A DestinationRule with `tls` makes the proxy speak TLS in the app's place
//! ([`web_tls`]). The parts: `endpoints` (where a service is), `destination` (the connections to one address), `web_tls`.

mod destination;
mod endpoints;
mod web_tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response};
use parking_lot::Mutex;
use policy::service::Resolution;
use policy::{Protocol as Declared, Service, ServicePort, TrafficPolicy};

use super::backend;
use super::dialled::{self, ServiceMatch};
use super::http::OutboundPhases;
use crate::connection::client_hello;
use crate::connection::net::{BoxedIo, StreamAborter};
use crate::connection::sniff::{self, ProtocolGuess};
use crate::http::body::Body;
use crate::http::error::{OtherEnd, RequestError};
use crate::http::headers::AnswerOrigin;
use crate::labels::Protocol;
use crate::traffic::app::upgrade_over;
use crate::traffic::record::{RequestRecord, TrafficMeter};
use crate::traffic::worker::Worker;
pub(crate) use destination::StreamUse;
use destination::{EgressDestination, EgressKey};
use web_tls::WebTlsConfigs;

/// The most addresses that are tried for one request, if none of them can be reached.
const MOST_DIALLED: usize = 5;

/// A worker's connections to services outside the mesh.
#[derive(Default)]
pub(crate) struct EgressPool {
    destinations: Mutex<HashMap<EgressKey, Arc<EgressDestination>>>,
    tls: WebTlsConfigs,
    turn: AtomicUsize,
}

/// A port of a service outside the mesh, as one worker calls it.
pub(crate) struct ExternalService {
    /// The service.
    pub(crate) service: Arc<Service>,
    /// The counters of requests to it.
    pub(crate) meter: Arc<TrafficMeter>,
    endpoints: Vec<Arc<EgressDestination>>,
    /// When its names have to be looked up again, in seconds of the coarse clock; `None` where its endpoints are addresses.
    stale_at: Option<u32>,
}

/// Finds where a service outside the mesh is. `dialled`: the address that the app dialled, where the service was found by
/// it.
///
/// # Errors
/// [`RequestError::NoEndpoint`]; [`RequestError::UnknownDestination`] when its name leads to an address of this machine.
pub(crate) async fn resolve(
    worker: &Arc<Worker>,
    found: &ServiceMatch,
    protocol: Protocol,
    dialled: Option<SocketAddr>,
) -> Result<Arc<ExternalService>, RequestError> {
    let policy = &worker.backends.policy(worker, found);
    let located = endpoints::locate(worker, found, dialled).await?;
    let endpoints = located.addresses.iter().map(|address| {
        let key = EgressKey::of(*address, found, policy);
        worker.egress.destination(worker, key, policy)
    });
    let endpoints = endpoints.collect();
    let service = found.service.clone();
    let meter = worker.meter(backend::labels(worker, protocol, &service.host, None));
    Ok(Arc::new(ExternalService { service, meter, endpoints, stale_at: located.stale_at }))
}

/// Whether the proxy begins TLS with the service in its app's place.
pub(crate) fn begins_tls(worker: &Worker, found: &ServiceMatch) -> bool {
    destination::tls_of(found, &worker.backends.policy(worker, found)).is_some()
}

/// What no resource names, where everything outside may be called: as the app dialled it.
pub(crate) fn unnamed(address: SocketAddr) -> ServiceMatch {
    let port = ServicePort {
        number: address.port(),
        target_port: address.port(),
        name: "".into(),
        protocol: Declared::Auto,
    };
    let service = Service {
        host: "unknown".into(),
        namespace: "".into(),
        external: true,
        ports: vec![port.clone()],
        resolution: Resolution::None,
        endpoints: Vec::new(),
        identities: Arc::default(),
    };
    ServiceMatch { service: Arc::new(service), port, endpoint: None }
}

/// The service outside the mesh that a TLS connection of the app's own asks for by its server name, where a ServiceEntry
/// allows it on this port; with it all bytes read, for whoever goes on. The controller is asked for what is not known yet.
///
/// # Errors
/// Those of [`resolve`], and of the controller's answer.
pub(crate) async fn by_server_name(
    worker: &Arc<Worker>,
    io: &mut BoxedIo,
    ahead: Bytes,
    port: u16,
) -> Result<(Option<Arc<ExternalService>>, Bytes), RequestError> {
    if sniff::classify(&ahead) != ProtocolGuess::Tls {
        return Ok((None, ahead));
    }
    let limit = worker.state.settings.limits.sniff_timeout;
    let (name, ahead) = client_hello::read_server_name(io, ahead, limit)
        .await
        .map_err(|error| RequestError::Client(error.to_string()))?;
    let Some(name) = name else { return Ok((None, ahead)) };
    let found = dialled::resolve_host(&worker.state, &name, port).await?;
    let Some(found) = found.filter(|found| found.service.external && passes_tls(found)) else {
        return Ok((None, ahead));
    };
    Ok((Some(resolve(worker, &found, Protocol::Tcp, None).await?), ahead))
}

/// Whether the app may speak TLS of its own on the port: not where requests are declared, which would pass unseen.
fn passes_tls(found: &ServiceMatch) -> bool {
    !found.port.protocol.is_http()
}

impl OutboundPhases {
    /// Sends a request to a service outside the mesh, within the time it may take.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(super) async fn send_outside(
        &self,
        service: &ExternalService,
        request: Box<Request<Body>>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let limit = self.outbound.worker.state.settings.limits.response_timeout;
        let patience = self.callers_patience(request.headers());
        let within = patience.map_or(limit, |patience| patience.min(limit));
        let sending = service.send(&self.outbound.worker, request, record);
        match (tokio::time::timeout(within, sending).await, patience) {
            (Ok(answered), _) => answered,
            (Err(_), Some(patience)) if patience == within => {
                Err(RequestError::RequestTimeout(patience))
            }
            (Err(_), _) => Err(RequestError::Timeout { who: OtherEnd::Upstream }),
        }
    }

    /// Sends a request to switch protocols over a connection of its own.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(super) async fn upgrade_outside(
        &self,
        service: &ExternalService,
        request: Box<Request<Body>>,
    ) -> Result<Response<Body>, RequestError> {
        let worker = &self.outbound.worker;
        let (io, _) = service.open_stream(worker, StreamUse::Upgrade).await?;
        let limits = &worker.state.settings.limits;
        upgrade_over(io, request, limits, OtherEnd::Upstream, AnswerOrigin::Other).await
    }
}

impl EgressPool {
    fn destination(
        &self,
        worker: &Worker,
        key: EgressKey,
        policy: &TrafficPolicy,
    ) -> Arc<EgressDestination> {
        let limits = destination::limits(&worker.state.settings.limits, &policy.connection_pool);
        let most = usize::try_from(limits.pool_destinations).unwrap_or(1);
        let mut destinations = self.destinations.lock();
        if let Some(known) = destinations.get(&key).filter(|known| known.limits == limits) {
            return known.clone();
        }
        if destinations.len() >= most {
            destinations.retain(|_, destination| Arc::strong_count(destination) > 1);
        }
        let destination = Arc::new(EgressDestination::new(key.clone(), limits));
        if destinations.len() < most {
            destinations.insert(key, destination.clone());
        }
        destination
    }

    /// Closes what is unused for too long. Called every second.
    pub(crate) fn sweep(&self, now: u32) {
        self.destinations.lock().retain(|_, destination| {
            let unused = destination.sweep(now);
            !unused || Arc::strong_count(destination) > 1
        });
    }
}

impl ExternalService {
    /// Whether its names are to be looked up again.
    pub(crate) fn is_stale(&self, now: u32) -> bool {
        self.stale_at.is_some_and(|stale_at| now >= stale_at)
    }

    /// Sends a request to one of its endpoints; after one that cannot be reached the next is tried, up to a limit.
    ///
    /// # Errors
    /// The last endpoint's.
    pub(crate) async fn send(
        &self,
        worker: &Arc<Worker>,
        request: Box<Request<Body>>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let mut last = self.nowhere();
        for endpoint in self.in_turn(worker) {
            let http2 = endpoint.wants_http2(request.version());
            match endpoint.reach(worker, http2).await {
                Ok(connection) => {
                    record.upstream(endpoint.address());
                    return endpoint.send(worker, connection, request).await;
                }
                Err(error) if error.is_unprocessed() => last = endpoint.failed(worker, error),
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Opens a byte stream to one of its endpoints, and what makes its close an abort.
    ///
    /// # Errors
    /// The last endpoint's.
    pub(crate) async fn open_stream(
        &self,
        worker: &Arc<Worker>,
        used: StreamUse,
    ) -> Result<(BoxedIo, StreamAborter), RequestError> {
        let mut last = self.nowhere();
        for endpoint in self.in_turn(worker) {
            match endpoint.open_stream(worker, used).await {
                Err(error) if error.is_unprocessed() => last = endpoint.failed(worker, error),
                done => return done,
            }
        }
        Err(last)
    }

    fn nowhere(&self) -> RequestError {
        RequestError::NoEndpoint(self.service.host.to_string())
    }

    /// The endpoints, beginning with another one each time; those that failed a moment ago last.
    fn in_turn(&self, worker: &Worker) -> Vec<&Arc<EgressDestination>> {
        let turn = worker.egress.turn.fetch_add(1, Relaxed) % self.endpoints.len().max(1);
        let (before, after) = self.endpoints.split_at(turn.min(self.endpoints.len()));
        let (now, limits) = (worker.state.clock.coarse(), &worker.state.settings.limits);
        let mut all: Vec<_> = after.iter().chain(before).collect();
        all.sort_by_key(|endpoint| endpoint.rests(now, limits.endpoint_rest));
        all.truncate(MOST_DIALLED);
        all
    }
}
