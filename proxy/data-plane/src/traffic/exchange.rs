//! One request and its answer: the sequence that both directions share.
//!
//! gate → authenticate → route → authorize → limit → inspect → forward. The order is the same wherever a request comes from,
//! because each phase relies on what the ones before it have ensured; what a phase does depends on the direction
//! (`ExchangePhases`). A phase may wait, go on, answer in the app's place, or refuse. One that needs neither to wait
//! nor to answer costs nothing: phases are plain functions, and none is boxed.

use std::future::{Future, ready};
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::Guard;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use parking_lot::Mutex;
use policy::{CanonicalPath, GatewayListener, HostName, Snapshot};
use tokio::task::JoinHandle;

use crate::connection::registry::Connection;
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::http::gate::{self, AdmittedRequest, GateRefusal, GateSettings, HeadLimits};
use crate::http::headers::{self, SenderTrust, TrailerKind, is_grpc};
use crate::http::serve::{ConnectStream, Handler};
use crate::labels::CloseReason;
use crate::traffic::abuse_phase;
use crate::traffic::api_schema::DescribedAnswer;
use crate::traffic::authorize::RequestFacts;
use crate::traffic::caller::{AuthenticatedCaller, KnownClaims};
use crate::traffic::record::{RequestRecord, TrafficMeter};
use crate::traffic::upgrade::{self, AnnouncedUpgrade};
use crate::traffic::worker::Worker;

/// How an exchange ends before it is forwarded.
pub enum PhaseEnd {
    /// With this answer, in the app's place.
    Answer {
        /// For the client, as it is.
        response: Box<Response<Body>>,
        /// What the log and the metrics call it: one of the stable reasons.
        reason: &'static str,
    },
    /// With this refusal.
    Refuse(RequestError),
}

impl From<RequestError> for PhaseEnd {
    fn from(error: RequestError) -> Self {
        Self::Refuse(error)
    }
}

/// The result of a phase: the exchange continues, with what the phase found; or it ends.
pub type Phase<T> = Result<T, PhaseEnd>;

/// What all requests of one HTTP connection share.
pub(crate) struct HttpContext {
    pub(crate) worker: Arc<Worker>,
    pub(crate) connection: Arc<Connection>,
    /// The counters of requests that have no route of their own.
    pub(crate) meter: Arc<TrafficMeter>,
    /// The bytes of a request that switched protocols: they continue when the connection's HTTP has ended.
    upgraded: Mutex<Option<JoinHandle<CloseReason>>>,
}

impl HttpContext {
    /// Of a connection whose protocol is known.
    pub(crate) fn new(
        worker: Arc<Worker>,
        connection: Arc<Connection>,
        meter: Arc<TrafficMeter>,
    ) -> Self {
        Self { worker, connection, meter, upgraded: Mutex::default() }
    }
}

/// A request on its way through the phases.
pub struct Exchange<'a> {
    /// Its head, as the gate left it; the target is taken out of it until it is forwarded.
    pub(crate) parts: &'a mut Parts,
    /// Its body, of which nothing has been read: a phase may add a guard, look at what passes, or at its beginning first.
    pub body: &'a mut Body,
    /// What the gate found out of it.
    pub(crate) admitted: &'a AdmittedRequest,
    /// Its canonical path: it is routed by, authorized with, and sent with this one.
    pub(crate) path: &'a CanonicalPath<'a>,
    /// The snapshot that judges the request, where this side judges: loaded once, and replaced as a whole where another
    /// one came into force before the request was registered. A phase that waits takes it out first (`Option::take`),
    /// because a worker has few fast places for loaded snapshots; the next phase then loads the one in force.
    pub(crate) snapshot: Option<Guard<Arc<Snapshot>>>,
    /// What is known of whoever sent it before its tokens are looked at; taken out when it is judged.
    pub(crate) known: Option<KnownClaims>,
    /// Who its token and its API key speak for; nobody, where nothing asks for one.
    pub(crate) caller: AuthenticatedCaller,
    /// The listener of a gateway that it came to, where that is known and this is one.
    pub(crate) listener: Option<Arc<GatewayListener>>,
    /// The client's address, where it differs from the peer's.
    pub(crate) remote_ip: Option<IpAddr>,
    /// What its answer is compared with; most are with nothing.
    pub(crate) answer: Option<Box<DescribedAnswer>>,
    /// What is counted and logged of it.
    pub(crate) record: &'a mut RequestRecord,
}

