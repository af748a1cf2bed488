//! Inbound: connections to our app. [`serve()`] calls the phases of one connection in their order; the requests of an
//! HTTP connection are in `inbound/http.rs`, and protocol detection is in `inbound/detect.rs`.

mod arrival;
mod detect;
mod http;
mod mesh_stream;

use std::net::SocketAddr;
use std::sync::Arc;

use identity::verify::HandshakeSide;
use message_access::MessageProtocol;
use policy::{Denial, DenyReason, Permit};
use tokio::net::TcpStream;

use crate::connection::mesh_connection::ConnectionEvidence;
use crate::connection::net::{AbortableStream, BoxedIo, MeteredIo, StreamAborter};
use crate::connection::registry::{ConnectionPhase, Peer, RegisteredConnection};
use crate::connection::tls::{
    self, Alpn, EstablishedConnection, HandshakeError, HandshakeEvidence,
};
use crate::http::serve;
use crate::labels::{CloseReason, Direction, Protocol};
use crate::telemetry::metrics::TrafficLabels;
use crate::traffic::app::{self, AppAddress};
use crate::traffic::authorize::{self, AuthorizationVerdict};
use crate::traffic::decisions::DecisionRecord;
use crate::traffic::events::BrokerConnection;
use crate::traffic::exchange::ExchangeHandler;
use crate::traffic::judge::{self, OpaqueKind};
use crate::traffic::opaque;
use crate::traffic::record::ConnectionRecord;
use crate::traffic::settings::InboundListener;
use crate::traffic::worker::Worker;
use arrival::InboundDestination;

/// One connection towards our app, as its phases see it.
pub(crate) struct InboundConnection {
    worker: Arc<Worker>,
    arrival: InboundDestination,
    connection: RegisteredConnection,
    /// How a broken opaque connection shows that to the client.
    aborter: StreamAborter,
}

/// Why a connection ended before it carried anything.
struct ConnectionRefusal {
    reason: CloseReason,
    detail: &'static str,
    error: String,
}

impl ConnectionRefusal {
    fn new(reason: CloseReason, detail: &'static str, error: impl ToString) -> Self {
        Self { reason, detail, error: error.to_string() }
    }
}

/// Serves one accepted connection to its end.
///
/// The order: destination, registration (so that a policy change finds the connection), plaintext or TLS by the port's
/// mode, peer, protocol, and only then any byte to the app.
pub async fn serve(
    worker: Arc<Worker>,
    stream: TcpStream,
    source: SocketAddr,
    listener: Option<InboundListener>,
) {
    let state = &worker.state;
    let arrival = match InboundDestination::of(&stream, listener.as_ref(), state) {
        Ok(arrival) => arrival,
        Err(detail) => {
            tracing::warn!(%source, detail, "inbound connection refused");
            crate::connection::net::abort_on_close(&stream);
            return state.metrics.closed(Direction::Inbound, CloseReason::Refused, (0, 0));
        }
    };
    let now = state.clock.coarse();
    let connection =
        state.registry.register(worker.index, Direction::Inbound, source, arrival.app, now);
    let mut record =
        ConnectionRecord::begin(&worker.recorder, &connection, worker.state.own_service());
    let stream = AbortableStream::new(stream);
    let aborter = stream.aborter();
    let inbound = Arc::new(InboundConnection { worker, arrival, connection, aborter });
    if let Err(refused) = inbound.phases(stream, &mut record).await {
        record.failed(refused.reason, refused.detail, refused.error);
    }
}

impl InboundConnection {
    async fn phases(
        self: &Arc<Self>,
        stream: AbortableStream,
        record: &mut ConnectionRecord,
    ) -> Result<(), ConnectionRefusal> {
        let mode = self.worker.state.snapshot().mtls_mode(self.arrival.app.port());
        if self.is_plaintext(&stream, mode).await? {
            self.take_plaintext(record)?;
            return self.carry(Box::new(stream), Alpn::None, record).await;
        }
        let (io, alpn) = Box::pin(self.handshake(stream)).await?;
        self.carry(io, alpn, record).await
    }

