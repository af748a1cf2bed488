//! The connections to one address outside the mesh, in plaintext or in TLS of the proxy's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use http::{Request, Response, Version};
use parking_lot::Mutex;
use policy::Protocol as Declared;
use policy::traffic_policy::{ConnectionPool, UpstreamTls, UpstreamTlsMode};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::EgressDialer;
use super::shown::ShownCertificate;
use super::web_tls::WebAlpn;
use crate::clock::Clock;
use crate::connection::net::{AbortableStream, BoxedIo, DialOptions, ReadAheadIo, StreamAborter};
use crate::connection::tls::{self, HandshakeError};
use crate::http::body::{Body, BodyGuard};
use crate::http::error::{OtherEnd, RequestError};
use crate::http::h2_client::{H2Client, ReadyStream, ReservedStream};
use crate::http::h2_pool::{H2Pool, TRIES, ended};
use crate::http::head;
use crate::http::headers::{AnswerOrigin, is_native_grpc};
use crate::http::http1_client::{Http1Client, Http1SendError};
use crate::labels::Direction;
use crate::limits::Limits;
use crate::traffic::app::is_reusable;

const WHO: OtherEnd = OtherEnd::Upstream;
/// How long an HTTP/1.1 connection is kept for the next request: less than the servers that close first, most of which wait
/// for a minute.
const IDLE_HTTP1: Duration = Duration::from_secs(30);

/// What tells destinations apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct EgressKey {
    address: SocketAddr,
    /// The host that names it in the handshake.
    host: Arc<str>,
    protocol: Declared,
    tls: Option<Arc<UpstreamTls>>,
    /// What is shown to a server that asks for a certificate.
    shown: Option<ShownCertificate>,
}

impl EgressKey {
    /// `protocol` is what is spoken on the service's port, and `tls` what a DestinationRule or a BackendTLSPolicy says of
    /// it.
    pub(crate) fn new(
        address: SocketAddr,
        host: &Arc<str>,
        protocol: Declared,
        tls: Option<&Arc<UpstreamTls>>,
    ) -> Self {
        let (host, tls) = (host.clone(), begun(protocol, tls).cloned());
        Self { address, host, protocol, tls, shown: None }
    }

    /// Shows this certificate, unless a DestinationRule names another one.
    pub(crate) fn showing(mut self, shown: Option<&ShownCertificate>) -> Self {
        self.shown = shown.filter(|_| self.tls.is_some()).cloned();
        self
    }
}

/// The TLS that the proxy begins: none where the app speaks it itself.
pub(crate) fn begun(
    protocol: Declared,
    tls: Option<&Arc<UpstreamTls>>,
) -> Option<&Arc<UpstreamTls>> {
    let begins = |tls: &&Arc<UpstreamTls>| tls.mode != UpstreamTlsMode::Disable;
    tls.filter(begins).filter(|_| protocol != Declared::Tls)
}

/// The limits, with what a DestinationRule says otherwise.
pub(super) fn limits(limits: &Limits, pool: &ConnectionPool) -> Limits {
    let mut own = *limits;
    own.connect_timeout = pool.connect_timeout.unwrap_or(limits.connect_timeout);
    own.mesh_connections = pool.max_connections.unwrap_or(limits.mesh_connections);
    own.pool_connections = pool.max_connections.unwrap_or(limits.pool_connections);
    own.pool_idle_timeout = pool.http.idle_timeout.unwrap_or(limits.pool_idle_timeout);
    own
}

/// What a byte stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamUse {
    /// One HTTP/1.1 connection whose request switches protocols.
    Upgrade,
    /// Opaque bytes.
    Opaque,
}

/// One address, and our connections to it.
pub(crate) struct EgressDestination {
    key: EgressKey,
    pub(super) limits: Limits,
    http2: H2Pool,
    #[allow(clippy::vec_box, reason = "boxed once: to lend one for an answer allocates nothing")]
    http1: Mutex<Vec<Box<EgressLease>>>,
    /// Where both versions were offered, the server chose HTTP/1.1.
    chose_http1: AtomicBool,
    /// When it could not be reached, in seconds of the coarse clock; zero: it could.
    failed_at: AtomicU32,
}

