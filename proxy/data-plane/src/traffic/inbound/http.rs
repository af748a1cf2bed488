//! The requests of one inbound HTTP connection: gate, permit, headers, app, in this order.

use crate::http::gate::HeadLimits;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::Guard;
use h2::ext::Protocol as StreamProtocol;
use http::request::Parts;
use http::{HeaderMap, Request, Response, Version};
use parking_lot::Mutex;
use policy::{CanonicalPath, Permit, Protocol as Declared, Snapshot};
use tokio::task::JoinHandle;

use super::{InboundConnection, token};
use crate::http::body::Body;
use crate::http::error::{RequestError, is_grpc, is_native_grpc};
use crate::http::gate::{self, AdmittedRequest, GateRefusal, GateSettings};
use crate::http::headers::{self, ForwardedClientCert, SenderTrust, TrailerKind};
use crate::http::original_version;
use crate::http::serve::{self, ConnectStream, Handler};
use crate::telemetry::{CloseReason, Protocol};
use crate::traffic::app;
use crate::traffic::authorize::{self, RequestFacts};
use crate::traffic::client;
use crate::traffic::decisions::DecisionRecord;
use crate::traffic::jwt::AuthenticatedToken;
use crate::traffic::mesh::StreamKind;
use crate::traffic::reauth;
use crate::traffic::record::{RequestRecord, TrafficMeter};
use crate::traffic::review::{self, RequestReview};
use crate::traffic::upgrade::{self, AnnouncedUpgrade};

/// Answers the requests of one connection.
#[derive(Clone)]
pub(crate) struct InboundHandler(Arc<InboundHttpConnection>);

struct InboundHttpConnection {
    inbound: Arc<InboundConnection>,
    protocol: Protocol,
    meter: Arc<TrafficMeter>,
    forwarded: Option<ForwardedClientCert>,
    /// Whether this peer's word about the client behind it counts.
    sender: SenderTrust,
    upgraded: Mutex<Option<JoinHandle<CloseReason>>>,
}

/// A request that policy has let in, with the way to its app.
struct AllowedRequest {
    permit: Permit,
    request: Request<Body>,
    upgrade: Option<AnnouncedUpgrade>,
    review: RequestReview,
    close_unless_upgraded: bool,
}

/// A request noted on its connection, and what it is to be judged by.
struct RegisteredRequest {
    caller: AuthenticatedToken,
    remote_ip: Option<IpAddr>,
    review: RequestReview,
    snapshot: Guard<Arc<Snapshot>>,
}

impl InboundHandler {
    /// Resolves once what all requests of the connection share.
    pub(crate) fn new(inbound: Arc<InboundConnection>, protocol: Protocol) -> Self {
        let meter = inbound.worker.meter(inbound.labels(protocol));
        let own = inbound.worker.state.own_id();
        let forwarded = own
            .zip(inbound.peer())
            .map(|(own, peer)| ForwardedClientCert::new(&own, &peer.leaf_sha256, &peer.id));
        let believed = &inbound.worker.state.settings.inbound.forwarded_for;
        let sender = client::sender(believed, inbound.peer().map(|peer| &peer.id));
        Self(Arc::new(InboundHttpConnection {
            sender,
            inbound,
            protocol,
            meter,
            forwarded,
            upgraded: Mutex::default(),
        }))
    }

    /// Waits for the bytes of an upgraded request, if there was one: they are what is left of the
    /// connection when its HTTP has ended.
    pub(crate) async fn upgraded(&self) -> Option<CloseReason> {
        let handle = self.0.upgraded.lock().take()?;
        Some(handle.await.unwrap_or(CloseReason::Error))
    }
}

impl Handler for InboundHandler {
    async fn request(&self, request: Request<Body>) -> Response<Body> {
        let connection = &self.0;
        let inbound = &connection.inbound;
        let grpc = is_grpc(request.headers());
        let mut record = RequestRecord::begin(
            &inbound.worker,
            &inbound.connection,
            &connection.meter,
            request.method(),
        );
        let answered = match connection.admit(request, &mut record) {
            Ok(allowed) if allowed.upgrade.is_some() => {
                return connection.upgrade(allowed, record).await;
            }
            Ok(allowed) => connection.forward(allowed).await,
            Err(error) => Err(error),
        };
        serve::conclude(answered, record, grpc)
    }

