//! What bounds a TLS connection of the mesh in time and in trust: the certificates it was made
//! with, and when they end.
//!
//! A [`MeshConnection`] is shared by a TLS connection and everything that it carries, on either side of it. One
//! mechanism ends all of them: HTTP is drained before a certificate ends, opaque bytes are
//! re-authenticated in place ([`crate::connection::reauth`]) or cut at the end, and whatever the peer proved is
//! verified again whenever roots or revocation lists change.

mod lifetime;

use std::collections::HashMap;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, fence};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use identity::verify::{HandshakeSide, VerifyError, verify_peer};
use identity::{SpiffeId, TrustBundles};
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::Notify;

use crate::connection::credentials::Credentials;
use crate::connection::reauth::{ChannelBinding, ConnectionName};
use crate::connection::registry::Peer;
use crate::labels::CloseReason;
pub use lifetime::LifetimeBounds;

/// The certificates a peer presented, leaf first, DER; one copy a TLS connection.
pub type PeerChain = Arc<[CertificateDer<'static>]>;

/// A TLS connection of the mesh, as trust and time see it.
pub struct MeshConnection {
    /// Number within the process, never used twice.
    pub number: u64,
    /// What the peer used its certificate as: `Client` where we are the server.
    pub peer_side: HandshakeSide,
    /// Who the peer is. Re-authentication never changes it.
    pub peer: SpiffeId,
    /// Who we were to the peer.
    pub own: SpiffeId,
    /// What names the connection to both sides and to nobody else; only between our own.
    pub binding: Option<ChannelBinding>,
    chain: ArcSwap<PeerChain>,
    drain_at: AtomicU64,
    expires: AtomicU64,
    retired: AtomicBool,
    closing: AtomicU8,
    wake: Notify,
    table: Weak<TableShard>,
}

/// What a handshake proved, for the mesh connection that is made of it.
pub struct ConnectionEvidence {
    /// What the peer used its certificate as.
    pub side: HandshakeSide,
    /// The peer's id.
    pub peer: SpiffeId,
    /// Our id.
    pub own: SpiffeId,
    /// The peer's certificates.
    pub chain: PeerChain,
    /// When the first of both leaves ends, Unix seconds.
    pub ends: u64,
    /// The names and keys of the connection, between our own.
    pub binding: Option<ChannelBinding>,
}

impl ConnectionEvidence {
    /// What a handshake with `peer` proved, in which we showed these credentials.
    #[must_use]
    pub fn of(
        side: HandshakeSide,
        peer: &Peer,
        chain: PeerChain,
        binding: Option<ChannelBinding>,
        credentials: &Credentials,
    ) -> Self {
        let ends = peer.not_after.min(credentials.svid().not_after());
        Self { side, peer: peer.id.clone(), own: credentials.id().clone(), chain, ends, binding }
    }
}

impl MeshConnection {
    /// The moments that bound it.
    #[must_use]
    pub fn bounds(&self) -> LifetimeBounds {
        LifetimeBounds {
            drain_at: self.drain_at.load(Relaxed),
            expires: self.expires.load(Relaxed),
        }
    }

    /// The certificates that prove the peer now.
    #[must_use]
    pub fn chain(&self) -> PeerChain {
        PeerChain::clone(&self.chain.load())
    }

    /// Takes over what a newer handshake of the same two proved.
    pub fn extend(&self, chain: PeerChain, bounds: LifetimeBounds) {
        self.chain.store(Arc::new(chain));
        self.expires.store(bounds.expires, Relaxed);
        self.drain_at.store(bounds.drain_at, SeqCst);
        self.retired.store(false, SeqCst);
    }

    /// Takes no further requests from now on, if a certificate is about to end at this Unix second.
    pub fn retire_when_due(&self, unix: u64) {
        if unix < self.bounds().drain_at {
            return;
        }
        self.retired.store(true, SeqCst);
        // `extend` may have run between the two stores: the later `drain_at` decides.
        if unix < self.drain_at.load(SeqCst) {
            self.retired.store(false, SeqCst);
        }
    }

    /// Whether no further request may begin on it.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired.load(Relaxed) || self.closing().is_some()
    }

    /// Ends it at once. The first reason wins.
    pub fn cut(&self, reason: CloseReason) -> bool {
        let first = self.closing.compare_exchange(0, reason as u8, SeqCst, SeqCst).is_ok();
        // The store above is visible before the caller looks for what the connection carries: see
        // `Connection::set_mesh_connection`.
        fence(SeqCst);
        self.wake.notify_one();
        first
    }

    /// Why it has been cut, if it has.
    #[must_use]
    pub fn closing(&self) -> Option<CloseReason> {
        CloseReason::from_code(self.closing.load(SeqCst))
    }

    /// Waits until it is cut. For one waiter: the task that drives the connection.
    pub async fn until_cut(&self) -> CloseReason {
        loop {
            if let Some(reason) = self.closing() {
                return reason;
            }
            self.wake.notified().await;
        }
    }

    /// Why the peer would be refused now, if it would. The end of a certificate's validity is not looked at here: the
    /// bounds take care of it.
    fn distrusted(
        &self,
        chain: &PeerChain,
        bundles: &TrustBundles,
        now: UnixTime,
    ) -> Option<CloseReason> {
        let (leaf, intermediates) = chain.split_first()?;
        match verify_peer(bundles, leaf, intermediates, now, self.peer_side) {
            Ok(_) | Err(VerifyError::Time { .. }) => None,
            Err(VerifyError::Revoked { .. }) => Some(CloseReason::PeerRevoked),
            Err(_) => Some(CloseReason::PeerDistrusted),
        }
    }
}

