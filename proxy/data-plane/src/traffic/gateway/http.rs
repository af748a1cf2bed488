//! The requests of one HTTP connection of a client: what each phase of an exchange does at the edge.

use std::future::{Future, ready};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::Guard;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, Version};
use http_body::Body as _;
use parking_lot::Mutex;
use policy::rate_limit::ListenerName;
use policy::route::{RedirectScheme, RouteRule};
use policy::{HostName, Permit, PortProtocol, Snapshot};

use super::GatewayConnection;
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::http::headers::{self, SenderTrust};
use crate::http::serve::ConnectStream;
use crate::labels::Protocol;
use crate::traffic::abuse_phase;
use crate::traffic::client_credentials;
use crate::traffic::edge::{EdgeListener, EdgePort};
use crate::traffic::exchange::{Exchange, ExchangePhases, HttpContext, Phase, ReadyRequest};
use crate::traffic::forward::{self, CorsFields, Forwarder, RequestPlace, RoutedRequest};
use crate::traffic::inspect_phase::{self, InspectedPlace};
use crate::traffic::introspection;
use crate::traffic::judge::RequestJudge;
use crate::traffic::limit_phase;
use crate::traffic::rate_limits::LimitCaller;
use crate::traffic::record::RequestRecord;
use crate::traffic::sign_in;
use crate::traffic::token_exchange::{self, NextHop};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The phases of the requests of one client's connection.
pub(crate) struct GatewayPhases {
    gateway: Arc<GatewayConnection>,
    /// The listener that the connection's TLS belongs to; `None` in the clear, where each request has its own.
    listener: Option<Arc<EdgeListener>>,
    port: Mutex<KnownPort>,
    context: HttpContext,
    judge: RequestJudge,
    forwarder: Forwarder,
}

/// The port as it was at the last request.
struct KnownPort {
    port: Arc<EdgePort>,
    version: u64,
}

impl GatewayPhases {
    pub(super) fn new(
        gateway: Arc<GatewayConnection>,
        port: Arc<EdgePort>,
        listener: Option<Arc<EdgeListener>>,
        protocol: Protocol,
    ) -> Self {
        let worker = gateway.worker.clone();
        let meter = worker.meter(gateway.labels(protocol));
        let connection = (*gateway.connection).clone();
        let context = HttpContext::new(worker.clone(), connection.clone(), meter);
        let judge = RequestJudge { worker: worker.clone(), connection: connection.clone() };
        let forwarder = Forwarder { worker, connection, protocol };
        // What is in force by now is looked up with the first request.
        let port = Mutex::new(KnownPort { port, version: 0 });
        Self { gateway, listener, port, context, judge, forwarder }
    }

    /// The port as it is in force.
    ///
    /// # Errors
    /// [`RequestError::RouteNotFound`]: nothing listens there any more.
    fn port(&self) -> Result<Arc<EdgePort>, RequestError> {
        let edge = &self.gateway.worker.state.edge;
        let version = edge.version();
        let mut known = self.port.lock();
        if known.version != version {
            let port = edge.port(&self.gateway.bind);
            let gone = || RequestError::RouteNotFound(format!("port {}", self.gateway.bind.port));
            *known = KnownPort { port: port.ok_or_else(gone)?, version };
        }
        Ok(known.port.clone())
    }

    /// The listener that a request is for, by its host.
    ///
    /// A connection of TLS belongs to one listener: a host of another one is misdirected (RFC 9110 §15.5.20), because what
    /// the handshake has established, a certificate, a client's identity, holds for that one alone (SECURITY-CASES S-14).
    fn listener_of(&self, host: &str) -> Result<Arc<EdgeListener>, RequestError> {
        let port = self.port()?;
        let not_found = || RequestError::RouteNotFound(host.to_owned());
        let found = port.by_host(host).ok_or_else(not_found)?;
        match &self.listener {
            Some(own) if own.listener.label != found.listener.label => {
                Err(RequestError::Misdirected(host.to_owned()))
            }
            // Who the client is was said by rules that are gone: it is asked again, on another connection.
            Some(own) if !found.knows_clients_as(own) => {
                Err(RequestError::Misdirected(host.to_owned()))
            }
            // Nothing was proved on a connection in the clear, whatever the port asks for by now.
            None if port.port.protocol != PortProtocol::Http => {
                Err(RequestError::Misdirected(host.to_owned()))
            }
            _ => Ok(found.clone()),
        }
    }

    fn is_tls(&self) -> bool {
        self.listener.is_some()
    }