impl Exchange<'_> {
    /// The request as policy sees it.
    pub(crate) fn facts(&self) -> RequestFacts<'_> {
        facts(self.parts, self.admitted, self.path, &self.caller)
    }
}

/// A request as policy sees it.
pub(crate) fn facts<'a>(
    parts: &'a Parts,
    admitted: &'a AdmittedRequest,
    path: &'a CanonicalPath<'a>,
    caller: &'a AuthenticatedCaller,
) -> RequestFacts<'a> {
    RequestFacts {
        method: &parts.method,
        host: admitted.host(),
        path,
        headers: &parts.headers,
        token: caller.claims(),
        api_key: caller.api_key(),
    }
}

/// A request that is ready to be forwarded.
pub(crate) struct ReadyRequest<P: ExchangePhases> {
    /// The request as it is sent.
    pub(crate) request: Box<Request<Body>>,
    /// Its destination.
    pub(crate) target: P::Target,
    /// The proof that it is allowed.
    pub(crate) permit: P::Permit,
    /// The HTTP version of the client, before a mesh hop.
    pub(crate) client_version: Version,
    upgrade: Option<AnnouncedUpgrade>,
    close_unless_upgraded: bool,
    answer: Option<Box<DescribedAnswer>>,
}

/// The phases in which the directions differ, in the order in which they are called.
pub(crate) trait ExchangePhases: Send + Sync + Sized + 'static {
    /// The destination that `route` finds.
    type Target: Send;
    /// The result of `authorize`: without it nothing is forwarded.
    type Permit: Send;

    /// What all requests of the connection share.
    fn context(&self) -> &HttpContext;

    /// Which claims of a request about others this side trusts.
    fn sender(&self) -> SenderTrust;

    /// Before the gate: the HTTP version of the client, and that of the other side.
    fn versions(&self, parts: &mut Parts) -> (Version, Version);

    /// The port that a host without one means: that of the scheme that clients use here.
    fn default_port(&self) -> u16 {
        80
    }

    /// The snapshot in force, where this side judges requests.
    fn snapshot(&self) -> Option<Guard<Arc<Snapshot>>>;

    /// How the log names the host.
    fn logged_host<'h>(&self, host: &'h HostName) -> &'h str;

    /// Authenticates the request and registers it as open.
    fn authenticate(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = Phase<()>> + Send;

    /// Finds the destination of the request.
    fn route(
        &self,
        exchange: &mut Exchange<'_>,
    ) -> impl Future<Output = Phase<Self::Target>> + Send;

    /// Authorizes the request.
    fn authorize(
        &self,
        exchange: &mut Exchange<'_>,
        target: &Self::Target,
    ) -> impl Future<Output = Phase<Self::Permit>> + Send;

    /// Applies limits. After authorization, because limits are kept per caller and destination: a refused caller uses
    /// up nobody's share. Without limits by request, it is ready at once.
    fn limit(
        &self,
        _exchange: &mut Exchange<'_>,
        _target: &Self::Target,
    ) -> impl Future<Output = Phase<()>> + Send {
        ready(Ok(()))
    }

    /// Looks into the request: whether its API has such a one, and whether it is an attack. After the limits, because it
    /// costs more than everything before it, and waits for the body. Where nothing looks, it is ready at once.
    fn inspect(
        &self,
        _exchange: &mut Exchange<'_>,
        _target: &Self::Target,
    ) -> impl Future<Output = Phase<()>> + Send {
        ready(Ok(()))
    }

    /// The last phase before forwarding: sets the headers that this side itself sends, so that nothing the client sent
    /// can replace them.
    fn set_headers(&self, _parts: &mut Parts) {}

    /// Sends the request and waits for its answer.
    fn forward(
        &self,
        ready: ReadyRequest<Self>,
        record: &mut RequestRecord,
    ) -> impl Future<Output = Result<Response<Body>, RequestError>> + Send;

    /// Sends a request to switch protocols over a byte stream of its own, which becomes the tunnel.
    fn forward_upgrade(
        &self,
        ready: ReadyRequest<Self>,
    ) -> impl Future<Output = Result<Response<Body>, RequestError>> + Send;

    /// Serves a CONNECT stream of HTTP/2 to its end.
    fn stream(&self, head: Parts, stream: ConnectStream) -> impl Future<Output = ()> + Send;
}

