//! The requests of one inbound HTTP connection: what each phase of an exchange does for requests to our app.

use std::future::{Future, ready};
use std::sync::Arc;

use arc_swap::Guard;
use h2::ext::Protocol as StreamProtocol;
use http::request::Parts;
use http::{Response, Version};
use policy::{HostName, Permit, Protocol as Declared, Snapshot};

use super::InboundConnection;
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::http::headers::{ForwardedClientCert, SenderTrust, is_native_grpc};
use crate::http::original_version;
use crate::http::serve::ConnectStream;
use crate::labels::Protocol;
use crate::traffic::abuse_phase;
use crate::traffic::app;
use crate::traffic::client;
use crate::traffic::exchange::{Exchange, ExchangePhases, HttpContext, Phase, ReadyRequest};
use crate::traffic::inspect_phase::{self, InspectedPlace};
use crate::traffic::introspection;
use crate::traffic::judge::RequestJudge;
use crate::traffic::limit_phase;
use crate::traffic::mesh::StreamKind;
use crate::traffic::rate_limits::LimitCaller;
use crate::traffic::reauth;
use crate::traffic::record::RequestRecord;
use crate::traffic::token_exchange::{self, NextHop};

/// The phases of the requests of one inbound connection.
pub(crate) struct InboundPhases {
    inbound: Arc<InboundConnection>,
    protocol: Protocol,
    context: HttpContext,
    judge: RequestJudge,
    forwarded: Option<ForwardedClientCert>,
    /// Whether this peer is trusted to name the client behind it.
    sender: SenderTrust,
}

impl InboundPhases {
    /// Resolves once what all requests of the connection share.
    pub(crate) fn new(inbound: Arc<InboundConnection>, protocol: Protocol) -> Self {
        let state = &inbound.worker.state;
        let meter = inbound.worker.meter(inbound.labels(protocol));
        let forwarded = state
            .own_id()
            .zip(inbound.peer())
            .map(|(own, peer)| ForwardedClientCert::new(&own, &peer.leaf_sha256, &peer.id));
        let forwarded_for = &state.settings.inbound.forwarded_for;
        let sender = client::sender(forwarded_for, inbound.peer().map(|peer| &peer.id));
        let connection = (*inbound.connection).clone();
        let context = HttpContext::new(inbound.worker.clone(), connection.clone(), meter);
        let judge = RequestJudge { worker: inbound.worker.clone(), connection };
        Self { inbound, protocol, context, judge, forwarded, sender }
    }

    /// A broker gets no request: a peer may send one on the mesh connection that its streams are on, and a broker may take a
    /// line of it for an operation that nobody judged.
    fn refuse_for_broker(&self) -> Result<(), RequestError> {
        match self.inbound.arrival.declared_protocol.messages() {
            Some(_) => Err(RequestError::BadStream("a request to a broker's port")),
            None => Ok(()),
        }
    }

    /// The purpose of a peer's CONNECT stream: accepted only between two of our proxies, only to the connection's own
    /// destination, only of a known kind.
    fn stream_kind(&self, head: &Parts) -> Result<StreamKind, RequestError> {
        if self.protocol != Protocol::Postern {
            return Err(RequestError::BadStream("CONNECT outside of postern/1"));
        }
        let protocol = head.extensions.get::<StreamProtocol>().map(StreamProtocol::as_str);
        let protocol = protocol.ok_or(RequestError::BadStream("CONNECT without a protocol"))?;
        let kind = StreamKind::of(protocol).ok_or(RequestError::UnknownStream)?;
        let dialled = self.inbound.arrival.dialled.to_string();
        match head.uri.authority() {
            Some(authority) if authority.as_str() == dialled => Ok(kind),
            _ => Err(RequestError::BadStream("the authority is not the connection's destination")),
        }
    }
}

impl ExchangePhases for InboundPhases {
    /// There is only one app.
    type Target = ();
    type Permit = Permit;

    fn context(&self) -> &HttpContext {
        &self.context
    }

    fn sender(&self) -> SenderTrust {
        self.sender
    }

