//! To other workloads, over mutual TLS: one shared HTTP/2 connection a destination wherever the
//! peer speaks it, HTTP/1.1 or bare bytes else.
//!
//! Connections are kept per worker, address and expected identities. A new certificate of ours
//! opens new connections; the old ones end by themselves when their last stream is done, so a
//! rotation drops nothing.
//!
//! [`Destination`] is told in parts: `request` (a request over a pooled connection), `stream` (a
//! byte stream), `dial` (how a connection is made), `connections` (those that are open), `health`
//! (whether it is worth a try).

mod connections;
mod dial;
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

use crate::error::{OtherEnd, RequestError};
use crate::worker::Worker;
use connections::Connections;
pub use health::Health;
pub use request::Hop;
pub use stream::StreamKind;

/// Who it is that fails here.
const WHO: OtherEnd = OtherEnd::Upstream;
/// Shared connections looked at for one request: some may have come to their end, unnoticed.
const TRIES: usize = 10;

/// The destinations that a worker is connected to.
pub struct MeshPool {
    destinations: Mutex<HashMap<Key, Arc<Destination>>>,
    turn: AtomicUsize,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    address: SocketAddr,
    identities: Arc<[SpiffeId]>,
}

/// One address that must prove one of some identities, and our connections to it.
pub struct Destination {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it is worth a try.
    pub health: Health,
    host: Arc<str>,
    identities: Arc<[SpiffeId]>,
    /// Requests of this worker that wait for their answer.
    waiting: AtomicUsize,
    connections: Mutex<Connections>,
    /// Held while a shared connection is opened, so that a crowd opens one and not hundreds.
    opening: tokio::sync::Mutex<()>,
    /// The server knows no `postern/1` and says so by an alert: offer nothing for opaque bytes.
    offer_nothing: AtomicBool,
}

impl Default for MeshPool {
    /// No destination yet. Turns begin anywhere, so that callers that have just started do not all
    /// begin with the same endpoint.
    fn default() -> Self {
        let anywhere = usize::try_from(RandomState::new().hash_one(0)).unwrap_or(0);
        Self { destinations: Mutex::default(), turn: AtomicUsize::new(anywhere) }
    }
}

impl MeshPool {
    /// The destination with this address and these identities; `host` names it in the handshake.
    /// At most `most` are kept.
    pub fn destination(
        &self,
        most: usize,
        address: SocketAddr,
        host: &Arc<str>,
        identities: &Arc<[SpiffeId]>,
    ) -> Arc<Destination> {
        let key = Key { address, identities: identities.clone() };
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

    /// A number that goes up by one each time: whose turn it is among endpoints.
    pub fn turn(&self) -> usize {
        self.turn.fetch_add(1, Relaxed)
    }

    /// Closes connections without a stream for `idle` sweeps, idle HTTP/1.1 connections from before
    /// their limit, and forgets destinations that nobody refers to. Called every second.
    pub fn sweep(&self, now: u32, idle: u32) {
        self.destinations.lock().retain(|_, destination| {
            let unused = destination.connections.lock().sweep(now, idle);
            !unused || Arc::strong_count(destination) > 1 || destination.health.is_recent(now)
        });
    }
}

impl Destination {
    fn new(address: SocketAddr, host: &Arc<str>, identities: &Arc<[SpiffeId]>) -> Arc<Self> {
        Arc::new(Self {
            address,
            health: Health::default(),
            host: host.clone(),
            identities: identities.clone(),
            waiting: AtomicUsize::new(0),
            connections: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            offer_nothing: AtomicBool::new(false),
        })
    }

    /// Requests of this worker that wait for an answer of it.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Whether resources still say that the service may be this one.
    pub(crate) fn is_still(&self, worker: &Worker, peer: &SpiffeId) -> bool {
        let snapshot = worker.state.snapshot();
        let mut services = snapshot.services().iter();
        services.any(|service| service.host == self.host && service.identities.contains(peer))
    }

    /// A turn to open a shared connection. Whoever has waited as long as a connection may take goes
    /// without one, so that a dead upstream does not make a queue of those who call it.
    async fn turn_to_open(&self, worker: &Worker) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let limit = worker.state.config.limits.connect_timeout;
        tokio::time::timeout(limit, self.opening.lock()).await.ok()
    }
}

/// Connections came to their end faster than they were opened.
fn ended() -> RequestError {
    let cause = format!("{TRIES} connections ended before they took the request");
    RequestError::Broken { who: WHO, cause, unprocessed: true }
}

fn broken(error: &impl std::error::Error) -> RequestError {
    RequestError::broken(WHO, error)
}