    /// Plaintext is refused where the mode requires mutual TLS, before any of it is read.
    fn take_plaintext(&self, record: &mut ConnectionRecord) -> Result<(), ConnectionRefusal> {
        let refused = authorize::plaintext(&self.worker.state.snapshot(), &self.facts());
        let Some(verdict) = refused else { return Ok(()) };
        let reason = verdict.reason();
        let _ = self.note(verdict, record);
        let error = "plaintext on a port that demands mutual TLS";
        Err(ConnectionRefusal::new(CloseReason::Refused, reason, error))
    }

    async fn handshake(
        &self,
        stream: AbortableStream,
    ) -> Result<(BoxedIo, Alpn), ConnectionRefusal> {
        let state = &self.worker.state;
        let failed =
            |detail, error: String| ConnectionRefusal::new(CloseReason::Handshake, detail, error);
        let credentials = state
            .valid_credentials()
            .ok_or_else(|| failed("no_certificate", "no valid certificate is held".into()))?;
        let limit = state.settings.limits.handshake_timeout;
        let turn = tokio::time::timeout(limit, self.worker.handshakes.acquire());
        let turn = self.unless_evicted(turn).await?;
        let Ok(Ok(_turn)) = turn else {
            return Err(ConnectionRefusal::new(
                CloseReason::Limit,
                "too_many_handshakes",
                "too many handshakes at once",
            ));
        };
        let result =
            self.unless_evicted(tls::accept(Box::new(stream), &credentials, limit)).await?;
        let label = result.as_ref().err().map_or("ok", HandshakeError::label);
        state.metrics.handshake("server", label);
        let established = result.map_err(|error| match error.is_time() {
            true => failed(label, format!("{error} ({})", state.clock_note())),
            false => failed(label, error.to_string()),
        })?;
        let EstablishedConnection {
            io,
            evidence: HandshakeEvidence { peer, chain, binding, alpn },
        } = established;
        let proven =
            ConnectionEvidence::of(HandshakeSide::Client, &peer, chain, binding, &credentials);
        self.connection.set_peer(peer);
        let mesh_connection = state.open_mesh_connection(self.worker.index, proven, &credentials);
        self.connection.set_mesh_connection(mesh_connection.clone());
        match mesh_connection.closing() {
            Some(reason) => {
                Err(ConnectionRefusal::new(reason, reason.as_str(), "distrusted meanwhile"))
            }
            None => Ok((io, alpn)),
        }
    }

    /// A step of opening the connection, unless the connection is evicted meanwhile.
    async fn unless_evicted<T>(
        &self,
        step: impl Future<Output = T>,
    ) -> Result<T, ConnectionRefusal> {
        tokio::select! {
            biased;
            done = step => Ok(done),
            () = self.connection.evicted() => {
                let reason = CloseReason::Descriptors;
                Err(ConnectionRefusal::new(reason, reason.as_str(), "silent while others needed its descriptor"))
            }
        }
    }

    /// Detects what the decrypted or plain bytes are, and serves them accordingly.
    async fn carry(
        self: &Arc<Self>,
        mut io: BoxedIo,
        alpn: Alpn,
        record: &mut ConnectionRecord,
    ) -> Result<(), ConnectionRefusal> {
        let (protocol, ahead) = self.protocol(&mut io, alpn).await?;
        self.connection.set_protocol(protocol);
        self.worker.state.metrics.connections(&self.labels(protocol)).inc();
        let metered =
            MeteredIo::new(io, ahead, self.connection.clone(), self.worker.state.clock.clone());
        if let Some(messages) = protocol.messages() {
            return Box::pin(self.events(metered, messages, record)).await;
        }
        let closed = match protocol {
            // Boxed: a connection that carries the one is not to hold the room that the other takes.
            Protocol::Tcp => return Box::pin(self.opaque(metered, OpaqueKind::Tcp, record)).await,
            Protocol::Unknown => {
                return Box::pin(self.opaque(metered, OpaqueKind::Undecided, record)).await;
            }
            _ => Box::pin(self.http(metered, protocol)).await,
        };
        record.carries_http();
        record.ended(closed, closed.as_str());
        Ok(())
    }

