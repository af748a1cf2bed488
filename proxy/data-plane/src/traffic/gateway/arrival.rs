//! The beginning of a client's connection: who it is, where a listed proxy in front of the gateway says so, and whether it
//! has room.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;

use super::ConnectionRefusal;
use crate::connection::net::{self, AbortableStream, BoxedIo, StreamAborter};
use crate::connection::proxy_protocol;
use crate::labels::CloseReason;
use crate::traffic::client_connections::CountedConnection;
use crate::traffic::edge::EdgePort;
use crate::traffic::worker::Worker;

/// A connection that has arrived.
pub(super) struct Arrival {
    /// Where the client is.
    pub(super) client: SocketAddr,
    /// The address that it dialled, of this machine.
    pub(super) destination: SocketAddr,
    pub(super) io: BoxedIo,
    /// What has been read of it beyond a header of the PROXY protocol.
    pub(super) ahead: Bytes,
    /// How a broken connection shows that to the client; until it carries something, it is an abort.
    pub(super) aborter: StreamAborter,
    /// It counts as open for its client.
    pub(super) counted: Option<CountedConnection>,
}

/// Finds out who the client is. From a listed peer a header of the PROXY protocol is demanded, and from any other it is
/// never read: it would be a claim of whoever sends it (SECURITY-CASES S-47).
pub(super) async fn read(
    worker: &Arc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    port: &EdgePort,
) -> Result<Arrival, ConnectionRefusal> {
    let destination = stream.local_addr().map(net::canonical);
    let destination =
        destination.map_err(|error| refused(CloseReason::Refused, "closed_by_client", error))?;
    let stream = AbortableStream::new(stream);
    let aborter = stream.aborter();
    aborter.abort();
    let mut io: BoxedIo = Box::new(stream);
    let (mut client, mut ahead) = (peer, Bytes::new());
    if port.proxy_protocol.contain(peer.ip()) {
        let limit = worker.state.settings.limits.header_timeout;
        let turn = tokio::time::timeout(limit, worker.handshakes.acquire());
        let Ok(Ok(_turn)) = turn.await else {
            return Err(refused(CloseReason::Limit, "too_many_handshakes", "too many at once"));
        };
        let header = proxy_protocol::read(&mut io, limit).await;
        let header =
            header.map_err(|error| refused(CloseReason::Refused, "bad_proxy_header", error))?;
        client = header.client.unwrap_or(peer);
        ahead = header.ahead;
    }
    let counted = count(worker, client, port)?;
    Ok(Arrival { client, destination, io, ahead, aborter, counted })
}

/// The least of what the Gateway's policies allow one address: which of them the client is for is not known yet. Where none
/// says so, a share of all connections, so that no client keeps the others out; but a proxy in front that is believed has
/// as many clients as it likes.
fn count(
    worker: &Worker,
    client: SocketAddr,
    port: &EdgePort,
) -> Result<Option<CountedConnection>, ConnectionRefusal> {
    let limits = port.listeners().map(|listener| listener.at_port.limits.connections_per_address);
    let most = match limits.flatten().min() {
        Some(most) => most,
        None if port.believes(client.ip()) => return Ok(None),
        None => worker.state.settings.limits.client_connections,
    };
    let counted = worker.state.edge_clients.begin(client.ip(), most);
    let too_many = || {
        let error = format!("{} has {most} connections already", client.ip());
        refused(CloseReason::Limit, "client_connections", error)
    };
    counted.map(Some).ok_or_else(too_many)
}

fn refused(reason: CloseReason, detail: &'static str, error: impl ToString) -> ConnectionRefusal {
    ConnectionRefusal::new(reason, detail, error)
}
