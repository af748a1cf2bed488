//! The limits of a page server.

use std::time::Duration;

/// hyper reads a head into no smaller buffer, bytes.
pub(crate) const LEAST_HEAD: usize = 8 * 1024;

/// What a page server takes at most.
///
/// The defaults are those of the pages beside a control plane: 64 connections, heads of 16 KiB within 5 s, 30 s for a
/// whole connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    /// Connections at a time, at least one; probes and scrapers are few. One more ends the oldest.
    pub connections: usize,
    /// Bytes of a request's head; hyper answers a larger one with 431. At least 8 KiB are read.
    pub head_bytes: usize,
    /// From the end of the request before, or the accept, to the end of a request's head.
    pub head_deadline: Duration,
    /// For a whole connection; without it the other deadlines bound each request alone.
    pub connection_deadline: Option<Duration>,
    /// How long sent bytes may stay unacknowledged (`TCP_USER_TIMEOUT`); without it the system's own time holds.
    pub unread_deadline: Option<Duration>,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self {
            connections: 64,
            head_bytes: 16 * 1024,
            head_deadline: Duration::from_secs(5),
            connection_deadline: Some(Duration::from_secs(30)),
            unread_deadline: None,
        }
    }
}