/// A connection for one request.
pub(super) enum EgressConnection {
    Http1 { lease: Box<EgressLease>, fresh: bool },
    Http2(ReadyStream),
}

/// An HTTP/1.1 connection: lent until its answer has been read completely, and closed when that does not happen.
pub(super) struct EgressLease {
    client: Http1Client,
    /// Where it returns to when it is free; `None` while it is there.
    home: Option<(Arc<EgressDestination>, Arc<Clock>)>,
    /// When it became idle, in seconds of the coarse clock.
    since: u32,
}

impl EgressLease {
    fn keep(mut self: Box<Self>) {
        let Some((destination, clock)) = self.home.take() else { return };
        self.since = clock.coarse();
        let most = usize::try_from(destination.limits.pool_connections).unwrap_or(1);
        let mut idle = destination.http1.lock();
        if idle.len() < most {
            idle.push(self);
        }
    }
}

impl BodyGuard for EgressLease {
    /// Back at once, or as soon as the connection is ready again.
    fn ended(mut self: Box<Self>) {
        if self.client.is_ready() {
            return self.keep();
        }
        if !self.client.is_closed() {
            tokio::spawn(async move {
                match tokio::time::timeout(Duration::from_secs(1), self.client.ready()).await {
                    Ok(true) => self.keep(),
                    // The server has answered while the client still sends.
                    _ => self.client.end(),
                }
            });
        }
    }
}

impl EgressDestination {
    /// Whether its connections begin with TLS of the proxy's own.
    pub(super) fn begins_tls(&self) -> bool {
        self.key.tls.is_some()
    }

    pub(super) fn new(key: EgressKey, limits: Limits) -> Self {
        Self {
            key,
            limits,
            http2: H2Pool::default(),
            http1: Mutex::default(),
            chose_http1: AtomicBool::new(false),
            failed_at: AtomicU32::new(0),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.key.address
    }

    /// Notes that it could not be reached, where that is its own fault; the error comes back.
    pub(super) fn failed(&self, dialer: &EgressDialer<'_>, error: RequestError) -> RequestError {
        if error.is_endpoint_fault() {
            self.failed_at.store(dialer.state.clock.coarse().max(1), Relaxed);
        }
        error
    }

    /// Whether it could not be reached a moment ago.
    pub(super) fn rests(&self, now: u32, rest: Duration) -> bool {
        let failed_at = self.failed_at.load(Relaxed);
        failed_at != 0 && u64::from(now.saturating_sub(failed_at)) < rest.as_secs()
    }

    /// Whether a request of this version goes out as HTTP/2: as its port is declared; otherwise in its own version, where
    /// the server has it.
    pub(super) fn wants_http2(&self, version: Version) -> bool {
        match self.key.protocol {
            Declared::Http2 | Declared::Grpc => true,
            Declared::Http if self.key.tls.is_none() => false,
            _ => version == Version::HTTP_2 && !self.chose_http1.load(Relaxed),
        }
    }

    /// A connection for one request.
    ///
    /// # Errors
    /// [`RequestError`]; nothing has been sent then.
    pub(super) async fn reach(
        self: &Arc<Self>,
        dialer: &EgressDialer<'_>,
        http2: bool,
    ) -> Result<EgressConnection, RequestError> {
        if !http2 {
            return match self.take_idle(dialer) {
                Some(lease) => Ok(EgressConnection::Http1 { lease, fresh: false }),
                None => Box::pin(self.open_http1(dialer)).await,
            };
        }
        for _ in 0..TRIES {
            let place = match self.http2.reserve_stream() {
                Some(place) => place,
                None => match Box::pin(self.open_http2(dialer)).await? {
                    OpenedHttp2::Stream(place) => place,
                    OpenedHttp2::Http1(connection) => return Ok(connection),
                },
            };
            // Without a slot: the server has announced the connection's end since it was last used.
            if let Ok(slot) = place.until_ready().await {
                return Ok(EgressConnection::Http2(slot));
            }
        }
        Err(ended(WHO))
    }

    /// Sends a request over a connection that was reached for it.
    ///
    /// # Errors
    /// [`RequestError`]; the server has not answered then.
    pub(super) async fn send(
        self: &Arc<Self>,
        dialer: &EgressDialer<'_>,
        connection: EgressConnection,
        mut request: Box<Request<Body>>,
    ) -> Result<Response<Body>, RequestError> {
        let (mut lease, mut fresh) = match connection {
            EgressConnection::Http2(slot) => {
                head::for_http2(&mut request);
                return slot.send(request).await.map_err(|error| error.into_error(WHO));
            }
            EgressConnection::Http1 { .. } if is_native_grpc(request.headers()) => {
                return Err(RequestError::GrpcToHttp1);
            }
            EgressConnection::Http1 { lease, fresh } => (lease, fresh),
        };
        head::for_http1(&mut request);
        loop {
            match lease.client.send(request, AnswerOrigin::Other).await {
                Ok(response) if is_reusable(&response) => {
                    return Ok(response.map(|body| body.until_read(lease)));
                }
                Ok(response) => return Ok(response),
                // It came to its end while it was idle; the request is whole and unsent.
                Err(Http1SendError::Unsent(unsent)) if !fresh => request = unsent,
                Err(unanswered) => return Err(unanswered.into_error(WHO)),
            }
            (lease, fresh) = match self.reach(dialer, false).await? {
                EgressConnection::Http1 { lease, fresh } => (lease, fresh),
                EgressConnection::Http2(_) => return Err(ended(WHO)),
            };
        }
    }

    /// Opens a byte stream, and what makes its close an abort.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(super) async fn open_stream(
        &self,
        dialer: &EgressDialer<'_>,
        used: StreamUse,
    ) -> Result<(BoxedIo, StreamAborter), RequestError> {
        let alpn = match used {
            StreamUse::Upgrade => WebAlpn::Http1,
            StreamUse::Opaque => WebAlpn::Nothing,
        };
        let opened = self.connect(dialer, alpn).await?;
        Ok((opened.io, opened.aborter))
    }

