//! Towards our app. [`serve()`] tells the phases of one connection in their order; the requests of
//! an HTTP connection are told in `inbound/http.rs`.

mod arrival;
mod http;
mod review;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use identity::verify::Usage;
use policy::{Denial, DenyReason, MtlsMode, Permit, Protocol as Declared};
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::config::InboundListener;
use crate::decisions::Decision;
use crate::filter::authorize::{self, Opaque, Verdict};
use crate::forward::app::AppAddress;
use crate::forward::mesh::StreamKind;
use crate::forward::opaque;
use crate::link::Proven;
use crate::metrics::TrafficLabels;
use crate::net::{Aborter, BoxedIo, Metered};
use crate::registry::{Connection, Peer, Phase, Registered};
use crate::serve::{self, ConnectStream};
use crate::sniff::{self, Guess};
use crate::telemetry::{CloseReason, ConnectionRecord, Direction, Protocol};
use crate::tls::{self, Alpn, Established, HandshakeError};
use crate::worker::Worker;
use arrival::Arrival;
pub use review::Review;

/// One connection towards our app, as its phases see it.
pub(crate) struct Inbound {
    worker: Arc<Worker>,
    arrival: Arrival,
    connection: Registered,
    /// How a broken opaque connection tells the client so.
    aborter: Aborter,
}

/// A stream of a connection, for as long as it lives: the connection is not idle then.
struct UnderWay<'a>(&'a Connection, &'a Clock);

impl<'a> UnderWay<'a> {
    fn begin(connection: &'a Connection, clock: &'a Clock) -> Self {
        connection.begin(clock.coarse());
        Self(connection, clock)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.end(self.1.coarse());
    }
}

/// Why a connection was given up before it carried anything.
struct Refused {
    reason: CloseReason,
    detail: &'static str,
    error: String,
}

impl Refused {
    fn new(reason: CloseReason, detail: &'static str, error: impl ToString) -> Self {
        Self { reason, detail, error: error.to_string() }
    }
}

/// Serves one accepted connection to its end.
///
/// The order: where to, registered (so that a policy change finds it), plaintext or TLS by the
/// port's mode, who, what protocol, and only then anything of the app's.
pub async fn serve(
    worker: Arc<Worker>,
    stream: TcpStream,
    source: SocketAddr,
    listener: Option<InboundListener>,
) {
    let state = &worker.state;
    let arrival = match Arrival::of(&stream, listener.as_ref(), state) {
        Ok(arrival) => arrival,
        Err(detail) => {
            tracing::warn!(%source, detail, "inbound connection refused");
            crate::net::abort_on_close(&stream);
            return state.metrics.closed(Direction::Inbound, CloseReason::Refused, (0, 0));
        }
    };
    let now = state.clock.coarse();
    let connection =
        state.registry.register(worker.index, Direction::Inbound, source, arrival.app, now);
    let mut record = ConnectionRecord::begin(&worker, &connection, worker.state.own_service());
    let aborter = Aborter::of(&stream);
    let inbound = Arc::new(Inbound { worker, arrival, connection, aborter });
    if let Err(refused) = inbound.phases(stream, &mut record).await {
        record.failed(refused.reason, refused.detail, refused.error);
    }
}

impl Inbound {
    async fn phases(
        self: &Arc<Self>,
        stream: TcpStream,
        record: &mut ConnectionRecord,
    ) -> Result<(), Refused> {
        let mode = self.worker.state.snapshot().mtls_mode(self.arrival.app.port());
        if self.is_plaintext(&stream, mode).await? {
            self.take_plaintext(record)?;
            return self.carry(Box::new(stream), Alpn::None, record).await;
        }
        let (io, alpn) = self.handshake(stream).await?;
        self.carry(io, alpn, record).await
    }

    /// Whether the connection goes without TLS of ours, by the port's mode and the first byte.
    async fn is_plaintext(&self, stream: &TcpStream, mode: MtlsMode) -> Result<bool, Refused> {
        if mode == MtlsMode::Disable {
            return Ok(true);
        }
        let limits = &self.worker.state.config.limits;
        let silent_is_plain = mode == MtlsMode::Permissive && self.may_be_server_first();
        let wait =
            if silent_is_plain { limits.detection_timeout } else { limits.handshake_timeout };
        let mut first = [0];
        let peeked = tokio::time::timeout(wait, stream.peek(&mut first)).await;
        match (peeked, mode) {
            (Ok(Ok(0)), _) => Err(Refused::new(
                CloseReason::Done,
                "closed_by_client",
                "closed before a byte was sent",
            )),
            (Ok(Ok(_)), _) if first == [0x16] => Ok(self.is_apps_own_tls(stream, mode).await),
            (Ok(Ok(_)), _) => Ok(true),
            (Ok(Err(error)), _) => Err(Refused::new(CloseReason::Error, "reset_by_client", error)),
            (Err(_), _) if silent_is_plain => Ok(true),
            (Err(_), _) => Err(Refused::new(
                CloseReason::Handshake,
                "handshake_timeout",
                format!("no byte within {wait:?}"),
            )),
        }
    }

