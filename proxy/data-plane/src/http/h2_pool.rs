//! The HTTP/2 connections to one destination, our app or another workload, shared by all requests to it.
//!
//! A stream is counted before it is opened, so that no request waits in the queue of a full connection while another
//! could be opened: a request that finds no room takes the opening turn and opens one more.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::MutexGuard;

use crate::http::error::{OtherEnd, RequestError};
use crate::http::h2_client::{H2Client, ReservedStream};
use crate::limits::Limits;

/// Connections looked at for one request: some may have come to their end, unnoticed.
pub(crate) const TRIES: usize = 10;

/// Connections to `who` came to their end faster than they were opened.
pub(crate) fn ended(who: OtherEnd) -> RequestError {
    let cause = format!("{TRIES} connections ended before they took the request");
    RequestError::Broken { who, cause, unprocessed: true }
}

/// Open connections, oldest first.
#[derive(Default)]
pub(crate) struct H2Pool {
    open: Mutex<Vec<H2Client>>,
    /// How many have been opened so far.
    opened: AtomicUsize,
    /// Held while one is opened, so that many requests at once open as many as they need, and not one each.
    turn: tokio::sync::Mutex<()>,
}

impl H2Pool {
    /// Reserves one more stream, on the oldest connection that has room, if one has: connections that only a burst
    /// needed become idle after it, and are closed.
    pub(crate) fn reserve_stream(&self) -> Option<ReservedStream> {
        let mut open = self.open.lock();
        open.retain(|client| !client.is_closed());
        open.iter().find_map(H2Client::reserve_stream)
    }

    /// Shares one more connection.
    pub(crate) fn add(&self, client: H2Client) {
        self.opened.fetch_add(1, Relaxed);
        self.open.lock().push(client);
    }

    /// Whether as many are open as `limits.meshConnections` says.
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        let most = usize::try_from(limits.mesh_connections).unwrap_or(usize::MAX);
        self.open.lock().len() >= most
    }

    /// Waits for the turn to open one more connection. After `wait` the caller goes on without the turn, so that
    /// requests to an unreachable destination do not queue up behind each other.
    pub(crate) async fn opening_turn(&self, wait: Duration) -> Option<MutexGuard<'_, ()>> {
        loop {
            let before = self.opened.load(Relaxed);
            if let Ok(turn) = tokio::time::timeout(wait, self.turn.lock()).await {
                return Some(turn);
            }
            if self.opened.load(Relaxed) == before {
                return None;
            }
        }
    }

    /// Drops all connections; streams under way on them may finish.
    pub(crate) fn clear(&self) {
        self.open.lock().clear();
    }

    /// Drops those that are closed, or have had no stream for more than `idle` sweeps; whether none is left.
    pub(crate) fn sweep(&self, idle: u32) -> bool {
        let mut open = self.open.lock();
        open.retain(|client| !client.is_closed() && client.idle_sweeps() <= idle);
        open.is_empty()
    }
}