impl Drop for MeshConnection {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.forget(self);
        }
    }
}

/// All mesh connections of the process, in one shard a worker: opening one takes no lock of another worker.
pub struct MeshConnectionTable {
    shards: Vec<Arc<TableShard>>,
    next: AtomicU64,
}

#[derive(Default)]
struct TableShard(Mutex<ShardTable>);

#[derive(Default)]
struct ShardTable {
    connections: HashMap<u64, Weak<MeshConnection>>,
    /// The numbers of those where we are the server: a client that re-authenticates names one of them.
    by_name: HashMap<ConnectionName, u64>,
}

impl TableShard {
    fn forget(&self, connection: &MeshConnection) {
        let mut table = self.0.lock();
        table.connections.remove(&connection.number);
        if let Some(name) = connection.binding.as_ref().map(ChannelBinding::name) {
            table.by_name.remove(&name);
        }
    }
}

impl MeshConnectionTable {
    /// An empty table for this many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let shards = (0..workers.max(1)).map(|_| Arc::default()).collect();
        Self { shards, next: AtomicU64::new(1) }
    }

    /// Adds a mesh connection, by what its handshake proved at `now`, Unix seconds. Dropping it removes it from the
    /// table.
    #[must_use]
    pub fn open(&self, worker: usize, proven: ConnectionEvidence, now: u64) -> Arc<MeshConnection> {
        let shard = &self.shards[worker % self.shards.len()];
        let number = self.next.fetch_add(1, Relaxed);
        let LifetimeBounds { drain_at, expires } = LifetimeBounds::new(now, proven.ends, number);
        let connection = Arc::new(MeshConnection {
            number,
            peer_side: proven.side,
            peer: proven.peer,
            own: proven.own,
            binding: proven.binding,
            chain: ArcSwap::from_pointee(proven.chain),
            drain_at: AtomicU64::new(drain_at),
            expires: AtomicU64::new(expires),
            retired: AtomicBool::new(false),
            closing: AtomicU8::new(0),
            wake: Notify::new(),
            table: Arc::downgrade(shard),
        });
        let mut table = shard.0.lock();
        table.connections.insert(number, Arc::downgrade(&connection));
        if let (HandshakeSide::Client, Some(binding)) = (connection.peer_side, &connection.binding)
        {
            table.by_name.insert(binding.name(), number);
        }
        drop(table);
        connection
    }

    /// Every mesh connection that is open now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<MeshConnection>> {
        self.shards.iter().flat_map(|shard| live(shard)).collect()
    }

    /// The mesh connections of one worker.
    #[must_use]
    pub fn of_worker(&self, worker: usize) -> Vec<Arc<MeshConnection>> {
        live(&self.shards[worker % self.shards.len()])
    }

    /// The mesh connection that a client names, of those where we are the server.
    #[must_use]
    pub fn by_name(&self, name: &ConnectionName) -> Option<Arc<MeshConnection>> {
        self.shards.iter().find_map(|shard| {
            let table = shard.0.lock();
            table.connections.get(table.by_name.get(name)?)?.upgrade()
        })
    }

    /// Verifies the peer of one mesh connection by these bundles, and cuts the connection if the peer would be refused
    /// now.
    pub fn verify_one(connection: &MeshConnection, bundles: &TrustBundles, now: UnixTime) -> bool {
        let distrusted = connection.distrusted(&connection.chain(), bundles, now);
        distrusted.is_some_and(|reason| connection.cut(reason))
    }

    /// Verifies every peer by these bundles, cuts the connections of peers that would be refused now, and returns
    /// those. Connections with the same certificates share one verdict.
    #[must_use]
    pub fn verify_again(&self, bundles: &TrustBundles, now: UnixTime) -> Vec<Arc<MeshConnection>> {
        let mut verdicts: HashMap<(PeerChain, bool), Option<CloseReason>> = HashMap::new();
        let mut cut = Vec::new();
        for connection in self.all() {
            let chain = connection.chain();
            let key = (chain.clone(), connection.peer_side == HandshakeSide::Client);
            let verdict =
                *verdicts.entry(key).or_insert_with(|| connection.distrusted(&chain, bundles, now));
            if verdict.is_some_and(|reason| connection.cut(reason)) {
                cut.push(connection);
            }
        }
        cut
    }
}

fn live(shard: &TableShard) -> Vec<Arc<MeshConnection>> {
    // Upgraded under the lock, dropped by the caller outside of it, because dropping takes the lock.
    shard.0.lock().connections.values().filter_map(Weak::upgrade).collect()
}
