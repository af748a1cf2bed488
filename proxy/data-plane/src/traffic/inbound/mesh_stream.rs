//! A CONNECT stream of a peer of ours: like a connection of its own, for the same peer.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::InboundConnection;
use crate::clock::Clock;
use crate::connection::net::StreamAborter;
use crate::connection::registry::Connection;
use crate::connection::tls::Alpn;
use crate::http::error::RequestError;
use crate::http::serve::ConnectStream;
use crate::labels::{CloseReason, Direction};
use crate::traffic::mesh::StreamKind;
use crate::traffic::record::ConnectionRecord;

impl InboundConnection {
    /// Serves a CONNECT stream of a peer of ours: like a connection of its own, for the same peer.
    pub(super) async fn mesh_stream(&self, stream: ConnectStream, kind: StreamKind) {
        let state = &self.worker.state;
        if state.is_full() {
            state.metrics.closed(Direction::Inbound, CloseReason::Limit, (0, 0));
            return stream.refuse(&RequestError::ConnectionLimit);
        }
        let (now, source) = (state.clock.coarse(), self.connection.source);
        let connection = state.registry.register(
            self.worker.index,
            Direction::Inbound,
            source,
            self.arrival.app,
            now,
        );
        if let Some(peer) = self.peer() {
            connection.set_peer(peer.clone());
        }
        if let Some(mesh_connection) = self.connection.mesh_connection() {
            connection.set_mesh_connection(mesh_connection.clone());
        }
        let mut record = ConnectionRecord::begin(
            &self.worker.recorder,
            &connection,
            self.worker.state.own_service(),
        );
        let inner = Arc::new(Self {
            worker: self.worker.clone(),
            arrival: self.arrival.clone(),
            connection,
            aborter: StreamAborter::default(),
        });
        let Ok(tunnel) = stream.accept() else { return };
        let _under_way = ActiveStream::begin(&self.connection, &state.clock);
        let alpn = match kind {
            StreamKind::Upgrade => Alpn::Http11,
            StreamKind::Tcp | StreamKind::Reauth => Alpn::None,
        };
        // Boxed, because a stream is served by the function that serves connections, which is recursive.
        let carried: BoxFuture<'_, _> = Box::pin(inner.carry(Box::new(tunnel), alpn, &mut record));
        if let Err(refused) = carried.await {
            record.failed(refused.reason, refused.detail, refused.error);
        }
    }
}

/// A stream of a connection, for as long as it lives: the connection is not idle then.
struct ActiveStream<'a>(&'a Connection, &'a Clock);

impl<'a> ActiveStream<'a> {
    fn begin(connection: &'a Connection, clock: &'a Clock) -> Self {
        connection.begin(clock.coarse());
        Self(connection, clock)
    }
}

impl Drop for ActiveStream<'_> {
    fn drop(&mut self) {
        self.0.end(self.1.coarse());
    }
}
