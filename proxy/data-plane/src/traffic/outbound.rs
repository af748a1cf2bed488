//! Outbound: connections from our app. [`serve()`] calls the phases of one connection in their order; the requests of
//! an HTTP connection are in `outbound/http.rs`, and a destination is found in `outbound/dialled.rs` and
//! `outbound/route.rs`.

mod called;
mod dialled;
mod egress;
mod faults;
mod http;
mod stream_route;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use policy::{DefaultEgress, Protocol as Declared};
use tokio::net::TcpStream;

use crate::connection::net::{self, AbortableStream, BoxedIo, MeteredIo, StreamAborter};
use crate::connection::registry::RegisteredConnection;
use crate::connection::sniff::{self, ProtocolGuess};
use crate::http::error::RequestError;
use crate::http::serve;
use crate::labels::{CloseReason, Direction, Protocol};
use crate::traffic::exchange::{ExchangeHandler, ExchangePhases as _};
use crate::traffic::forward::{self, OpaqueTarget, ServiceMatch};
use crate::traffic::record::ConnectionRecord;
use crate::traffic::settings::OutboundListener;
use crate::traffic::worker::Worker;
use dialled::DialledDestination;

/// One connection from our app, as its phases see it.
pub(crate) struct OutboundConnection {
    worker: Arc<Worker>,
    /// Where the app wanted to go.
    destination: DialledDestination,
    connection: RegisteredConnection,
    aborter: StreamAborter,
}

/// Serves one accepted connection to its end.
///
/// The order: destination, registration, protocol (declared for the service's port, else sniffed), and then requests by
/// their route or bytes by their address.
pub async fn serve(
    worker: Arc<Worker>,
    stream: TcpStream,
    source: SocketAddr,
    listener: Option<OutboundListener>,
) {
    let state = &worker.state;
    let destination = match DialledDestination::of(&stream, listener, &state.settings) {
        Ok(destination) => destination,
        Err(detail) => {
            tracing::warn!(%source, detail, "outbound connection refused");
            net::abort_on_close(&stream);
            return state.metrics.closed(Direction::Outbound, CloseReason::Refused, (0, 0));
        }
    };
    let now = state.clock.coarse();
    let connection = state.registry.register(
        worker.index,
        Direction::Outbound,
        source,
        destination.address(),
        now,
    );
    let mut record = ConnectionRecord::begin(&worker.recorder, &connection, "unknown".into());
    let stream = AbortableStream::new(stream);
    let aborter = stream.aborter();
    // Until it carries anything: a refused client sees an abort, and not a graceful end.
    aborter.abort();
    let outbound = Arc::new(OutboundConnection { worker, destination, connection, aborter });
    let closed = match outbound.phases(stream, &mut record).await {
        Ok(closed) => return record.ended(closed, closed.as_str()),
        Err(error) => error,
    };
    let reason = match closed {
        RequestError::Connect { .. }
        | RequestError::Handshake { .. }
        | RequestError::Broken { .. } => CloseReason::Upstream,
        RequestError::Overflow { .. } => CloseReason::Limit,
        _ => CloseReason::Refused,
    };
    record.failed(reason, closed.reason(), closed);
}

impl OutboundConnection {
    async fn phases(
        self: &Arc<Self>,
        stream: AbortableStream,
        record: &mut ConnectionRecord,
    ) -> Result<CloseReason, RequestError> {
        let by_address = self.destination.resolve(&self.worker.state).await?;
        if let Some(found) = &by_address {
            record.service(&found.service.host);
            // With bytes that are not requests nothing is sniffed: the server may speak first.
            if found.service.external && !found.port.protocol.is_http() {
                let target = self.outside(found).await?;
                return Box::pin(self.opaque(Box::new(stream), Bytes::new(), target)).await;
            }
        }
        let declared = match &by_address {
            None => Declared::Auto,
            // Routed as a whole, whatever is spoken on it.
            Some(found) if stream_route::is_attached(&self.worker, found) => Declared::Tcp,
            Some(found) => found.port.protocol,
        };
        let mut io: BoxedIo = Box::new(stream);
        let (protocol, ahead) = self.protocol(&mut io, declared).await?;
        if protocol != Protocol::Tcp {
            // Boxed: opaque connections, of which there may be many, are not to hold the room that HTTP takes.
            return Ok(Box::pin(self.http(io, ahead, protocol, record)).await);
        }
        let (target, ahead) = match by_address {
            Some(found) => {
                let choosing = stream_route::backend(&self.worker, &found, &mut io, ahead);
                let (upstream, ahead) = Box::pin(choosing).await?;
                (upstream.into(), ahead)
            }
            None => Box::pin(self.by_server_name(&mut io, ahead, record)).await?,
        };
        Box::pin(self.opaque(io, ahead, target)).await
    }

