//! The edge: connections of clients from outside. [`serve()`] calls the phases of one connection in their order; the
//! requests of an HTTP connection are in `gateway/http.rs`.
//!
//! A client here is nobody: it has no identity of the mesh, whatever it shows, unless a ClientTrafficPolicy says which
//! principal its verified certificate stands for. What goes on from here goes with the gateway's own identity, and the
//! sidecar at the other end judges that like any caller's.

mod arrival;
mod http;
mod partner;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use policy::gateway::{ListenerProtocol, TlsMode};
use policy::route::RouteRule;
use policy::{Permit, PortProtocol};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::connection::edge_tls::{ArrivedHello, HelloRefusal, read_hello};
use crate::connection::net::{self, BoxedIo, MeteredIo, StreamAborter};
use crate::connection::registry::{Connection, ConnectionDeadlines, RegisteredConnection};
use crate::connection::sniff;
use crate::connection::tls::{Alpn, HandshakeError};
use crate::http::error::RequestError;
use crate::http::serve;
use crate::labels::{CloseReason, Direction, Protocol};
use crate::limits::Limits;
use crate::telemetry::metrics::TrafficLabels;
use crate::traffic::edge::{EdgeListener, EdgePort, GatewayBind};
use crate::traffic::exchange::{ExchangeHandler, ExchangePhases as _};
use crate::traffic::forward::{self, OpaqueTarget};
use crate::traffic::judge;
use crate::traffic::record::ConnectionRecord;
use crate::traffic::worker::Worker;
use partner::MeshDomains;

/// One connection of a client, as its phases see it.
pub(crate) struct GatewayConnection {
    worker: Arc<Worker>,
    bind: GatewayBind,
    connection: RegisteredConnection,
    aborter: StreamAborter,
}

/// Why a connection ended before it carried anything.
#[derive(Debug)]
pub(crate) struct ConnectionRefusal {
    reason: CloseReason,
    detail: &'static str,
    error: String,
}

impl ConnectionRefusal {
    fn new(reason: CloseReason, detail: &'static str, error: impl ToString) -> Self {
        Self { reason, detail, error: error.to_string() }
    }
}

impl From<RequestError> for ConnectionRefusal {
    fn from(error: RequestError) -> Self {
        let reason = match &error {
            RequestError::Connect { .. }
            | RequestError::Handshake { .. }
            | RequestError::Broken { .. } => CloseReason::Upstream,
            RequestError::Overflow { .. } => CloseReason::Limit,
            RequestError::Denied(_) => CloseReason::Policy,
            _ => CloseReason::Refused,
        };
        Self::new(reason, error.reason(), error)
    }
}

/// Serves one accepted connection to its end.
///
/// The order: who the client is (a listed proxy in front says so first), registration (so that a policy change finds the
/// connection), TLS with the listener that the server name is for, and only then requests or bytes, by their route.
pub(crate) async fn serve(
    worker: Arc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    bind: GatewayBind,
) {
    let state = &worker.state;
    let Some(port) = state.edge.port(&bind) else {
        net::abort_on_close(&stream);
        return state.metrics.closed(Direction::Inbound, CloseReason::Refused, (0, 0));
    };
    let arrived = match arrival::read(&worker, stream, peer, &port).await {
        Ok(arrived) => arrived,
        Err(refused) => {
            tracing::warn!(%peer, reason = refused.detail, error = refused.error, "connection refused");
            return state.metrics.closed(Direction::Inbound, refused.reason, (0, 0));
        }
    };
    let (destination, now) = (arrived.destination, state.clock.coarse());
    let connection =
        state.registry.register(worker.index, Direction::Inbound, arrived.client, destination, now);
    let mut record = ConnectionRecord::begin(&worker.recorder, &connection, state.own_service());
    let gateway =
        Arc::new(GatewayConnection { worker, bind, connection, aborter: arrived.aborter.clone() });
    let _counted = arrived.counted;
    let served = gateway.phases(&port, arrived.io, arrived.ahead, &mut record);
    match served.await {
        Ok(closed) => record.ended(closed, closed.as_str()),
        Err(refused) => record.failed(refused.reason, refused.detail, refused.error),
    }
}

impl GatewayConnection {
    async fn phases(
        self: &Arc<Self>,
        port: &Arc<EdgePort>,
        mut io: BoxedIo,
        ahead: Bytes,
        record: &mut ConnectionRecord,
    ) -> Result<CloseReason, ConnectionRefusal> {
        match port.port.protocol {
            PortProtocol::Http => {
                let (protocol, ahead) = self.version(port, &mut io, ahead).await?;
                Ok(Box::pin(self.http(port, None, io, ahead, protocol, record)).await)
            }
            PortProtocol::Tls => {
                let hello = Box::pin(self.hello(io, ahead)).await?;
                let Some(listener) = port.by_server_name(hello.server_name()).cloned() else {
                    return Err(self.refuse(hello, HelloRefusal::UnrecognizedName).await);
                };
                record.service(&listener.listener.label);
                if let Some(name) = hello.server_name() {
                    self.connection.set_server_name(name);
                }
                Box::pin(self.tls(port, listener, hello, record)).await
            }
            PortProtocol::Tcp => {
                let Some(listener) = port.only() else { return Err(no_route("the port")) };
                let rule = listener.listener.tcp_route();
                let rule = rule.ok_or_else(|| no_route(&listener.listener.label))?.clone();
                Box::pin(self.bytes(&rule, io, ahead, record)).await
            }
        }
    }

