//! Every open connection of the process: peer, destination, when it was opened, and when it expires.
//!
//! A connection is registered before its first check and removed by a guard on drop, so that a
//! policy change, an expiring certificate or a drain finds all of them. Workers write only to
//! their own shard; control and admin walk all shards.

mod closing;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use identity::SpiffeId;
use parking_lot::Mutex;
use policy::Snapshot;
use tokio::sync::Notify;

use crate::connection::mesh_connection::{LifetimeBounds, MeshConnection};
use crate::labels::{CloseReason, Direction, Protocol};
use closing::CloseSignal;

/// What a connection is doing, which decides its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ConnectionPhase {
    /// Handshake and detection: bounded by deadlines of their own.
    Opening = 0,
    /// Kept alive, without an open request.
    Idle = 1,
    /// Part of a request head has arrived.
    Head = 2,
    /// Open requests or a tunnel.
    Busy = 3,
    /// Its protocol is known, and its first request is still incomplete.
    First = 4,
}

impl ConnectionPhase {
    /// Whether it has not yet sent a request, so that it is evicted first when descriptors run out.
    #[must_use]
    pub fn is_unproven(self) -> bool {
        matches!(self, Self::Opening | Self::First)
    }
}

/// The verified other side of a mutual TLS connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its SPIFFE id.
    pub id: SpiffeId,
    /// End of its certificate, Unix seconds.
    pub not_after: u64,
    /// SHA-256 of its leaf certificate, DER.
    pub leaf_sha256: [u8; 32],
    /// The server name the client sent, if any.
    pub sni: Option<Arc<str>>,
}

/// An open request or stream of a connection, which is authorized again when policy changes.
pub trait ReviewableStream: Send + Sync {
    /// Authorizes it by another snapshot, and withdraws it when it is no longer allowed.
    fn review(&self, connection: &Connection, snapshot: &Snapshot);
}

/// The value of `Connection::unread` for opaque bytes, whose reader may pause for any time.
const OPAQUE: u32 = u32::MAX;

/// The values of `Connection::buffers`.
const BUFFERS_NONE: u8 = 0;
const BUFFERS_HELD: u8 = 1;
const BUFFERS_ASKED_FOR: u8 = 2;

/// How long a connection may take for a request's head, and wait for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionDeadlines {
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// Without a request.
    pub idle: Duration,
}

/// One open connection.
pub struct Connection {
    /// Number within the process, never used twice.
    pub id: u64,
    /// Inbound or outbound.
    pub direction: Direction,
    /// The client's address.
    pub source: SocketAddr,
    /// The destination that policy sees: the app's own address on the inbound side.
    pub destination: SocketAddr,
    /// Coarse second of the process clock at which it was opened.
    pub opened: u32,
    peer: OnceLock<Peer>,
    /// The server name that a client at the edge asked for.
    server_name: OnceLock<Box<str>>,
    /// The deadlines of its own, where it has any.
    deadlines: OnceLock<ConnectionDeadlines>,
    protocol: AtomicU8,
    phase: AtomicU8,
    since: AtomicU32,
    in_flight: AtomicU32,
    /// The mesh TLS connection that it is, or that carries it; shared by all streams of one.
    mesh_connection: OnceLock<Arc<MeshConnection>>,
    /// What the certificate of a client at the edge bounds, where the client is somebody by it.
    client_bounds: OnceLock<LifetimeBounds>,
    received: AtomicU64,
    sent: AtomicU64,
    /// Since when the client has read none of the pending bytes: a coarse second plus one; 0 while it reads, [`OPAQUE`]
    /// where the pause has no limit.
    unread: AtomicU32,
    closing: CloseSignal,
    wake: Notify,
    evicted: Notify,
    /// Whether it has buffers while it waits for a request: [`BUFFERS_HELD`] and the two beside it.
    buffers: AtomicU8,
    fragment: OnceLock<Box<[u8]>>,
    /// Locked by the connection's own worker, and by the control thread when policy changes.
    active_streams: Mutex<Vec<Arc<dyn ReviewableStream>>>,
}

impl Connection {
    /// Number, addresses and server name, as they appear in every log line of this connection's requests. Cached, so it
    /// must not be called before the handshake is complete.
    pub fn fragment(&self) -> &[u8] {
        self.fragment.get_or_init(|| {
            crate::telemetry::fragment(|line| {
                line.number("connection", self.id)
                    .plain("source_ip", self.source.ip())
                    .plain("destination", self.destination)
                    .optional_text("sni", self.peer().and_then(|p| p.sni.as_deref()));
            })
        })
    }