    /// Closes what is unused for too long; whether nothing is left.
    pub(super) fn sweep(&self, now: u32) -> bool {
        let idle = u32::try_from(self.limits.pool_idle_timeout.as_secs()).unwrap_or(u32::MAX);
        let mut http1 = self.http1.lock();
        http1.retain(|lease| !lease.client.is_closed() && self.is_fresh(lease, now));
        self.http2.sweep(idle) && http1.is_empty()
    }

    fn is_fresh(&self, lease: &EgressLease, now: u32) -> bool {
        let most = IDLE_HTTP1.min(self.limits.pool_idle_timeout).as_secs();
        u64::from(now.saturating_sub(lease.since)) <= most
    }

    fn take_idle(self: &Arc<Self>, dialer: &EgressDialer<'_>) -> Option<Box<EgressLease>> {
        let now = dialer.state.clock.coarse();
        let mut idle = self.http1.lock();
        while let Some(mut lease) = idle.pop() {
            if self.is_fresh(&lease, now) && lease.client.is_ready() {
                lease.home = Some((self.clone(), dialer.state.clock.clone()));
                return Some(lease);
            }
        }
        None
    }

    async fn open_http1(
        self: &Arc<Self>,
        dialer: &EgressDialer<'_>,
    ) -> Result<EgressConnection, RequestError> {
        let opened = self.connect(dialer, WebAlpn::Http1).await?;
        self.http1_over(dialer, opened.io).await
    }

    async fn http1_over(
        self: &Arc<Self>,
        dialer: &EgressDialer<'_>,
        io: BoxedIo,
    ) -> Result<EgressConnection, RequestError> {
        let client = Http1Client::open(io, &self.limits, WHO, std::future::pending()).await?;
        let home = Some((self.clone(), dialer.state.clock.clone()));
        let lease = Box::new(EgressLease { client, home, since: 0 });
        Ok(EgressConnection::Http1 { lease, fresh: true })
    }