    async fn http(self: &Arc<Self>, client: MeteredIo, protocol: Protocol) -> CloseReason {
        let limits = &self.worker.state.settings.limits;
        let handler = ExchangeHandler::new(http::InboundPhases::new(self.clone(), protocol));
        match protocol {
            Protocol::Http1 => {
                let closed =
                    serve::http1(client, &self.connection, limits, handler.clone(), &self.aborter)
                        .await;
                handler.upgraded().await.unwrap_or(closed)
            }
            _ => {
                let connect = protocol == Protocol::Postern;
                Box::pin(serve::http2(client, &self.connection, limits, handler, connect)).await
            }
        }
    }

    /// Opaque bytes: one decision, then both directions until they end.
    async fn opaque(
        &self,
        client: MeteredIo,
        carries: OpaqueKind,
        record: &mut ConnectionRecord,
    ) -> Result<(), ConnectionRefusal> {
        self.connection.set_protocol(Protocol::Tcp);
        let app = self.open_app(carries, record).await?;
        let aborters = [self.aborter.clone(), app.aborter()];
        let ended = opaque::copy_both_ways(client, app, &self.connection, &aborters).await;
        record.ended(ended, ended.as_str());
        Ok(())
    }

    /// The protocol of a broker: one decision about the connection, then one about each operation.
    async fn events(
        &self,
        client: MeteredIo,
        protocol: MessageProtocol,
        record: &mut ConnectionRecord,
    ) -> Result<(), ConnectionRefusal> {
        let broker = self.open_app(OpaqueKind::Tcp, record).await?;
        let carried = BrokerConnection {
            worker: &self.worker,
            connection: &self.connection,
            protocol,
            advertised: self.arrival.advertised.as_deref(),
            aborters: [self.aborter.clone(), broker.aborter()],
        };
        carried.carry(client, broker, record).await;
        Ok(())
    }

    /// A connection to the app, where policy lets the bytes in.
    async fn open_app(
        &self,
        carries: OpaqueKind,
        record: &mut ConnectionRecord,
    ) -> Result<AbortableStream, ConnectionRefusal> {
        let permit = match judge::bytes(&self.worker.state, &self.connection, carries, record) {
            Ok(permit) => permit,
            Err(denial) => {
                self.aborter.abort();
                return Err(denied(&denial));
            }
        };
        let app = app::open(&self.worker.apps, permit, self.arrival.app_address()).await.map_err(
            |error| {
                self.aborter.abort();
                ConnectionRefusal::new(CloseReason::Upstream, error.reason(), error)
            },
        )?;
        self.connection.enter_phase(ConnectionPhase::Busy, self.worker.state.clock.coarse());
        Ok(app)
    }

    /// Counts a verdict on the connection as a whole, and records it for `/decisions` and the log.
    fn note(
        &self,
        verdict: AuthorizationVerdict,
        record: &mut ConnectionRecord,
    ) -> Result<Permit, Denial> {
        let state = &self.worker.state;
        state.decisions.add(DecisionRecord::new(state.clock.unix(), &self.facts(), None, &verdict));
        record.decided(verdict)
    }

    fn peer(&self) -> Option<&Peer> {
        self.connection.peer()
    }

    /// The connection as policy sees it.
    fn facts(&self) -> policy::ConnectionFacts<'_> {
        authorize::facts(&self.connection)
    }

    fn labels(&self, protocol: Protocol) -> TrafficLabels {
        let own = self.worker.state.own_id();
        TrafficLabels {
            direction: Direction::Inbound,
            source_principal: self.peer().map_or("none", |p| p.id.without_scheme()).into(),
            destination_principal: own.as_ref().map_or("unknown", |id| id.without_scheme()).into(),
            destination_service: self.worker.state.own_service(),
            protocol,
            mtls: self.peer().is_some(),
        }
    }

    fn app_address(&self) -> AppAddress {
        self.arrival.app_address()
    }
}

/// How a refused opaque connection ends.
fn denied(denial: &Denial) -> ConnectionRefusal {
    match denial.reason() {
        DenyReason::ProtocolUndecided => ConnectionRefusal::new(
            CloseReason::Refused,
            denial.reason().as_str(),
            "not HTTP, on a port that is declared HTTP or has HTTP rules",
        ),
        reason => ConnectionRefusal::new(CloseReason::Policy, reason.as_str(), denial),
    }
}