    /// Plaintext is refused where the mode demands mutual TLS, before anything is read of it.
    fn take_plaintext(&self, record: &mut ConnectionRecord) -> Result<(), Refused> {
        let refused = authorize::plaintext(&self.worker.state.snapshot(), &self.facts());
        let Some(verdict) = refused else { return Ok(()) };
        let reason = verdict.reason();
        let _ = self.note(verdict, record);
        let error = "plaintext on a port that demands mutual TLS";
        Err(Refused::new(CloseReason::Refused, reason, error))
    }

    /// On a PERMISSIVE port that speaks TLS of its own, a ClientHello is the app's unless it offers
    /// `postern/1` (DESIGN invariant 11).
    async fn is_apps_own_tls(&self, stream: &TcpStream, mode: MtlsMode) -> bool {
        let limit = self.worker.state.config.limits.sniff_timeout;
        mode == MtlsMode::Permissive
            && self.arrival.declared == Declared::Tls
            && !tls::offers_postern(stream, limit).await
    }

    fn may_be_server_first(&self) -> bool {
        match self.arrival.declared {
            Declared::Tcp => true,
            Declared::Auto => !self.must_be_http(),
            _ => false,
        }
    }

    fn must_be_http(&self) -> bool {
        let (declared, port) = (self.arrival.declared, self.arrival.app.port());
        authorize::must_be_http(&self.worker.state.snapshot(), declared, port)
    }