/// Answers the requests of one connection by the phases of its direction.
pub(crate) struct ExchangeHandler<P>(Arc<P>);

impl<P> Clone for ExchangeHandler<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: ExchangePhases> ExchangeHandler<P> {
    pub(crate) fn new(phases: P) -> Self {
        Self(Arc::new(phases))
    }

    /// Waits for the bytes of an upgraded request, if there was one: they continue when the connection's HTTP has
    /// ended.
    pub(crate) async fn upgraded(&self) -> Option<CloseReason> {
        let handle = self.0.context().upgraded.lock().take()?;
        Some(handle.await.unwrap_or(CloseReason::Error))
    }
}

impl<P: ExchangePhases> Handler for ExchangeHandler<P> {
    async fn request(&self, request: Box<Request<Body>>) -> Response<Body> {
        let HttpContext { worker, connection, meter, .. } = self.0.context();
        let grpc = is_grpc(request.headers());
        let method = request.method();
        let mut record = RequestRecord::begin(&worker.recorder, connection, meter, method);
        let answered = match admit(&*self.0, request, &mut record).await {
            Ok(ready) if ready.upgrade.is_some() => {
                // Boxed, because it is rare and large.
                return Box::pin(switch_protocols(&*self.0, ready, record)).await;
            }
            Ok(ready) => forward(&*self.0, ready, &mut record).await,
            Err(PhaseEnd::Answer { mut response, reason }) => {
                record.answered_here(&response, reason);
                record.complete_head(response.headers_mut());
                return response.map(|body| body.with_guard(record));
            }
            Err(PhaseEnd::Refuse(error)) => Err(error),
        };
        conclude(answered, record, grpc)
    }

    fn malformed(&self, refusal: GateRefusal) {
        let HttpContext { worker, connection, meter, .. } = self.0.context();
        RequestRecord::malformed(&worker.recorder, connection, meter, refusal);
    }

    async fn stream(&self, head: Parts, stream: ConnectStream) {
        self.0.stream(head, stream).await;
    }
}

/// The phases up to the one that forwards.
async fn admit<P: ExchangePhases>(
    phases: &P,
    mut request: Box<Request<Body>>,
    record: &mut RequestRecord,
) -> Phase<ReadyRequest<P>> {
    let whole = std::mem::replace(&mut *request, Request::new(Body::empty()));
    let (mut parts, mut body) = whole.into_parts();
    let announced = AnnouncedUpgrade::of(&mut parts);
    let (client_version, version) = phases.versions(&mut parts);
    let snapshot = phases.snapshot();
    let admitted = pass_gate(phases, snapshot.as_deref(), &mut parts)?;
    let close = admitted.close_unless_upgraded;
    record.dropped(admitted.dropped);
    // Before any decision that could depend on what an unlisted peer says about others.
    headers::strip_forwarded_identity(&mut parts.headers, phases.sender());
    let path = admitted.path().map_err(RequestError::Gate)?;
    record.target(phases.logged_host(admitted.host()), path.as_str());
    record.join_trace(&parts.headers, client_version, admitted.host());
    let mut exchange = Exchange {
        parts: &mut parts,
        body: &mut body,
        admitted: &admitted,
        path: &path,
        snapshot,
        known: None,
        caller: AuthenticatedCaller::default(),
        listener: None,
        remote_ip: None,
        answer: None,
        record,
    };
    let passed = pass_phases(phases, &mut exchange).await;
    let (target, permit) = passed.map_err(|end| end.closing(close))?;
    let (caller, answer) = (exchange.caller, exchange.answer);
    admitted.set_target(&path, &mut parts).map_err(RequestError::Gate)?;
    caller.hide_parameters(&mut parts);
    phases.set_headers(&mut parts);
    record.set_trace_headers(&mut parts.headers);
    parts.version = version;
    let upgrades = admitted.upgrade.is_some() && announced.is_some();
    *request = Request::from_parts(parts, body);
    Ok(ReadyRequest {
        request,
        target,
        permit,
        client_version,
        upgrade: upgrades.then_some(announced),
        close_unless_upgraded: admitted.close_unless_upgraded,
        answer,
    })
}