    /// A service outside the mesh whose bytes are no requests.
    async fn outside(&self, found: &ServiceMatch) -> Result<OpaqueTarget, RequestError> {
        if !forward::begins_tls(&self.worker, found) {
            let dialled = self.destination.dialled(found)?;
            return Ok(OpaqueTarget::Outside(dialled, found.service.host.clone()));
        }
        let dialled = self.destination.believed(true, found);
        let resolving =
            forward::resolve_external(&self.worker, found, Protocol::Tcp, dialled, None);
        Box::pin(resolving).await.map(OpaqueTarget::External)
    }

    /// The destination of bytes to an address that no resource names: the host that they ask for in TLS, where a resource
    /// names that; and the bytes read to find out.
    async fn by_server_name(
        &self,
        io: &mut BoxedIo,
        ahead: Bytes,
        record: &mut ConnectionRecord,
    ) -> Result<(OpaqueTarget, Bytes), RequestError> {
        let port = self.destination.port();
        match egress::by_server_name(&self.worker, io, ahead, port).await? {
            (Some(service), ahead) => {
                record.service(&service.service.host);
                Ok((OpaqueTarget::External(service), ahead))
            }
            (None, ahead) => Ok((self.unknown()?, ahead)),
        }
    }

    /// The protocol of the app: declared for the port, else sniffed; a client that stays silent waits for the server,
    /// which makes it opaque here.
    async fn protocol(
        &self,
        io: &mut BoxedIo,
        declared: Declared,
    ) -> Result<(Protocol, Bytes), RequestError> {
        if declared.is_opaque_to_callers() {
            return Ok((Protocol::Tcp, Bytes::new()));
        }
        let limits = &self.worker.state.settings.limits;
        let silence =
            if declared.is_http() { limits.idle_timeout } else { limits.detection_timeout };
        let seen = sniff::read_ahead(io, Bytes::new(), silence, limits.sniff_timeout)
            .await
            .map_err(|e| RequestError::Client(e.to_string()))?;
        match seen.guess {
            ProtocolGuess::Http1 => Ok((Protocol::Http1, seen.bytes)),
            ProtocolGuess::Http2 => Ok((Protocol::Http2, seen.bytes)),
            _ if seen.ended && seen.bytes.is_empty() => {
                Err(RequestError::Client("closed before a byte was sent".into()))
            }
            _ if declared.is_http() => Err(RequestError::NotHttp),
            _ => Ok((Protocol::Tcp, seen.bytes)),
        }
    }

    async fn http(
        self: &Arc<Self>,
        io: BoxedIo,
        ahead: Bytes,
        protocol: Protocol,
        record: &mut ConnectionRecord,
    ) -> CloseReason {
        let state = &self.worker.state;
        self.aborter.close_in_order();
        self.connection.set_protocol(protocol);
        let metered = MeteredIo::new(io, ahead, self.connection.clone(), state.clock.clone());
        let metered = metered.of_socket();
        let phases = http::OutboundPhases::new(self.clone(), protocol);
        phases.context().meter.connection();
        let handler = ExchangeHandler::new(phases);
        record.carries_http();
        let limits = &state.settings.limits;
        match protocol {
            Protocol::Http2 => {
                Box::pin(serve::http2(metered, &self.connection, limits, handler, false)).await
            }
            _ => {
                let closed =
                    serve::http1(metered, &self.connection, limits, handler.clone(), &self.aborter)
                        .await;
                handler.upgraded().await.unwrap_or(closed)
            }
        }
    }

    /// A destination that no resource names: refused, unless the default allows egress.
    fn unknown(&self) -> Result<OpaqueTarget, RequestError> {
        match self.worker.state.snapshot().egress() {
            DefaultEgress::Allow => {
                Ok(OpaqueTarget::Outside(self.destination.address(), "unknown".into()))
            }
            DefaultEgress::Deny => {
                Err(RequestError::UnknownDestination(self.destination.address().to_string()))
            }
        }
    }

    /// A host that no resource names, as the app dialled it: refused, unless the default allows egress.
    fn unnamed(&self, host: &str) -> Result<ServiceMatch, RequestError> {
        let address = self.destination.address();
        match (self.worker.state.snapshot().egress(), &self.destination) {
            (DefaultEgress::Allow, DialledDestination::Address(_)) => Ok(egress::unnamed(address)),
            _ => Err(RequestError::UnknownDestination(format!("{host} ({address})"))),
        }
    }

    async fn opaque(
        &self,
        io: BoxedIo,
        ahead: Bytes,
        target: OpaqueTarget,
    ) -> Result<CloseReason, RequestError> {
        let state = &self.worker.state;
        self.connection.set_protocol(Protocol::Tcp);
        let client = MeteredIo::new(io, ahead, self.connection.clone(), state.clock.clone());
        target.carry(&self.worker, &self.connection, client, &self.aborter).await
    }
}
