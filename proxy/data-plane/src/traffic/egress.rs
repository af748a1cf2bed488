//! The connections of a worker to services outside the mesh, in plaintext or in TLS that the proxy begins.
//!
//! Where a service is, and whether it may be called, is found out before ([`crate::traffic::outbound`]). The parts:
//! `destination` (the connections to one address), `web_tls` (the TLS of the web).

mod destination;
pub(crate) mod shown;
mod web_tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use http::{Request, Response};
use parking_lot::Mutex;
use policy::Service;
use policy::traffic_policy::ConnectionPool;

use crate::connection::net::{BoxedIo, StreamAborter};
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::traffic::record::TrafficMeter;
use crate::traffic::state::ProxyState;
use destination::EgressDestination;
pub(crate) use destination::{EgressKey, StreamUse, begun};
pub(crate) use shown::ShownCertificate;
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
    pub(crate) endpoints: Vec<Arc<EgressDestination>>,
    /// When its names have to be looked up again, in seconds of the coarse clock; `None` where its endpoints are addresses.
    pub(crate) stale_at: Option<u32>,
}

/// What connections are made with.
#[derive(Clone, Copy)]
pub(crate) struct EgressDialer<'a> {
    /// Limits, counters and the clock.
    pub(crate) state: &'a ProxyState,
    /// The worker's connections.
    pub(crate) pool: &'a EgressPool,
}

impl EgressPool {
    /// The connections to an address, made as `pool` says; at most `limits.poolDestinations` are kept.
    pub(crate) fn destination(
        &self,
        state: &ProxyState,
        key: EgressKey,
        pool: &ConnectionPool,
    ) -> Arc<EgressDestination> {
        let limits = destination::limits(&state.settings.limits, pool);
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
    /// Whether everything that is sent there goes within TLS that the proxy begins.
    pub(crate) fn begins_tls(&self) -> bool {
        !self.endpoints.is_empty() && self.endpoints.iter().all(|endpoint| endpoint.begins_tls())
    }

    /// Whether its names are to be looked up again.
    pub(crate) fn is_stale(&self, now: u32) -> bool {
        self.stale_at.is_some_and(|stale_at| now >= stale_at)
    }

    /// Sends a request to one of its endpoints; after one that cannot be reached the next is tried, up to a limit. `reached`
    /// is told the address of the one that took it.
    ///
    /// # Errors
    /// The last endpoint's.
    pub(crate) async fn send(
        &self,
        dialer: &EgressDialer<'_>,
        request: Box<Request<Body>>,
        reached: impl FnOnce(SocketAddr),
    ) -> Result<Response<Body>, RequestError> {
        let mut last = self.nowhere();
        for endpoint in self.in_turn(dialer) {
            let http2 = endpoint.wants_http2(request.version());
            match endpoint.reach(dialer, http2).await {
                Ok(connection) => {
                    reached(endpoint.address());
                    return endpoint.send(dialer, connection, request).await;
                }
                Err(error) if error.is_unprocessed() => last = endpoint.failed(dialer, error),
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
        dialer: &EgressDialer<'_>,
        used: StreamUse,
    ) -> Result<(BoxedIo, StreamAborter), RequestError> {
        let mut last = self.nowhere();
        for endpoint in self.in_turn(dialer) {
            match endpoint.open_stream(dialer, used).await {
                Err(error) if error.is_unprocessed() => last = endpoint.failed(dialer, error),
                done => return done,
            }
        }
        Err(last)
    }

    fn nowhere(&self) -> RequestError {
        RequestError::NoEndpoint(self.service.host.to_string())
    }

    /// The endpoints, beginning with another one each time; those that failed a moment ago last.
    fn in_turn(&self, dialer: &EgressDialer<'_>) -> Vec<&Arc<EgressDestination>> {
        let turn = dialer.pool.turn.fetch_add(1, Relaxed) % self.endpoints.len().max(1);
        let (before, after) = self.endpoints.split_at(turn.min(self.endpoints.len()));
        let (now, limits) = (dialer.state.clock.coarse(), &dialer.state.settings.limits);
        let mut all: Vec<_> = after.iter().chain(before).collect();
        all.sort_by_key(|endpoint| endpoint.rests(now, limits.endpoint_rest));
        all.truncate(MOST_DIALLED);
        all
    }
}