    /// The version of HTTP that a client in the clear begins with. A silent one has the time of a head, as over TLS: the one
    /// who speaks first here is the client.
    async fn version(
        &self,
        port: &EdgePort,
        io: &mut BoxedIo,
        ahead: Bytes,
    ) -> Result<(Protocol, Bytes), ConnectionRefusal> {
        let limits = &port.limits;
        let reading = sniff::read_ahead(io, ahead, limits.header_timeout, limits.sniff_timeout);
        let seen = self.unless_evicted(reading).await?;
        let seen = seen.map_err(|error| RequestError::Client(error.to_string()))?;
        match seen.guess {
            sniff::ProtocolGuess::Http1 => Ok((Protocol::Http1, seen.bytes)),
            sniff::ProtocolGuess::Http2 => Ok((Protocol::Http2, seen.bytes)),
            _ if seen.ended && seen.bytes.is_empty() => {
                Err(RequestError::Client("closed before a byte was sent".into()).into())
            }
            _ if seen.bytes.is_empty() => {
                let reason = CloseReason::HeaderTimeout;
                Err(ConnectionRefusal::new(reason, reason.as_str(), "not a byte was sent in time"))
            }
            _ => Err(RequestError::NotHttp.into()),
        }
    }

    /// The ClientHello, which says which listener is meant.
    async fn hello(&self, io: BoxedIo, ahead: Bytes) -> Result<ArrivedHello, ConnectionRefusal> {
        let limit = self.worker.state.settings.limits.handshake_timeout;
        let arrived = self.unless_evicted(read_hello(io, ahead, limit)).await?;
        arrived.map_err(|error| self.failed_handshake(&error))
    }

    async fn refuse(&self, hello: ArrivedHello, why: HelloRefusal) -> ConnectionRefusal {
        let error = match why {
            HelloRefusal::UnrecognizedName => {
                format!("no listener is for the server name {:?}", hello.server_name())
            }
            HelloRefusal::NoCertificate => {
                format!("the listener for {:?} has no certificate", hello.server_name())
            }
        };
        let limits = &self.worker.state.settings.limits;
        self.worker.state.metrics.handshake("edge", why.label());
        hello.refuse(why, limits.handshake_timeout).await;
        ConnectionRefusal::new(CloseReason::Handshake, why.label(), error)
    }

    fn failed_handshake(&self, error: &HandshakeError) -> ConnectionRefusal {
        self.worker.state.metrics.handshake("edge", error.label());
        ConnectionRefusal::new(CloseReason::Handshake, error.label(), error)
    }

    /// A connection of TLS whose listener is known: passed on unread, or ended here.
    async fn tls(
        self: &Arc<Self>,
        port: &Arc<EdgePort>,
        listener: Arc<EdgeListener>,
        hello: ArrivedHello,
        record: &mut ConnectionRecord,
    ) -> Result<CloseReason, ConnectionRefusal> {
        let own = &listener.listener;
        let route =
            |name: Option<&str>| own.tls_route(name).cloned().ok_or_else(|| no_route(&own.label));
        let mode = own.tls.as_ref().map_or(TlsMode::Terminate, |tls| tls.mode);
        if mode == TlsMode::Passthrough {
            let rule = route(hello.server_name())?;
            let (ahead, io) = hello.into_passed_through();
            return self.bytes(&rule, io, ahead, record).await;
        }
        let name: Option<Box<str>> = hello.server_name().map(Into::into);
        let (io, alpn) = self.handshake(&listener, hello).await?;
        let _watched = self.connection.peer().map(|_| self.watch(&listener));
        if own.protocol == ListenerProtocol::Tls {
            let rule = match own.tls_route(name.as_deref()) {
                Some(rule) => rule.clone(),
                None => own.tcp_route().cloned().ok_or_else(|| no_route(&own.label))?,
            };
            return self.bytes(&rule, io, Bytes::new(), record).await;
        }
        let protocol = if alpn == Alpn::H2 { Protocol::Http2 } else { Protocol::Http1 };
        Ok(self.http(port, Some(listener), io, Bytes::new(), protocol, record).await)
    }

