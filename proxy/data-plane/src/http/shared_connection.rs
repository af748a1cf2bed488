//! What everything on one HTTP/2 connection of ours shares, and the count of the streams on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::connection::mesh_connection::MeshConnection;
use crate::http::gate::HeadLimits;

/// The largest DATA frame that a peer may send us: what is read of a socket at once, so that bulk costs few frames. Less
/// is sent where there is less.
pub(super) const MAX_FRAME: u32 = 64 << 10;

/// What all clones of a connection know of it.
pub(super) struct SharedConnection {
    /// What bounds the connection, on the mesh hop.
    pub(super) mesh_connection: Option<Arc<MeshConnection>>,
    /// How large the head of an answer may be.
    pub(super) head: HeadLimits,
    pub(super) closed: AtomicBool,
    pub(super) streams: AtomicUsize,
    /// The most that we open, whatever the peer would take: the window of the connection is made for
    /// so many.
    pub(super) most: usize,
    /// How long the peer may take nothing of a request's body.
    pub(super) unread: Duration,
    pub(super) idle_sweeps: AtomicU32,
}

/// One stream of a connection, counted while it lives.
pub struct StreamCount(pub(super) Arc<SharedConnection>);

impl StreamCount {
    pub(super) fn begin(shared: &Arc<SharedConnection>) -> Self {
        shared.streams.fetch_add(1, Relaxed);
        Self(shared.clone())
    }

    pub(super) fn shared(&self) -> &SharedConnection {
        &self.0
    }
}

impl Drop for StreamCount {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

/// Asks a connection whether streams are under way on it.
pub struct HasStreams(pub(super) Arc<SharedConnection>);

impl HasStreams {
    /// Whether there is one.
    #[must_use]
    pub fn now(&self) -> bool {
        self.0.streams.load(Relaxed) > 0
    }
}