    /// The client's address, as far as what stands in front of the gateway is believed.
    fn client(&self, listener: &EdgeListener, headers: &HeaderMap) -> IpAddr {
        let peer = self.gateway.connection.source.ip();
        match &listener.clients.client_address {
            Some(trusted) => {
                let lines = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
                trusted.client(peer, lines)
            }
            None => peer,
        }
    }
}

/// A request with its listener and its rule.
pub(crate) struct EdgeTarget {
    listener: Arc<EdgeListener>,
    rule: Arc<RouteRule>,
    cors: Mutex<CorsFields>,
    /// Where the rule leads it, once it may come in.
    routed: OnceLock<RoutedRequest>,
}

/// The phases ensure that a request is led before it is forwarded.
fn not_led(target: &EdgeTarget) -> RequestError {
    RequestError::RouteNotFound(target.rule.label.to_string())
}

impl ExchangePhases for GatewayPhases {
    type Target = EdgeTarget;
    type Permit = Permit;

    fn context(&self) -> &HttpContext {
        &self.context
    }

    /// What stands in front may name the client; each listener says whom it believes, and what others say is replaced.
    fn sender(&self) -> SenderTrust {
        SenderTrust::Listed
    }

    fn versions(&self, parts: &mut Parts) -> (Version, Version) {
        (parts.version, parts.version)
    }

    fn default_port(&self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }

    fn snapshot(&self) -> Option<Guard<Arc<Snapshot>>> {
        Some(self.gateway.worker.state.snapshot())
    }

    fn logged_host<'h>(&self, host: &'h HostName) -> &'h str {
        host.as_str()
    }

    /// The listener is known first: it says whose word counts, and who must sign in. What an issuer says of a token may stand
    /// in the place of a session.
    async fn authenticate(&self, exchange: &mut Exchange<'_>) -> Phase<()> {
        let client = self.begin(exchange)?;
        abuse_phase::meet(&self.context, exchange, client)?;
        let asked = introspection::authenticate(&self.gateway.worker.state, exchange).await?;
        self.authenticate_client(exchange, client).await?;
        Ok(introspection::confirm(&asked, exchange)?)
    }

    async fn route(&self, exchange: &mut Exchange<'_>) -> Phase<EdgeTarget> {
        let listener = self.listener_of(exchange.admitted.host().name())?;
        let own = &listener.listener;
        let not_found = || RequestError::RouteNotFound(exchange.admitted.host().to_string());
        let chosen = forward::choose(exchange, |request| own.choose(request));
        let rule = chosen.ok_or_else(not_found)?;
        sign_in::confirm_route(exchange, own, &rule)?;
        let cors = self.forwarder.taken_by(exchange, &rule)?;
        Ok(EdgeTarget { listener, rule, cors: Mutex::new(cors), routed: OnceLock::new() })
    }

    fn authorize(
        &self,
        exchange: &mut Exchange<'_>,
        _: &EdgeTarget,
    ) -> impl Future<Output = Phase<Permit>> + Send {
        ready(self.judge.authorize(exchange).map_err(Into::into))
    }

    /// After authorization, because a refused client uses up nothing; and only then the rule answers or draws its backend,
    /// because a client that may not come in is told nothing of what is inside.
    async fn limit(&self, exchange: &mut Exchange<'_>, target: &EdgeTarget) -> Phase<()> {
        let most = target.listener.clients.limits.request_bytes;
        let announced = exchange.body.size_hint().lower();
        let fits = most.is_none_or(|most| announced <= most);
        if let Some(most) = most.filter(|_| fits) {
            // What is not announced is counted as it passes.
            exchange.body.limit(most);
        }
        let EdgeTarget { listener, rule, .. } = target;
        let own = &listener.listener;
        let caller = LimitCaller {
            principal: self.gateway.connection.peer().map(|peer| peer.id.without_scheme()),
            source: self.gateway.connection.source.ip(),
            listener: Some(ListenerName {
                gateway: &listener.gateway,
                section: own.listener_set.is_none().then_some(&*own.section),
            }),
            route: Some(rule),
        };
        if !fits {
            return Err(RequestError::BodyTooLarge(announced).into());
        }
        limit_phase::limit(&self.gateway.worker.state.rate_limits, exchange, &caller).await?;
        let routed = self.lead(exchange, target).await?;
        let next = NextHop::Service(&routed.upstream);
        let state = &self.gateway.worker.state;
        token_exchange::into_the_mesh(state, exchange, next).await?;
        client_credentials::add(state, exchange, &routed.upstream).await?;
        // It is asked for once.
        let _ = target.routed.set(routed);
        Ok(())
    }

    async fn inspect(&self, exchange: &mut Exchange<'_>, target: &EdgeTarget) -> Phase<()> {
        let place = InspectedPlace::Edge(&target.listener.listener, &target.rule);
        inspect_phase::inspect(&self.gateway.worker.state, exchange, place).await
    }

    async fn forward(
        &self,
        ready: ReadyRequest<Self>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        // The permit is used up by what follows.
        let ReadyRequest { request, target, permit: _permit, .. } = ready;
        let withdrawn = record.withdrawal();
        let routed = target.routed.get().ok_or_else(|| not_led(&target))?;
        tokio::select! {
            biased;
            response = self.forwarder.forward(routed, request, record) => response,
            () = withdrawn => Err(RequestError::Withdrawn),
        }
    }

    async fn forward_upgrade(
        &self,
        ready: ReadyRequest<Self>,
    ) -> Result<Response<Body>, RequestError> {
        let ReadyRequest { request, target, permit: _permit, .. } = ready;
        let routed = target.routed.get().ok_or_else(|| not_led(&target))?;
        self.forwarder.forward_upgrade(routed, request).await
    }

    async fn stream(&self, _: Parts, stream: ConnectStream) {
        stream.refuse(&RequestError::BadStream("a client of the edge opens no CONNECT stream"));
    }
}