/// The phases between the gate and the forwarding, in their order.
async fn pass_phases<P: ExchangePhases>(
    phases: &P,
    exchange: &mut Exchange<'_>,
) -> Phase<(P::Target, P::Permit)> {
    let authenticated = phases.authenticate(exchange).await;
    authenticated.map_err(|end| abuse_phase::unauthenticated(exchange, end))?;
    abuse_phase::authenticated(exchange)?;
    let target = phases.route(exchange).await?;
    let permit = phases.authorize(exchange, &target).await?;
    phases.limit(exchange, &target).await?;
    phases.inspect(exchange, &target).await?;
    // A phase may have waited, and policy may have changed meanwhile.
    if exchange.record.is_withdrawn() {
        return Err(RequestError::Withdrawn.into());
    }
    Ok((target, permit))
}

impl PhaseEnd {
    /// An answer in the app's place ends the connection where the request asked to switch protocols: nobody could tell
    /// the bytes that the client sent ahead from its next request (SECURITY-CASES S-08).
    fn closing(mut self, close: bool) -> Self {
        if let (Self::Answer { response, .. }, true) = (&mut self, close) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self
    }
}

/// The gate stands first because everything after it trusts what it passed.
fn pass_gate(
    phases: &impl ExchangePhases,
    snapshot: Option<&Arc<Snapshot>>,
    parts: &mut Parts,
) -> Result<AdmittedRequest, RequestError> {
    let HttpContext { worker, connection, .. } = phases.context();
    let settings = &worker.state.settings;
    let settings = GateSettings {
        default_port: Some(phases.default_port()),
        dialled: Some(connection.destination),
        normalization: settings.path_normalization,
        head: HeadLimits::of(&settings.limits),
        named: snapshot.map(|snapshot| snapshot.header_names()),
        underscores: settings.headers_with_underscores,
    };
    gate::admit(parts, &settings).map_err(RequestError::Gate)
}

/// Sends the request and removes from its answer the fields of the last hop.
async fn forward<P: ExchangePhases>(
    phases: &P,
    mut ready: ReadyRequest<P>,
    record: &mut RequestRecord,
) -> Result<Response<Body>, RequestError> {
    let close = ready.close_unless_upgraded;
    let answer = ready.answer.take();
    let mut response = phases.forward(ready, record).await?;
    if let Some(answer) = answer {
        let state = &phases.context().worker.state;
        // Boxed, because it is rare and large.
        response = Box::pin(answer.compare(state, response, record)).await?;
    }
    headers::strip_hop_by_hop(response.headers_mut());
    if close {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let of = TrailerKind::of(response.headers());
    let limits = &phases.context().worker.state.settings.limits;
    Ok(response.map(|body| body.within(limits, of)))
}

/// A request to switch protocols: the tunnel begins only with the other side's 101, otherwise the early bytes are
/// discarded with the connection (SECURITY-CASES S-08).
async fn switch_protocols<P: ExchangePhases>(
    phases: &P,
    mut ready: ReadyRequest<P>,
    mut record: Box<RequestRecord>,
) -> Response<Body> {
    let context = phases.context();
    let (announced, answer) = (ready.upgrade.take(), ready.answer.take());
    let mut answered = tokio::select! {
        biased;
        answered = phases.forward_upgrade(ready) => answered,
        () = record.withdrawn() => Err(RequestError::Withdrawn),
    };
    let state = &context.worker.state;
    // An app that does not switch answers as it would have without being asked to.
    answered = match (answered, answer) {
        (Ok(response), Some(answer)) if response.status() != StatusCode::SWITCHING_PROTOCOLS => {
            answer.compare(state, response, &mut record).await
        }
        (answered, _) => answered,
    };
    let limits = &state.settings.limits;
    let connection = context.connection.clone();
    let (response, carried) =
        upgrade::finish_upgrade(answered, announced, record, connection, limits);
    *context.upgraded.lock() = carried;
    response
}

/// The end of an exchange: its answer or the refusal, with the record that is written when the answer has been
/// forwarded.
fn conclude(
    answered: Result<Response<Body>, RequestError>,
    mut record: Box<RequestRecord>,
    grpc: bool,
) -> Response<Body> {
    let mut response = match answered {
        Ok(response) => {
            record.answered(&response);
            response
        }
        Err(error) => {
            record.refused(&error);
            error.response(grpc)
        }
    };
    record.complete_head(response.headers_mut());
    response.map(|body| body.with_guard(record))
}

#[cfg(test)]
mod tests;