    fn malformed(&self, refusal: GateRefusal) {
        let connection = &self.0;
        let inbound = &connection.inbound;
        RequestRecord::malformed(&inbound.worker, &inbound.connection, &connection.meter, refusal);
    }

    async fn stream(&self, head: Parts, stream: ConnectStream) {
        match self.0.stream_kind(&head) {
            Ok(StreamKind::Reauth) => {
                let inbound = &self.0.inbound;
                let Ok(tunnel) = stream.accept() else { return };
                reauth::answer(&inbound.worker.state, inbound.connection.link(), tunnel).await;
            }
            Ok(kind) => self.0.inbound.mesh_stream(stream, kind).await,
            Err(error) => stream.refuse(&error),
        }
    }
}

impl InboundHttpConnection {
    /// The gate stands first because everything after it trusts what it passed; the token comes
    /// before policy, which judges its claims; policy judges the very path that is forwarded;
    /// identity headers are set last, so that nothing the caller sent can stand in their place.
    fn admit(
        &self,
        request: Request<Body>,
        record: &mut RequestRecord,
    ) -> Result<AllowedRequest, RequestError> {
        let (mut parts, body) = request.into_parts();
        let announced = AnnouncedUpgrade::of(&mut parts);
        let (came, version) = self.versions(&mut parts);
        let admitted = self.gate(&mut parts)?;
        record.dropped(admitted.dropped);
        // Before anything is judged by what an unlisted peer says of others.
        headers::strip_forwarded_identity(&mut parts.headers, self.sender);
        let path = admitted.path().map_err(RequestError::Gate)?;
        record.target(admitted.host().as_str(), path.as_str());
        let RegisteredRequest { caller, remote_ip, review, snapshot } =
            self.note(&mut parts, &admitted, &path)?;
        let facts = policy::ConnectionFacts { remote_ip, ..self.inbound.facts() };
        let asked = asked(&parts, &admitted, &path, &caller);
        let permit = self.authorize(&snapshot, &facts, &asked, record)?;
        if came == Version::HTTP_2 && version != came && is_native_grpc(&parts.headers) {
            return Err(RequestError::GrpcToHttp1);
        }
        let upgrades = admitted.upgrade.is_some() && announced.is_some();
        let upgrade = upgrades.then_some(announced);
        admitted.set_target(&path, &mut parts).map_err(RequestError::Gate)?;
        caller.hide_parameter(&mut parts);
        if let Some(forwarded) = &self.forwarded {
            forwarded.set(&mut parts.headers);
        }
        parts.version = version;
        let close_unless_upgraded = admitted.close_unless_upgraded;
        Ok(AllowedRequest {
            permit,
            request: Request::from_parts(parts, body),
            upgrade,
            review,
            close_unless_upgraded,
        })
    }

    fn gate(&self, parts: &mut Parts) -> Result<AdmittedRequest, RequestError> {
        let state = &self.inbound.worker.state;
        let snapshot = state.snapshot();
        let settings = GateSettings {
            default_port: Some(80),
            normalization: state.settings.path_normalization,
            head: HeadLimits::of(&state.settings.limits),
            named: Some(snapshot.header_names()),
            underscores: state.settings.headers_with_underscores,
        };
        gate::admit(parts, &settings).map_err(RequestError::Gate)
    }

    /// Finds out who the token speaks for and notes the request on its connection, both by one snapshot, which then decides:
    /// a change of policy finds the request noted or is seen here.
    fn note(
        &self,
        parts: &mut Parts,
        admitted: &AdmittedRequest,
        path: &CanonicalPath<'_>,
    ) -> Result<RegisteredRequest, RequestError> {
        let (inbound, host) = (&self.inbound, admitted.host());
        let state = &inbound.worker.state;
        let believed = &state.settings.inbound.forwarded_for;
        let mut looked: Option<AuthenticatedToken> = None;
        let mut remote_ip = None;
        let judge = |snapshot: &Snapshot| {
            let caller = match looked.take() {
                None => token::authenticate(inbound, snapshot, parts, host, path)?,
                Some(before) => {
                    token::authenticate_again(before, inbound, snapshot, parts, host, path)?
                }
            };
            remote_ip = client::remote_ip(believed, self.sender, &parts.headers);
            let asked = asked(parts, admitted, path, &caller);
            let review = self.review(snapshot, &asked, remote_ip, &caller);
            looked = Some(caller);
            Ok::<_, RequestError>(review)
        };
        let (review, snapshot) = review::by_one_snapshot(|| state.snapshot(), judge)?;
        Ok(RegisteredRequest { caller: looked.unwrap_or_default(), remote_ip, review, snapshot })
    }

