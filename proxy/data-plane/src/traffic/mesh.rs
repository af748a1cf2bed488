//! Connections to other workloads, over mutual TLS: shared HTTP/2 connections wherever the peer speaks it, otherwise
//! HTTP/1.1 or bare bytes.
//!
//! Requests share some connections and byte streams share others: a stream that carries bulk data, or lasts for days,
//! never delays a request. One connection of each kind is enough until its streams are at their limit; then another is
//! opened, up to `meshConnections`.
//!
//! Connections are kept per worker, address and expected identities. A new certificate of ours opens new connections;
//! the old ones end when their last stream is done, so a rotation drops nothing.
//!
//! [`Destination`] is split into parts: `request` (a request over a pooled connection), `stream` (a byte stream),
//! `dial` (how a connection is made), `connections` (those that are open), `health` (whether it is worth an attempt).

mod connections;
mod dial;
mod dialer;
mod health;
mod request;
mod stream;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use identity::SpiffeId;
use parking_lot::Mutex;

use crate::http::error::{OtherEnd, RequestError};
use crate::http::h2_client::ReservedStream;
use crate::http::h2_pool::{self, H2Pool, TRIES};
use crate::labels::Direction;
use connections::ConnectionGeneration;
pub use dialer::MeshDialer;
pub use health::DestinationHealth;
pub use request::RequestConnection;
pub use stream::StreamKind;

/// The other end in errors.
const WHO: OtherEnd = OtherEnd::Upstream;

/// The destinations of a worker.
pub struct MeshPool {
    destinations: Mutex<HashMap<DestinationKey, Arc<Destination>>>,
    turn: AtomicUsize,
}

#[derive(PartialEq, Eq, Hash)]
struct DestinationKey {
    address: SocketAddr,
    identities: Arc<[SpiffeId]>,
}

/// One address that must present one of some identities, and our connections to it.
pub struct Destination {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it is worth an attempt.
    pub health: DestinationHealth,
    host: Arc<str>,
    identities: Arc<[SpiffeId]>,
    /// Requests of this worker that wait for their answer.
    waiting: AtomicUsize,
    /// The connections that requests share.
    requests: H2Pool,
    /// The connections that byte streams share, to a proxy of ours.
    streams: H2Pool,
    connections: Mutex<ConnectionGeneration>,
    /// The server does not know `postern/1` and answers it with an alert: offer no ALPN for opaque bytes.
    offer_nothing: AtomicBool,
}

impl Default for MeshPool {
    /// No destination yet. The turn starts at a random number, so that callers that have just started do not all begin
    /// with the same endpoint.
    fn default() -> Self {
        let start = usize::try_from(RandomState::new().hash_one(0)).unwrap_or(0);
        Self { destinations: Mutex::default(), turn: AtomicUsize::new(start) }
    }
}

impl MeshPool {
    /// The destination with this address and these identities; `host` names it in the handshake. At most `most` are
    /// kept.
    pub fn destination(
        &self,
        most: usize,
        address: SocketAddr,
        host: &Arc<str>,
        identities: &Arc<[SpiffeId]>,
    ) -> Arc<Destination> {
        let key = DestinationKey { address, identities: identities.clone() };
        let mut destinations = self.destinations.lock();
        if destinations.len() >= most && !destinations.contains_key(&key) {
            destinations.retain(|_, destination| Arc::strong_count(destination) > 1);
            if destinations.len() >= most {
                return Destination::new(address, host, identities);
            }
        }
        let known = destinations.entry(key);
        known.or_insert_with(|| Destination::new(address, host, identities)).clone()
    }

    /// A number that grows by one with each call, for round-robin among endpoints.
    pub fn turn(&self) -> usize {
        self.turn.fetch_add(1, Relaxed)
    }

    /// Closes connections without a stream for `idle` sweeps and idle HTTP/1.1 connections past their limit, and
    /// forgets destinations without references. Called every second.
    pub fn sweep(&self, now: u32, idle: u32) {
        self.destinations.lock().retain(|_, destination| {
            let unused = destination.sweep(now, idle);
            !unused || Arc::strong_count(destination) > 1 || destination.health.is_recent(now)
        });
    }
}

impl Destination {
    fn new(address: SocketAddr, host: &Arc<str>, identities: &Arc<[SpiffeId]>) -> Arc<Self> {
        Arc::new(Self {
            address,
            health: DestinationHealth::default(),
            host: host.clone(),
            identities: identities.clone(),
            waiting: AtomicUsize::new(0),
            requests: H2Pool::default(),
            streams: H2Pool::default(),
            connections: Mutex::default(),
            offer_nothing: AtomicBool::new(false),
        })
    }

    /// Requests of this worker that wait for its answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Whether the service may still have this identity by the resources in force.
    pub(crate) fn is_still(&self, dialer: &MeshDialer, peer: &SpiffeId) -> bool {
        let table = dialer.state.services.table();
        table.named(&self.host).any(|service| service.identities.contains(peer))
    }

    /// Reserves one more stream on a shared connection made with the certificate in force, if one has a free stream.
    fn reserve_stream(
        &self,
        dialer: &MeshDialer,
        pool: &H2Pool,
    ) -> Result<Option<ReservedStream>, RequestError> {
        let _current = self.current(dialer)?;
        Ok(pool.reserve_stream())
    }

    /// Whether one more connection may be opened for this pool.
    ///
    /// # Errors
    /// [`RequestError::Overflow`] at the limit.
    fn may_open(&self, dialer: &MeshDialer, pool: &H2Pool) -> Result<(), RequestError> {
        if !pool.is_full(&dialer.state.settings.limits) {
            return Ok(());
        }
        dialer.state.metrics.overflow(Direction::Outbound);
        Err(RequestError::Overflow { who: WHO, address: self.address })
    }

    /// Closes what is unused for too long; returns whether nothing is left.
    fn sweep(&self, now: u32, idle: u32) -> bool {
        let unused = [self.requests.sweep(idle), self.streams.sweep(idle)];
        self.connections.lock().sweep(now) && unused == [true, true]
    }
}

/// Connections ended faster than they were opened.
fn ended() -> RequestError {
    h2_pool::ended(WHO)
}

/// A proxy of ours that does not support CONNECT streams.
fn no_streams() -> RequestError {
    let cause = "the peer takes no CONNECT streams".to_owned();
    RequestError::Broken { who: WHO, cause, unprocessed: false }
}

fn broken(error: &impl std::error::Error) -> RequestError {
    RequestError::broken(WHO, error)
}