    /// A stream of a connection that is opened for it, unless the task before in turn has opened one; or, where a server
    /// chose it, a connection of HTTP/1.1.
    async fn open_http2(
        self: &Arc<Self>,
        dialer: &EgressDialer<'_>,
    ) -> Result<OpenedHttp2, RequestError> {
        let _turn = self.http2.opening_turn(self.limits.connect_timeout).await;
        if let Some(place) = self.http2.reserve_stream() {
            return Ok(OpenedHttp2::Stream(place));
        }
        if self.http2.is_full(&self.limits) {
            dialer.state.metrics.overflow(Direction::Outbound);
            return Err(RequestError::Overflow { who: WHO, address: self.address() });
        }
        let declared = matches!(self.key.protocol, Declared::Http2 | Declared::Grpc);
        let offer = if declared { WebAlpn::Http2 } else { WebAlpn::Both };
        let opened = self.connect(dialer, offer).await?;
        if opened.chose_http1 {
            self.chose_http1.store(true, Relaxed);
            return self.http1_over(dialer, opened.io).await.map(OpenedHttp2::Http1);
        }
        let client = H2Client::open(opened.io, &self.limits).await;
        let client = client.map_err(|error| RequestError::broken(WHO, &error))?;
        let place = client.reserve_stream().ok_or_else(|| ended(WHO))?;
        self.http2.add(client);
        Ok(OpenedHttp2::Stream(place))
    }

    /// Connects and, where the DestinationRule says so, makes the handshake in which the server proves its name.
    async fn connect(
        &self,
        dialer: &EgressDialer<'_>,
        alpn: WebAlpn,
    ) -> Result<OpenedConnection, RequestError> {
        let (settings, address) = (&dialer.state.settings, self.address());
        let tcp = DialOptions::upstream(&self.limits, &settings.interception)
            .for_traffic()
            .connect(address)
            .await
            .map_err(|source| RequestError::Connect { who: WHO, address, source })?;
        refuse_own_listener(dialer, &tcp, address)?;
        let tcp = AbortableStream::new(tcp);
        let aborter = tcp.aborter();
        self.failed_at.store(0, Relaxed);
        let Some(tls) = &self.key.tls else {
            return Ok(OpenedConnection { io: Box::new(tcp), aborter, chose_http1: false });
        };
        let limit = self.limits.handshake_timeout;
        let handshake = self.handshake(dialer, tls, alpn, Box::new(tcp));
        let done = tokio::time::timeout(limit, handshake);
        let done = done.await.unwrap_or(Err(HandshakeError::Timeout(limit)));
        let label = done.as_ref().err().map_or("ok", HandshakeError::label);
        dialer.state.metrics.handshake("client", label);
        let (io, chosen) = done.map_err(|source| RequestError::Handshake { address, source })?;
        let chose_http1 = alpn == WebAlpn::Both && chosen.as_deref() != Some(b"h2");
        Ok(OpenedConnection { io, aborter, chose_http1 })
    }

    async fn handshake(
        &self,
        dialer: &EgressDialer<'_>,
        tls: &Arc<UpstreamTls>,
        alpn: WebAlpn,
        io: BoxedIo,
    ) -> Result<(BoxedIo, Option<Vec<u8>>), HandshakeError> {
        let now = dialer.state.clock.coarse();
        let config = dialer.pool.tls.get(tls, self.key.shown.as_ref(), alpn, now).await;
        let config = config.map_err(|error| std::io::Error::other(error.to_string()))?;
        let asked = tls.sni.as_ref().unwrap_or(&self.key.host);
        let name = tls::server_name(asked, self.address().ip());
        let stream = TlsConnector::from(config).connect(name, ReadAheadIo::new(io)).await?;
        let chosen = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        Ok((Box::new(stream), chosen))
    }
}

/// What a request for HTTP/2 got.
enum OpenedHttp2 {
    Stream(ReservedStream),
    Http1(EgressConnection),
}

struct OpenedConnection {
    io: BoxedIo,
    aborter: StreamAborter,
    chose_http1: bool,
}

/// A connection whose two ends have one address has not left this machine. Where a gateway listens on its port, it would be
/// its own client, and the request would go round and round (SECURITY-CASES S-44).
fn refuse_own_listener(
    dialer: &EgressDialer<'_>,
    tcp: &TcpStream,
    address: SocketAddr,
) -> Result<(), RequestError> {
    let here = tcp.local_addr().is_ok_and(|own| own.ip() == address.ip());
    if here && dialer.state.edge.listens_at(address) {
        let what = format!("{address}, where the gateway itself listens");
        return Err(RequestError::UnknownDestination(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