    async fn handshake(&self, stream: TcpStream) -> Result<(BoxedIo, Alpn), Refused> {
        let state = &self.worker.state;
        let failed = |detail, error: String| Refused::new(CloseReason::Handshake, detail, error);
        let credentials = state
            .valid_credentials()
            .ok_or_else(|| failed("no_certificate", "no valid certificate is held".into()))?;
        let limit = state.config.limits.handshake_timeout;
        let turn = tokio::time::timeout(limit, self.worker.handshakes.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Refused::new(
                CloseReason::Limit,
                "too_many_handshakes",
                "too many handshakes at once",
            ));
        };
        let result = tls::accept(Box::new(stream), &credentials, limit).await;
        let label = result.as_ref().err().map_or("ok", HandshakeError::label);
        state.metrics.handshake("server", label);
        let established = result.map_err(|e| failed(label, e.with_clock(state)))?;
        let Established { io, peer, chain, binding, alpn } = established;
        let proven = Proven::of(Usage::Client, &peer, chain, binding, &credentials);
        self.connection.set_peer(peer);
        let link = state.open_link(self.worker.index, proven, &credentials);
        self.connection.set_link(link.clone());
        match link.closing() {
            Some(reason) => Err(Refused::new(reason, reason.as_str(), "distrusted meanwhile")),
            None => Ok((io, alpn)),
        }
    }

    /// Finds out what the decrypted or plain bytes are, and serves them as that.
    async fn carry(
        self: &Arc<Self>,
        mut io: BoxedIo,
        alpn: Alpn,
        record: &mut ConnectionRecord,
    ) -> Result<(), Refused> {
        let (protocol, ahead) = self.protocol(&mut io, alpn).await?;
        self.connection.set_protocol(protocol);
        self.worker.state.metrics.connection(&self.labels(protocol));
        let metered =
            Metered::new(io, ahead, self.connection.clone(), self.worker.state.clock.clone());
        let limits = &self.worker.state.config.limits;
        let handler = http::InboundHandler::new(self.clone(), protocol);
        let closed = match protocol {
            Protocol::Http1 => {
                let closed = serve::http1(metered, &self.connection, limits, handler.clone()).await;
                handler.upgraded().await.unwrap_or(closed)
            }
            Protocol::Http2 | Protocol::Postern => {
                let connect = protocol == Protocol::Postern;
                serve::http2(metered, &self.connection, limits, handler, connect).await
            }
            Protocol::Tcp => return self.opaque(metered, Opaque::Tcp, record).await,
            Protocol::Unknown => return self.opaque(metered, Opaque::Undecided, record).await,
        };
        record.carries_http();
        record.ended(closed, closed.as_str());
        Ok(())
    }

    /// What the bytes are: declared for the port, else ALPN, else sniffed (DESIGN §3). A port with
    /// HTTP rules never takes what cannot be told: that is [`Protocol::Unknown`], and refused.
    async fn protocol(&self, io: &mut BoxedIo, alpn: Alpn) -> Result<(Protocol, Bytes), Refused> {
        let declared = self.arrival.declared;
        match (alpn, declared) {
            (Alpn::Postern, _) => return Ok((Protocol::Postern, Bytes::new())),
            (_, Declared::Tcp | Declared::Tls) => return Ok((Protocol::Tcp, Bytes::new())),
            (Alpn::H2, _) => return Ok((Protocol::Http2, Bytes::new())),
            (Alpn::Http11, _) => return Ok((Protocol::Http1, Bytes::new())),
            (Alpn::None, _) => {}
        }
        let limits = &self.worker.state.config.limits;
        let must_be_http = self.must_be_http();
        let silence = if must_be_http { limits.sniff_timeout } else { limits.detection_timeout };
        let seen = sniff::read_ahead(io, silence, limits.sniff_timeout)
            .await
            .map_err(|e| Refused::new(CloseReason::Error, "reset_by_client", e))?;
        match seen.guess {
            Guess::Http1 => Ok((Protocol::Http1, seen.bytes)),
            Guess::Http2 => Ok((Protocol::Http2, seen.bytes)),
            _ if seen.ended && seen.bytes.is_empty() => Err(Refused::new(
                CloseReason::Done,
                "closed_by_client",
                "closed before a byte was sent",
            )),
            // The port's own TLS in plaintext mode is opaque to us, and so is anything on a port
            // that promises nothing.
            _ if !must_be_http => Ok((Protocol::Tcp, seen.bytes)),
            _ => Ok((Protocol::Unknown, seen.bytes)),
        }
    }

    /// Serves a CONNECT stream of a peer of ours: like a connection of its own, for the same peer.
    async fn mesh_stream(&self, stream: ConnectStream, kind: StreamKind) {
        let state = &self.worker.state;
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
        if let Some(link) = self.connection.link() {
            connection.set_link(link.clone());
        }
        let mut record =
            ConnectionRecord::begin(&self.worker, &connection, self.worker.state.own_service());
        let inner = Arc::new(Self {
            worker: self.worker.clone(),
            arrival: self.arrival,
            connection,
            aborter: Aborter::default(),
        });
        let Ok(tunnel) = stream.accept() else { return };
        let _under_way = UnderWay::begin(&self.connection, &state.clock);
        let alpn = match kind {
            StreamKind::Upgrade => Alpn::Http11,
            StreamKind::Tcp | StreamKind::Reauth => Alpn::None,
        };
        // Boxed, because a connection of streams is served by what serves a connection.
        let carried: BoxFuture<'_, _> = Box::pin(inner.carry(Box::new(tunnel), alpn, &mut record));
        if let Err(refused) = carried.await {
            record.failed(refused.reason, refused.detail, refused.error);
        }
    }

    /// Opaque bytes: one decision, then both directions until they end.
    async fn opaque(
        &self,
        client: Metered,
        carries: Opaque,
        record: &mut ConnectionRecord,
    ) -> Result<(), Refused> {
        self.connection.set_protocol(Protocol::Tcp);
        let verdict = authorize::opaque(&self.worker.state.snapshot(), &self.facts(), carries);
        let permit = match self.note(verdict, record) {
            Ok(permit) => permit,
            Err(denial) => {
                self.aborter.abort();
                return Err(denied(&denial));
            }
        };
        let app = opaque::open_app(&self.worker, permit, self.arrival.app_address())
            .await
            .map_err(|error| {
                self.aborter.abort();
                Refused::new(CloseReason::Upstream, error.reason(), error)
            })?;
        self.connection.enter(Phase::Busy, self.worker.state.clock.coarse());
        let aborters = [self.aborter.clone(), Aborter::of(&app)];
        let ended = opaque::carry(client, app, &self.connection, &aborters).await;
        record.ended(ended, ended.as_str());
        Ok(())
    }

    /// Counts a verdict on the connection as a whole, and keeps it for `/decisions` and the log.
    fn note(&self, verdict: Verdict, record: &mut ConnectionRecord) -> Result<Permit, Denial> {
        let state = &self.worker.state;
        state.decisions.add(Decision::new(state.clock.unix(), &self.facts(), None, &verdict));
        record.decided(verdict)
    }

    fn peer(&self) -> Option<&Peer> {
        self.connection.peer()
    }

    /// The connection as policy sees it.
    fn facts(&self) -> policy::Connection<'_> {
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
fn denied(denial: &Denial) -> Refused {
    match denial.reason() {
        DenyReason::ProtocolUndecided => Refused::new(
            CloseReason::Refused,
            denial.reason().as_str(),
            "not HTTP, on a port that is declared HTTP or has HTTP rules",
        ),
        reason => Refused::new(CloseReason::Policy, reason.as_str(), denial),
    }
}