    /// Ends TLS here, as the listener does.
    async fn handshake(
        &self,
        listener: &EdgeListener,
        hello: ArrivedHello,
    ) -> Result<(BoxedIo, Alpn), ConnectionRefusal> {
        let state = &self.worker.state;
        let Some(tls) = &listener.tls else {
            return Err(self.refuse(hello, HelloRefusal::NoCertificate).await);
        };
        let limit = state.settings.limits.handshake_timeout;
        if self.worker.handshakes.available_permits() == 0 {
            // Those who have kept it waiting longest make room: a few silent clients must not keep all others out.
            self.worker.evict_idle(Instant::now());
        }
        let turn = tokio::time::timeout(limit, self.worker.handshakes.acquire());
        let Ok(Ok(_turn)) = self.unless_evicted(turn).await? else {
            let error = "too many handshakes at once";
            return Err(ConnectionRefusal::new(CloseReason::Limit, "too_many_handshakes", error));
        };
        let accepted = self.unless_evicted(tls.accept(hello, limit)).await?;
        let accepted = accepted.map_err(|error| self.failed_handshake(&error))?;
        state.metrics.handshake("edge", "ok");
        if let Some(certificate) = &accepted.client {
            let credentials = state.credentials();
            let bundles = credentials.as_deref().map(|credentials| &**credentials.bundles());
            let mesh = MeshDomains { own: &state.settings.trust_domain, bundles };
            let now = state.clock.unix();
            partner::introduce(&self.connection, listener, certificate, &mesh, now)?;
        }
        Ok((accepted.io, accepted.alpn))
    }

    /// Closes the connection of a client that is somebody once its listener no longer takes it for that: who it is was said
    /// by rules that are gone.
    fn watch(&self, listener: &Arc<EdgeListener>) -> AbortOnDrop {
        let (state, bind, own) = (self.worker.state.clone(), self.bind, listener.clone());
        let connection: Arc<Connection> = (*self.connection).clone();
        let watching = async move {
            let mut changes = state.edge.changes();
            let is_known = || {
                let port = state.edge.port(&bind)?;
                let mut all = port.listeners();
                let now = all.find(|one| one.listener.label == own.listener.label)?;
                now.knows_clients_as(&own).then_some(())
            };
            while is_known().is_some() && changes.changed().await.is_ok() {}
            connection.close(CloseReason::Policy);
        };
        AbortOnDrop(tokio::spawn(watching))
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

    /// Requests, by the routes of the listener that their host is for.
    async fn http(
        self: &Arc<Self>,
        port: &Arc<EdgePort>,
        listener: Option<Arc<EdgeListener>>,
        io: BoxedIo,
        ahead: Bytes,
        protocol: Protocol,
        record: &mut ConnectionRecord,
    ) -> CloseReason {
        let state = &self.worker.state;
        self.aborter.close_in_order();
        self.connection.set_protocol(protocol);
        let metered = MeteredIo::new(io, ahead, self.connection.clone(), state.clock.clone());
        let limits: Limits = listener.as_ref().map_or(port.limits, |listener| listener.limits);
        let (head, idle) = (limits.header_timeout, limits.idle_timeout);
        self.connection.set_deadlines(ConnectionDeadlines { head, idle });
        let phases = http::GatewayPhases::new(self.clone(), port.clone(), listener, protocol);
        phases.context().meter.connection();
        let handler = ExchangeHandler::new(phases);
        record.carries_http();
        match protocol {
            Protocol::Http2 => {
                Box::pin(serve::http2(metered, &self.connection, &limits, handler, false)).await
            }
            _ => {
                let serving = serve::http1(
                    metered,
                    &self.connection,
                    &limits,
                    handler.clone(),
                    &self.aborter,
                );
                let closed = serving.await;
                handler.upgraded().await.unwrap_or(closed)
            }
        }
    }

    /// Bytes, to a backend of the rule that takes the whole connection: one decision, then both directions.
    async fn bytes(
        &self,
        rule: &Arc<RouteRule>,
        io: BoxedIo,
        ahead: Bytes,
        record: &mut ConnectionRecord,
    ) -> Result<CloseReason, ConnectionRefusal> {
        let state = &self.worker.state;
        self.connection.set_protocol(Protocol::Tcp);
        let permit = judge::bytes(state, &self.connection, judge::OpaqueKind::Tcp, record)
            .map_err(RequestError::Denied)?;
        let client = MeteredIo::new(io, ahead, self.connection.clone(), state.clock.clone());
        self.pass_on(permit, rule, client).await
    }

    /// What was permitted goes to a backend.
    async fn pass_on(
        &self,
        _: Permit,
        rule: &Arc<RouteRule>,
        client: MeteredIo,
    ) -> Result<CloseReason, ConnectionRefusal> {
        self.worker.route_meters.count(&self.worker, rule);
        let (upstream, _) = forward::draw(&self.worker, rule, Protocol::Tcp, None).await?;
        let target = OpaqueTarget::from(upstream);
        Ok(target.carry(&self.worker, &self.connection, client, &self.aborter).await?)
    }

    /// The labels of what is refused before it has a service.
    fn labels(&self, protocol: Protocol) -> TrafficLabels {
        let state = &self.worker.state;
        let peer = self.connection.peer();
        TrafficLabels {
            direction: Direction::Inbound,
            source_principal: peer.map_or("none", |peer| peer.id.without_scheme()).into(),
            destination_principal: "none".into(),
            destination_service: state.own_service(),
            protocol,
            mtls: peer.is_some(),
        }
    }
}

/// A task that ends with this value.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn no_route(listener: &str) -> ConnectionRefusal {
    RequestError::RouteNotFound(listener.to_owned()).into()
}