impl GatewayPhases {
    async fn lead(&self, exchange: &mut Exchange<'_>, target: &EdgeTarget) -> Phase<RoutedRequest> {
        let EdgeTarget { listener, rule, cors, .. } = target;
        let scheme = if self.is_tls() { RedirectScheme::Https } else { RedirectScheme::Http };
        let (port, shown) = (self.gateway.bind.port, listener.shown.clone());
        let place = RequestPlace { scheme, port, shown };
        let cors = std::mem::take(&mut *cors.lock());
        let mut routed = self.forwarder.led_by(exchange, rule.clone(), cors, place).await?;
        let client = exchange.remote_ip.unwrap_or_else(|| self.gateway.connection.source.ip());
        routed.tie(exchange, client);
        let patience = self.forwarder.clients_patience(&exchange.parts.headers);
        let longest = listener.clients.limits.request_timeout;
        routed.within = routed.within.into_iter().chain(patience).chain(longest).min();
        Ok(routed)
    }

    async fn authenticate_client(
        &self,
        exchange: &mut Exchange<'_>,
        client: Option<IpAddr>,
    ) -> Phase<()> {
        if self.is_sign_in_needed(exchange) {
            // Boxed, because it is large, and most gateways have none.
            return Box::pin(self.authenticate_signed_in(exchange, client)).await;
        }
        self.judge.authenticate(exchange, client)?;
        // It may have been judged by a newer snapshot.
        match self.is_sign_in_needed(exchange) {
            true => Err(RequestError::Withdrawn.into()),
            false => Ok(()),
        }
    }

    /// Whether anybody must sign in at this gateway.
    fn is_sign_in_needed(&self, exchange: &Exchange<'_>) -> bool {
        exchange.snapshot.as_ref().is_none_or(|snapshot| !snapshot.sign_ins().is_empty())
    }

    /// Who is signed in comes first: what they came by is judged as any token is.
    async fn authenticate_signed_in(
        &self,
        exchange: &mut Exchange<'_>,
        client: Option<IpAddr>,
    ) -> Phase<()> {
        let not_found = || RequestError::RouteNotFound(exchange.admitted.host().to_string());
        let listener = exchange.listener.clone().ok_or_else(not_found)?;
        let state = &self.gateway.worker.state;
        let from = client.unwrap_or_else(|| self.gateway.connection.source.ip());
        let admission = sign_in::admit(state, exchange, &listener, (from, self.is_tls())).await?;
        self.judge.authenticate(exchange, client)?;
        Ok(sign_in::confirm(&admission, exchange)?)
    }

    /// The listener of a request; and the client's address, where it is not the peer's.
    fn begin(&self, exchange: &mut Exchange<'_>) -> Result<Option<IpAddr>, RequestError> {
        let listener = self.listener_of(exchange.admitted.host().name())?;
        exchange.record.answer_with(&listener.answer_fields, self.is_tls());
        let client = self.client(&listener, &exchange.parts.headers);
        self.speak_for_client(&mut exchange.parts.headers, client);
        exchange.listener = Some(Arc::clone(&listener.listener));
        let peer = self.gateway.connection.source.ip();
        Ok((client != peer).then_some(client))
    }

    /// The fields that tell those behind who the client is and how it came: ours alone.
    fn speak_for_client(&self, headers: &mut HeaderMap, client: IpAddr) {
        headers::strip_client_claims(headers);
        if let Ok(value) = HeaderValue::try_from(client.to_string()) {
            headers.insert(X_FORWARDED_FOR, value);
        }
        let scheme = if self.is_tls() { "https" } else { "http" };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
}
