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
//! `dial` (how a connection is made), `connections` (those that are open).

mod connections;
mod dial;
mod dialer;
mod request;
mod stream;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use identity::SpiffeId;
use parking_lot::Mutex;
use policy::Service;
use policy::traffic_policy::ConnectionPool;

use crate::http::error::{OtherEnd, RequestError};
use crate::http::h2_client::ReservedStream;
use crate::http::h2_pool::{self, H2Pool, TRIES};
use crate::labels::Direction;
use crate::limits::Limits;
use connections::ConnectionGeneration;
pub use dialer::MeshDialer;
pub use request::RequestConnection;
pub use stream::StreamKind;

/// The other end in errors.
const WHO: OtherEnd = OtherEnd::Upstream;

/// The destinations of a worker.
#[derive(Default)]
pub struct MeshPool {
    destinations: Mutex<HashMap<DestinationKey, Arc<Destination>>>,
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
    host: Arc<str>,
    identities: Arc<[SpiffeId]>,
    /// What a DestinationRule says otherwise than the configuration.
    own_limits: Option<Box<Limits>>,
    /// The connections that requests share.
    requests: H2Pool,
    /// The connections that byte streams share, to a proxy of ours.
    streams: H2Pool,
    connections: Mutex<ConnectionGeneration>,
    /// The server does not know `postern/1` and answers it with an alert: offer no ALPN for opaque bytes.
    offer_nothing: AtomicBool,
}

impl MeshPool {
    /// The destination with this address and the identities of `service`, whose host names it in the handshake; its
    /// connections are made as `pool` says, and otherwise as `limits` do. At most `limits.poolDestinations` are kept.
    pub fn destination(
        &self,
        limits: &Limits,
        address: SocketAddr,
        service: &Service,
        pool: &ConnectionPool,
    ) -> Arc<Destination> {
        let most = usize::try_from(limits.pool_destinations).unwrap_or(1);
        let (host, identities) = (&service.host, &service.identities);
        let key = DestinationKey { address, identities: identities.clone() };
        let own = own_limits(limits, pool);
        let mut destinations = self.destinations.lock();
        match destinations.get(&key) {
            Some(known) if known.own_limits == own => return known.clone(),
            // Other limits than before: what uses the old one ends by itself.
            Some(_) => {}
            None if destinations.len() >= most => {
                destinations.retain(|_, destination| Arc::strong_count(destination) > 1);
                if destinations.len() >= most {
                    return Destination::new(address, host, identities, own);
                }
            }
            None => {}
        }
        let destination = Destination::new(address, host, identities, own);
        destinations.insert(key, destination.clone());
        destination
    }

    /// Closes connections without a stream for `idle` sweeps and idle HTTP/1.1 connections past their limit, and
    /// forgets destinations without references. Called every second.
    pub fn sweep(&self, now: u32, idle: u32) {
        self.destinations.lock().retain(|_, destination| {
            let unused = destination.sweep(now, idle);
            !unused || Arc::strong_count(destination) > 1
        });
    }
}

impl Destination {
    fn new(
        address: SocketAddr,
        host: &Arc<str>,
        identities: &Arc<[SpiffeId]>,
        own_limits: Option<Box<Limits>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            address,
            host: host.clone(),
            identities: identities.clone(),
            own_limits,
            requests: H2Pool::default(),
            streams: H2Pool::default(),
            connections: Mutex::default(),
            offer_nothing: AtomicBool::new(false),
        })
    }

    /// The limits of its connections.
    fn limits<'a>(&'a self, dialer: &'a MeshDialer) -> &'a Limits {
        self.own_limits.as_deref().unwrap_or(&dialer.state.settings.limits)
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
        if !pool.is_full(self.limits(dialer)) {
            return Ok(());
        }
        dialer.state.metrics.overflow(Direction::Outbound);
        Err(RequestError::Overflow { who: WHO, address: self.address })
    }

    /// Closes what is unused for too long; returns whether nothing is left.
    fn sweep(&self, now: u32, idle: u32) -> bool {
        let idle = self.own_limits.as_ref().map_or(idle, |own| seconds(own.pool_idle_timeout));
        let unused = [self.requests.sweep(idle), self.streams.sweep(idle)];
        self.connections.lock().sweep(now) && unused == [true, true]
    }
}

/// The limits with what a DestinationRule says otherwise; `None` where it says nothing of them.
fn own_limits(limits: &Limits, pool: &ConnectionPool) -> Option<Box<Limits>> {
    let mut own = *limits;
    own.connect_timeout = pool.connect_timeout.unwrap_or(limits.connect_timeout);
    own.mesh_connections = pool.max_connections.unwrap_or(limits.mesh_connections);
    own.pool_connections = pool.max_connections.unwrap_or(limits.pool_connections);
    own.pool_idle_timeout = pool.http.idle_timeout.unwrap_or(limits.pool_idle_timeout);
    (own != *limits).then(|| Box::new(own))
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
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