    /// The verified peer; `None` in plaintext or before the handshake is complete.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.get()
    }

    /// Sets the verified peer. Only the first call counts.
    pub fn set_peer(&self, peer: Peer) {
        let _ = self.peer.set(peer);
    }

    /// The deadlines of its own; `None`: those of the proxy hold.
    pub fn deadlines(&self) -> Option<ConnectionDeadlines> {
        self.deadlines.get().copied()
    }

    /// Gives the connection deadlines of its own. Only the first call counts.
    pub fn set_deadlines(&self, deadlines: ConnectionDeadlines) {
        let _ = self.deadlines.set(deadlines);
    }

    /// The server name that the client asked for in its handshake, as far as it is known.
    pub fn server_name(&self) -> Option<&str> {
        let of_peer = || self.peer().and_then(|peer| peer.sni.as_deref());
        self.server_name.get().map(|name| &**name).or_else(of_peer)
    }

    /// Sets the server name of a client that need not be anybody. Only the first call counts.
    pub fn set_server_name(&self, name: &str) {
        let _ = self.server_name.set(name.into());
    }

    /// Sets the detected protocol. A request stores its protocol first and then reads the snapshot; a policy change
    /// stores the snapshot first and then reads the protocol. All use `SeqCst`, so at least one of the two sees the
    /// other.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.protocol.store(protocol as u8, SeqCst);
    }

    /// The protocol, as far as it is known.
    pub fn protocol(&self) -> Protocol {
        Protocol::from_code(self.protocol.load(SeqCst))
    }

    /// Sets the mesh TLS connection that carries it, which bounds it. Only the first call counts. The caller checks
    /// afterwards whether the mesh connection was cut meanwhile; the code that cuts one looks afterwards for what it
    /// carries. At least one of the two sees the other.
    pub fn set_mesh_connection(&self, mesh_connection: Arc<MeshConnection>) {
        let _ = self.mesh_connection.set(mesh_connection);
        fence(SeqCst);
    }

    /// The mesh TLS connection that it is or that carries it; `None` in plaintext.
    pub fn mesh_connection(&self) -> Option<&Arc<MeshConnection>> {
        self.mesh_connection.get()
    }

    /// Bounds it by the certificate of its client at the edge, which ends at `ends`; both are Unix seconds. Only the first
    /// call counts.
    pub fn bound_by_client_certificate(&self, now: u64, ends: u64) {
        let _ = self.client_bounds.set(LifetimeBounds::new(now, ends, self.id));
    }

    /// What certificates bound: those of its mesh TLS connection, and that of a client at the edge.
    fn bounds(&self) -> impl Iterator<Item = LifetimeBounds> {
        let mesh = self.mesh_connection().map(|mesh_connection| mesh_connection.bounds());
        mesh.into_iter().chain(self.client_bounds.get().copied())
    }

    /// Whether a certificate that bounds it has expired.
    pub fn has_expired(&self, unix: u64) -> bool {
        self.bounds().any(|bounds| unix >= bounds.expires)
    }

    /// The moment at which bytes of this protocol must end because of a certificate; `u64::MAX` when there is none.
    /// Opaque bytes cannot be drained, so they have until the certificate's end.
    pub fn expiry(&self) -> u64 {
        let stream = self.protocol().is_stream();
        let moments =
            self.bounds().map(|bounds| if stream { bounds.expires } else { bounds.drain_at });
        moments.min().unwrap_or(u64::MAX)
    }

    /// Sets the phase and when it began.
    pub fn enter_phase(&self, phase: ConnectionPhase, now: u32) {
        self.phase.store(phase as u8, Relaxed);
        self.since.store(now, Relaxed);
    }

    /// The phase and the coarse second at which it began.
    pub fn phase(&self) -> (ConnectionPhase, u32) {
        let phase = match self.phase.load(Relaxed) {
            0 => ConnectionPhase::Opening,
            1 => ConnectionPhase::Idle,
            2 => ConnectionPhase::Head,
            4 => ConnectionPhase::First,
            _ => ConnectionPhase::Busy,
        };
        (phase, self.since.load(Relaxed))
    }

    /// A request or stream begins.
    pub fn begin(&self, now: u32) {
        self.in_flight.fetch_add(1, Relaxed);
        self.enter_phase(ConnectionPhase::Busy, now);
    }

    /// A request or stream has ended; the last one leaves the connection idle.
    pub fn end(&self, now: u32) {
        if self.in_flight.fetch_sub(1, Relaxed) == 1 {
            self.enter_phase(ConnectionPhase::Idle, now);
        }
    }

    /// Requests and streams under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Counts bytes from the client. Only the connection's own worker calls it, so a plain load and store is enough.
    pub fn add_received(&self, bytes: usize) {
        self.received.store(self.received.load(Relaxed) + bytes as u64, Relaxed);
    }

    /// Counts bytes to the client.
    pub fn add_sent(&self, bytes: usize) {
        self.sent.store(self.sent.load(Relaxed) + bytes as u64, Relaxed);
    }

    /// Bytes from and to the client so far.
    pub fn bytes(&self) -> (u64, u64) {
        (self.received.load(Relaxed), self.sent.load(Relaxed))
    }

    /// Notes that the client stopped reading. Only the connection's own worker calls this and the next two.
    pub fn is_unread(&self, now: u32) {
        if self.unread.load(Relaxed) == 0 {
            self.unread.store(now + 1, Relaxed);
        }
    }

    /// Notes that the client has read bytes.
    pub fn is_read(&self) {
        if !matches!(self.unread.load(Relaxed), 0 | OPAQUE) {
            self.unread.store(0, Relaxed);
        }
    }

    /// From now on the connection carries opaque bytes, whose reader may pause for any time.
    pub fn allow_idle(&self) {
        self.unread.store(OPAQUE, Relaxed);
    }

    /// For how many seconds the client has read none of the pending bytes; 0 while it reads.
    pub fn unread_for(&self, now: u32) -> u32 {
        match self.unread.load(Relaxed) {
            0 | OPAQUE => 0,
            since => now.saturating_sub(since - 1),
        }
    }

    /// Asks the connection to close. The first reason wins, but an abort overrides a drain.
    pub fn close(&self, reason: CloseReason) {
        if self.closing.ask(reason) {
            self.wake.notify_one();
        }
    }

    /// Evicts a connection that has not yet sent a request, also while it is being opened.
    pub fn evict(&self) {
        self.close(CloseReason::Descriptors);
        self.evicted.notify_one();
    }

    /// Waits until the connection is evicted. For one waiter: the task that opens the connection.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Notes whether the connection has buffers to read and write with. Only its own worker calls this and the next
    /// two.
    pub fn hold_buffers(&self, held: bool) {
        self.buffers.store(if held { BUFFERS_HELD } else { BUFFERS_NONE }, Relaxed);
    }

    /// Asks a connection that waits for a request to give its buffers back; nothing where it has none.
    pub fn ask_for_buffers(&self) {
        if self.buffers.load(Relaxed) == BUFFERS_HELD {
            self.buffers.store(BUFFERS_ASKED_FOR, Relaxed);
            self.wake.notify_one();
        }
    }

    /// Whether it is to give its buffers back.
    pub fn is_asked_for_buffers(&self) -> bool {
        self.buffers.load(Relaxed) == BUFFERS_ASKED_FOR
    }

    /// Whether it has buffers.
    #[cfg(test)]
    pub(crate) fn has_buffers(&self) -> bool {
        self.buffers.load(Relaxed) != BUFFERS_NONE
    }

    /// Registers an open request, to be authorized again when policy changes.
    pub fn add(&self, request: Arc<dyn ReviewableStream>) {
        self.active_streams.lock().push(request);
    }

    /// Removes it: it is no longer authorized again.
    pub fn remove(&self, request: &Arc<dyn ReviewableStream>) {
        let mut active_streams = self.active_streams.lock();
        if let Some(place) = active_streams.iter().position(|other| Arc::ptr_eq(other, request)) {
            active_streams.swap_remove(place);
        }
    }

    /// Authorizes all open requests and streams by another snapshot.
    pub fn review_all(&self, snapshot: &Snapshot) {
        let active_streams = self.active_streams.lock().clone();
        active_streams.iter().for_each(|request| request.review(self, snapshot));
    }

    /// Why the connection was asked to close, if it was: by its own reason, or that of the mesh connection.
    pub fn closing(&self) -> Option<CloseReason> {
        self.closing.reason().or_else(|| self.mesh_connection()?.closing())
    }

    /// Waits until the connection is asked to close (again: an abort may follow a drain).
    pub async fn asked_to_close(&self) -> CloseReason {
        loop {
            self.wake.notified().await;
            if let Some(reason) = self.closing() {
                return reason;
            }
        }
    }
}

