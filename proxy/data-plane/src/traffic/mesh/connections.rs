//! The connections of a destination, apart from the shared ones.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::MutexGuard;
use rustls::ClientConfig;

use super::Destination;
use super::dial::AlpnOffer;
use super::dialer::MeshDialer;
use crate::connection::credentials::Credentials;
use crate::connection::mesh_connection::MeshConnection;
use crate::http::error::RequestError;
use crate::http::http1_client::Http1Client;

/// Idle HTTP/1.1 connections are used within this many seconds: the other side closes them too.
const IDLE_SECONDS: u32 = 3;

/// The connections of one generation of our credentials.
#[derive(Default)]
pub(super) struct ConnectionGeneration {
    generation: u64,
    /// Whether the server speaks HTTP/1.1 and not HTTP/2.
    pub(super) http1: bool,
    /// Whether the server does not support streams, since it is not a proxy of ours: each byte stream has a connection
    /// of its own.
    pub(super) foreign: bool,
    idle: Vec<IdleMeshConnection>,
    pub(super) configs: HashMap<AlpnOffer, Arc<ClientConfig>>,
}

/// An HTTP/1.1 connection whose last answer has been read.
struct IdleMeshConnection {
    client: Http1Client,
    since: u32,
    mesh_connection: Arc<MeshConnection>,
}

impl IdleMeshConnection {
    fn is_usable(&self, now: u32) -> bool {
        !self.mesh_connection.is_retired() && self.since + IDLE_SECONDS >= now
    }
}

impl ConnectionGeneration {
    /// An idle connection that may be used.
    pub(super) fn take_idle(&mut self, now: u32) -> Option<(Http1Client, Arc<MeshConnection>)> {
        while let Some(idle) = self.idle.pop() {
            if idle.is_usable(now) && idle.client.is_ready() {
                return Some((idle.client, idle.mesh_connection));
            }
        }
        None
    }

    /// Keeps a connection for the next request, if there are fewer than `most`.
    pub(super) fn keep_idle(
        &mut self,
        client: Http1Client,
        mesh_connection: Arc<MeshConnection>,
        since: u32,
        most: usize,
    ) {
        if self.idle.len() < most && !mesh_connection.is_retired() {
            self.idle.push(IdleMeshConnection { client, since, mesh_connection });
        }
    }

    /// Closes what is closed by the peer or idle for too long; returns whether nothing is left.
    pub(super) fn sweep(&mut self, now: u32) -> bool {
        self.idle.retain(|idle| !idle.client.is_closed() && idle.is_usable(now));
        self.idle.is_empty()
    }
}

impl Destination {
    /// The connections made with the certificate in force; those of an older one are dropped.
    pub(super) fn current(
        &self,
        dialer: &MeshDialer,
    ) -> Result<(MutexGuard<'_, ConnectionGeneration>, Arc<Credentials>), RequestError> {
        let credentials = dialer.state.valid_credentials().ok_or(RequestError::NoCertificate)?;
        let mut connections = self.connections.lock();
        let generation = credentials.generation();
        if connections.generation != generation {
            *connections = ConnectionGeneration { generation, ..ConnectionGeneration::default() };
            self.requests.clear();
            self.streams.clear();
        }
        Ok((connections, credentials))
    }
}
