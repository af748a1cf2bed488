//! The requests of one inbound HTTP connection: what each phase of an exchange does for requests to our app.

use std::future::{Future, ready};
use std::sync::Arc;

use arc_swap::Guard;
use h2::ext::Protocol as StreamProtocol;
use http::request::Parts;
use http::{Response, Version};
use policy::{HostName, Permit, Protocol as Declared, Snapshot, TokenRules};

use super::{InboundConnection, token};
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::http::gate;
use crate::http::headers::{ForwardedClientCert, SenderTrust, is_native_grpc};
use crate::http::original_version;
use crate::http::serve::ConnectStream;
use crate::labels::Protocol;
use crate::traffic::app;
use crate::traffic::authorize;
use crate::traffic::client;
use crate::traffic::decisions::DecisionRecord;
use crate::traffic::exchange::{self, Exchange, ExchangePhases, HttpContext, Phase, ReadyRequest};
use crate::traffic::jwt::AuthenticatedToken;
use crate::traffic::mesh::StreamKind;
use crate::traffic::reauth;
use crate::traffic::record::RequestRecord;
use crate::traffic::review::{self, RequestReview};

/// The phases of the requests of one inbound connection.
pub(crate) struct InboundPhases {
    inbound: Arc<InboundConnection>,
    protocol: Protocol,
    context: HttpContext,
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
        let context = HttpContext::new(inbound.worker.clone(), connection, meter);
        Self { inbound, protocol, context, forwarded, sender }
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

    /// Finds out who the token speaks for and registers the request on its connection, both by the snapshot that then
    /// decides: a change of policy finds the request registered or is seen here, and then all of it is judged again.
    fn register(&self, exchange: &mut Exchange<'_>) -> Result<(), RequestError> {
        let (inbound, state) = (&self.inbound, &self.inbound.worker.state);
        let settings = &state.settings;
        let (forwarded_for, level) = (&settings.inbound.forwarded_for, settings.path_normalization);
        let Exchange { parts, admitted, path, snapshot, .. } = exchange;
        let snapshot = snapshot.get_or_insert_with(|| state.snapshot());
        let mut judged: Option<(AuthenticatedToken, Arc<TokenRules>)> = None;
        let mut remote_ip = None;
        let judge = |snapshot: &Snapshot| {
            let host = admitted.host();
            let caller = match judged.take() {
                None => token::authenticate(inbound, snapshot, parts, host, path)?,
                Some((before, by)) => {
                    // The gate has let its names in by rules that are gone.
                    gate::refuse_other_spellings(&parts.headers, snapshot.header_names())
                        .map_err(RequestError::Gate)?;
                    match token::still_counts(before, &by, snapshot)? {
                        Some(caller) => caller,
                        None => token::authenticate(inbound, snapshot, parts, host, path)?,
                    }
                }
            };
            remote_ip = client::remote_ip(forwarded_for, self.sender, &parts.headers);
            let request_facts = exchange::facts(parts, admitted, path, &caller);
            let connection = &inbound.connection;
            let review = RequestReview::begin(
                connection,
                snapshot,
                &request_facts,
                level,
                remote_ip,
                &caller,
            );
            judged = Some((caller, snapshot.tokens().clone()));
            Ok::<_, RequestError>(review)
        };
        let review = review::by_one_snapshot(snapshot, || state.snapshot(), judge)?;
        exchange.record.hold_review(review);
        exchange.caller = judged.map(|(caller, _)| caller).unwrap_or_default();
        exchange.remote_ip = remote_ip;
        Ok(())
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
    fn authenticate(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = Phase<()>> + Send {
        ready(self.register(exchange).map_err(Into::into))
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
        let state = &self.inbound.worker.state;
        let remote_ip = exchange.remote_ip;
        let connection = policy::ConnectionFacts { remote_ip, ..self.inbound.facts() };
        let request_facts = exchange.facts();
        let in_force;
        let snapshot = match &exchange.snapshot {
            Some(snapshot) => snapshot,
            None => {
                in_force = state.snapshot();
                &in_force
            }
        };
        let verdict = authorize::request(snapshot, &connection, &request_facts);
        let decision =
            || DecisionRecord::new(state.clock.unix(), &connection, Some(&request_facts), &verdict);
        if verdict.decision.is_err() {
            state.decisions.add(decision());
        } else if !verdict.shadow.is_empty() {
            state.decisions.offer(decision);
        }
        let decided = exchange.record.decided(verdict);
        ready(decided.map_err(|denial| RequestError::Denied(denial).into()))
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