/// All open connections, in one shard per worker.
pub struct Registry {
    shards: Vec<Mutex<HashMap<u64, Arc<Connection>>>>,
    next: AtomicU64,
    open: AtomicUsize,
}

impl Registry {
    /// An empty registry for this many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let shards = (0..workers.max(1)).map(|_| Mutex::default()).collect();
        Self { shards, next: AtomicU64::new(1), open: AtomicUsize::new(0) }
    }

    /// Registers a connection; it is removed when the guard is dropped.
    pub fn register(
        self: &Arc<Self>,
        worker: usize,
        direction: Direction,
        source: SocketAddr,
        destination: SocketAddr,
        now: u32,
    ) -> RegisteredConnection {
        let connection = Arc::new(Connection {
            id: self.next.fetch_add(1, Relaxed),
            direction,
            source,
            destination,
            opened: now,
            peer: OnceLock::new(),
            server_name: OnceLock::new(),
            deadlines: OnceLock::new(),
            protocol: AtomicU8::new(Protocol::Unknown as u8),
            phase: AtomicU8::new(ConnectionPhase::Opening as u8),
            since: AtomicU32::new(now),
            in_flight: AtomicU32::new(0),
            mesh_connection: OnceLock::new(),
            client_bounds: OnceLock::new(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            unread: AtomicU32::new(0),
            closing: CloseSignal::default(),
            wake: Notify::new(),
            evicted: Notify::new(),
            buffers: AtomicU8::new(BUFFERS_NONE),
            fragment: OnceLock::new(),
            active_streams: Mutex::default(),
        });
        let shard = worker % self.shards.len();
        self.open.fetch_add(1, Relaxed);
        self.shards[shard].lock().insert(connection.id, connection.clone());
        RegisteredConnection { connection, registry: self.clone(), shard }
    }

    /// Every open connection at this moment.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.shards.iter().flat_map(|s| s.lock().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// The open connections that one TLS connection is or carries.
    #[must_use]
    pub fn on_mesh_connection(
        &self,
        mesh_connection: &Arc<MeshConnection>,
    ) -> Vec<Arc<Connection>> {
        let on = |connection: &Arc<Connection>| {
            connection.mesh_connection().is_some_and(|other| Arc::ptr_eq(other, mesh_connection))
        };
        self.all().into_iter().filter(on).collect()
    }

    /// The open connections of one worker.
    #[must_use]
    pub fn of_worker(&self, worker: usize) -> Vec<Arc<Connection>> {
        self.shards[worker % self.shards.len()].lock().values().cloned().collect()
    }

    /// How many connections are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Whether no connection is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A registered connection; dropping it takes it out of the registry.
pub struct RegisteredConnection {
    connection: Arc<Connection>,
    registry: Arc<Registry>,
    shard: usize,
}

impl std::ops::Deref for RegisteredConnection {
    type Target = Arc<Connection>;
    fn deref(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for RegisteredConnection {
    fn drop(&mut self) {
        self.registry.shards[self.shard].lock().remove(&self.connection.id);
        self.registry.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s28_a_client_of_the_edge_is_somebody_for_as_long_as_its_certificate_lasts() {
        let registry = Arc::new(Registry::new(1));
        let address: SocketAddr = ([192, 0, 2, 1], 443).into();
        let register = |protocol| {
            let connection = registry.register(0, Direction::Inbound, address, address, 0);
            connection.set_protocol(protocol);
            connection
        };
        let nobody = register(Protocol::Http2);
        assert_eq!((nobody.expiry(), nobody.has_expired(u64::MAX - 1)), (u64::MAX, false));
        for (row, protocol, drained) in
            [("requests", Protocol::Http2, 1800..1900), ("bytes", Protocol::Tcp, 2000..2001)]
        {
            let partner = register(protocol);
            partner.bound_by_client_certificate(1000, 2000);
            assert!(drained.contains(&partner.expiry()), "{row}: {}", partner.expiry());
            assert!(!partner.has_expired(1999) && partner.has_expired(2000), "{row}");
        }
    }
}