    /// The HTTP version of the caller before the mesh hop, and the one for the app: as its port is declared, else the
    /// caller's.
    fn versions(&self, parts: &mut Parts) -> (Version, Version) {
        let client = match self.protocol {
            Protocol::Postern => original_version::take(&mut parts.headers),
            _ => parts.version,
        };
        let app = match self.inbound.arrival.declared_protocol {
            Declared::Http => Version::HTTP_11,
            Declared::Http2 | Declared::Grpc => Version::HTTP_2,
            _ if client == Version::HTTP_2 => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        (client, app)
    }

    fn snapshot(&self) -> Option<Guard<Arc<Snapshot>>> {
        Some(self.inbound.worker.state.snapshot())
    }

    fn logged_host<'h>(&self, host: &'h HostName) -> &'h str {
        host.as_str()
    }

    /// The token comes before policy, which uses its claims.
    async fn authenticate(&self, exchange: &mut Exchange<'_>) -> Phase<()> {
        self.refuse_for_broker()?;
        let state = &self.inbound.worker.state;
        let forwarded_for = &state.settings.inbound.forwarded_for;
        let remote_ip = client::remote_ip(forwarded_for, self.sender, &exchange.parts.headers);
        abuse_phase::meet(&self.context, exchange, remote_ip)?;
        let asked = introspection::authenticate(state, exchange).await?;
        self.judge.authenticate(exchange, remote_ip)?;
        Ok(introspection::confirm(&asked, exchange)?)
    }

    fn route(&self, _: &mut Exchange<'_>) -> impl Future<Output = Phase<()>> + Send {
        ready(Ok(()))
    }

    /// Policy judges the same path that is forwarded.
    fn authorize(
        &self,
        exchange: &mut Exchange<'_>,
        (): &(),
    ) -> impl Future<Output = Phase<Permit>> + Send {
        ready(self.judge.authorize(exchange).map_err(Into::into))
    }

    async fn limit(&self, exchange: &mut Exchange<'_>, (): &()) -> Phase<()> {
        let state = &self.inbound.worker.state;
        let caller = LimitCaller {
            principal: self.inbound.peer().map(|peer| peer.id.without_scheme()),
            source: self.inbound.connection.source.ip(),
            listener: None,
            route: None,
        };
        limit_phase::limit(&state.rate_limits, exchange, &caller).await?;
        token_exchange::into_the_mesh(state, exchange, NextHop::OwnApp).await
    }

    async fn inspect(&self, exchange: &mut Exchange<'_>, (): &()) -> Phase<()> {
        let place = InspectedPlace::AppPort(self.inbound.arrival.app.port());
        inspect_phase::inspect(&self.inbound.worker.state, exchange, place).await
    }

    fn set_headers(&self, parts: &mut Parts) {
        if let Some(forwarded) = &self.forwarded {
            forwarded.set(&mut parts.headers);
        }
    }

    async fn forward(
        &self,
        ready: ReadyRequest<Self>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let ReadyRequest { request, permit, client_version, .. } = ready;
        let changes = client_version == Version::HTTP_2 && request.version() != client_version;
        if changes && is_native_grpc(request.headers()) {
            return Err(RequestError::GrpcToHttp1);
        }
        let address = self.inbound.app_address();
        tokio::select! {
            biased;
            response = app::send(&self.inbound.worker.apps, permit, address, request) => response,
            () = record.withdrawn() => Err(RequestError::Withdrawn),
        }
    }

    async fn forward_upgrade(
        &self,
        ready: ReadyRequest<Self>,
    ) -> Result<Response<Body>, RequestError> {
        let ReadyRequest { request, permit, .. } = ready;
        let address = self.inbound.app_address();
        app::send_upgrade(&self.inbound.worker.apps, permit, address, request).await
    }

    async fn stream(&self, head: Parts, stream: ConnectStream) {
        match self.stream_kind(&head) {
            Ok(StreamKind::Reauth) => {
                let Ok(tunnel) = stream.accept() else { return };
                let connection = self.inbound.connection.mesh_connection();
                reauth::answer(&self.inbound.worker.state, connection, tunnel).await;
            }
            Ok(kind) => self.inbound.mesh_stream(stream, kind).await,
            Err(error) => stream.refuse(&error),
        }
    }
}

#[cfg(test)]
mod tests;