    fn authorize(
        &self,
        snapshot: &Snapshot,
        connection: &policy::ConnectionFacts<'_>,
        asked: &RequestFacts<'_>,
        record: &mut RequestRecord,
    ) -> Result<Permit, RequestError> {
        let state = &self.inbound.worker.state;
        let verdict = authorize::request(snapshot, connection, asked);
        let decision =
            || DecisionRecord::new(state.clock.unix(), connection, Some(asked), &verdict);
        if verdict.decided.is_err() {
            state.decisions.add(decision());
        } else if !verdict.would.is_empty() {
            state.decisions.offer(decision);
        }
        record.decided(verdict).map_err(RequestError::Denied)
    }

    fn review(
        &self,
        snapshot: &Snapshot,
        asked: &RequestFacts<'_>,
        remote_ip: Option<IpAddr>,
        caller: &AuthenticatedToken,
    ) -> RequestReview {
        let level = self.inbound.worker.state.settings.path_normalization;
        RequestReview::begin(&self.inbound.connection, snapshot, asked, level, remote_ip, caller)
    }

    /// The version the caller spoke before the mesh hop, and the one the app is spoken to in: what
    /// its port declares, else the caller's.
    fn versions(&self, parts: &mut Parts) -> (Version, Version) {
        let came = match self.protocol {
            Protocol::Postern => original_version::take(&mut parts.headers),
            _ => parts.version,
        };
        let app = match self.inbound.arrival.declared {
            Declared::Http => Version::HTTP_11,
            Declared::Http2 | Declared::Grpc => Version::HTTP_2,
            _ if came == Version::HTTP_2 => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        (came, app)
    }

    async fn forward(&self, allowed: AllowedRequest) -> Result<Response<Body>, RequestError> {
        let AllowedRequest { permit, request, review, close_unless_upgraded, .. } = allowed;
        let answer = app::send(&self.inbound.worker, permit, self.inbound.app_address(), request);
        let mut response = tokio::select! {
            biased;
            response = answer => response?,
            () = review.refused() => return Err(RequestError::Withdrawn),
        };
        clean_response(response.headers_mut(), close_unless_upgraded);
        let of = TrailerKind::of(response.headers());
        let limits = &self.inbound.worker.state.settings.limits;
        Ok(response.map(|body| body.within(limits, of).with_review(review)))
    }

    /// A request to switch protocols: the tunnel begins only with the app's 101, else the early
    /// bytes die with the connection (SECURITY-CASES S-08).
    async fn upgrade(&self, allowed: AllowedRequest, record: Box<RequestRecord>) -> Response<Body> {
        let inbound = &self.inbound;
        let AllowedRequest { permit, request, upgrade, review, .. } = allowed;
        let answer = app::send_upgrade(&inbound.worker, permit, inbound.app_address(), request);
        let answered = tokio::select! {
            biased;
            answered = answer => answered,
            () = review.refused() => Err(RequestError::Withdrawn),
        };
        let connection = (*inbound.connection).clone();
        let limits = &inbound.worker.state.settings.limits;
        let (response, carried) =
            upgrade::conclude(answered, upgrade, record, connection, Some(review), limits);
        *self.upgraded.lock() = carried;
        response
    }

    /// What a CONNECT stream of a peer is for: only between our own, only to the address that the
    /// connection itself was for, only of a kind that we know.
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

/// A request as policy sees it.
fn asked<'a>(
    parts: &'a Parts,
    admitted: &'a AdmittedRequest,
    path: &'a CanonicalPath<'a>,
    caller: &'a AuthenticatedToken,
) -> RequestFacts<'a> {
    RequestFacts {
        method: &parts.method,
        host: admitted.host(),
        path,
        headers: &parts.headers,
        token: caller.claims(),
    }
}

/// Takes the last hop's own fields out of an answer, and says where the connection must end.
fn clean_response(fields: &mut HeaderMap, close: bool) {
    headers::strip_hop_by_hop(fields);
    if close {
        fields.insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
}
