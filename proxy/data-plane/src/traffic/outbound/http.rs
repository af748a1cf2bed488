//! The requests of one outbound HTTP connection: what each phase of an exchange does for requests to a service.

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use http::header::HeaderMap;
use http::request::Parts;
use http::{Request, Response, Version};
use parking_lot::Mutex;
use policy::{HostName, Snapshot};
use tokio::time::Instant;

use super::OutboundConnection;
use super::backend;
use super::called::LastCall;
use super::faults;
use super::grpc_timeout;
use super::routed::RoutedRequest;
use crate::http::body::Body;
use crate::http::error::{OtherEnd, RequestError};
use crate::http::headers::{AnswerOrigin, SenderTrust};
use crate::http::serve::ConnectStream;
use crate::labels::Protocol;
use crate::traffic::app::upgrade_over;
use crate::traffic::egress::ExternalService;
use crate::traffic::exchange::{Exchange, ExchangePhases, HttpContext, Phase, ReadyRequest};
use crate::traffic::mesh::StreamKind;
use crate::traffic::record::RequestRecord;

/// The phases of the requests of one outbound connection.
pub(crate) struct OutboundPhases {
    pub(super) outbound: Arc<OutboundConnection>,
    pub(super) protocol: Protocol,
    pub(super) last: Mutex<Option<LastCall>>,
    context: HttpContext,
}

/// Where a request goes.
pub(crate) enum RequestTarget {
    /// To a service of the mesh.
    Mesh(RoutedRequest),
    /// To a service outside of it.
    Outside(Arc<ExternalService>),
}

impl OutboundPhases {
    pub(crate) fn new(outbound: Arc<OutboundConnection>, protocol: Protocol) -> Self {
        let labels = backend::labels(&outbound.worker, protocol, &"unknown".into(), None);
        let meter = outbound.worker.meter(labels);
        let connection = (*outbound.connection).clone();
        let context = HttpContext::new(outbound.worker.clone(), connection, meter);
        Self { outbound, protocol, last: Mutex::default(), context }
    }

    /// What the caller gives the request, where it says so; a proxy may shorten it and never make it longer.
    pub(super) fn callers_patience(&self, headers: &HeaderMap) -> Option<Duration> {
        match self.protocol {
            Protocol::Http2 => grpc_timeout::read(headers),
            _ => None,
        }
    }
}

impl OutboundPhases {
    /// Opens a stream to an endpoint, and asks over it to switch protocols.
    async fn switch(
        &self,
        routed: &RoutedRequest,
        request: Box<Request<Body>>,
    ) -> Result<Response<Body>, RequestError> {
        let (worker, now) = (&self.outbound.worker, std::time::Instant::now());
        let opened = routed.backend.open_stream(worker, StreamKind::Upgrade, routed.hints(now));
        let (io, mesh_connection, _in_flight) = opened.await?;
        let speaker = if mesh_connection.binding.is_some() {
            AnswerOrigin::Postern
        } else {
            AnswerOrigin::Other
        };
        // The rest of the connection is this stream.
        self.outbound.connection.set_mesh_connection(mesh_connection);
        let limits = &worker.state.settings.limits;
        upgrade_over(io, request, limits, OtherEnd::Upstream, speaker).await
    }
}

impl ExchangePhases for OutboundPhases {
    type Target = RequestTarget;
    /// The other side's proxy decides.
    type Permit = ();

    fn context(&self) -> &HttpContext {
        &self.context
    }

    /// What the app says about itself is ignored: the certificate identifies it.
    fn sender(&self) -> SenderTrust {
        SenderTrust::Other
    }

    fn versions(&self, parts: &mut Parts) -> (Version, Version) {
        (parts.version, parts.version)
    }

    /// The rules are the other side's, and its proxy asks them.
    fn snapshot(&self) -> Option<Guard<Arc<Snapshot>>> {
        None
    }

    fn logged_host<'h>(&self, host: &'h HostName) -> &'h str {
        host.name()
    }

    /// Only our own app can connect here.
    fn authenticate(&self, _: &mut Exchange<'_>) -> impl Future<Output = Phase<()>> + Send {
        ready(Ok(()))
    }

    async fn route(&self, exchange: &mut Exchange<'_>) -> Phase<RequestTarget> {
        let called = self.find_service(exchange.admitted.host()).await?;
        let fault = called.faults.as_ref().and_then(|faults| faults::decide(exchange, faults));
        if let Some(fault) = fault {
            Box::pin(fault.meet()).await?;
        }
        if let Some(outside) = &called.outside {
            exchange.record.route(&outside.meter);
            return Ok(RequestTarget::Outside(outside.clone()));
        }
        let mut routed = match (&called.backend, &called.routes) {
            (Some(backend), None) => {
                exchange.record.route(&backend.meter);
                RoutedRequest::plain(backend.clone())
            }
            (_, Some(routes)) => Box::pin(self.by_rule(exchange, &called, routes)).await?,
            (None, None) => {
                return Err(RequestError::NoEndpoint(called.found.service.host.to_string()).into());
            }
        };
        routed.tie(exchange, self.outbound.connection.source.ip());
        let patience = self.callers_patience(&exchange.parts.headers);
        routed.within = routed.within.into_iter().chain(patience).min();
        Ok(RequestTarget::Mesh(routed))
    }

    fn authorize(
        &self,
        _: &mut Exchange<'_>,
        _: &RequestTarget,
    ) -> impl Future<Output = Phase<()>> + Send {
        ready(Ok(()))
    }

    async fn forward(
        &self,
        ready: ReadyRequest<Self>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let ReadyRequest { mut request, target, host, .. } = ready;
        let routed = match target {
            RequestTarget::Mesh(routed) => routed,
            RequestTarget::Outside(service) => {
                return Box::pin(self.send_outside(&service, request, record)).await;
            }
        };
        routed.change_request(&mut request);
        let limit = self.outbound.worker.state.settings.limits.response_timeout;
        let deadline = routed.within.map(|within| Instant::now() + within);
        let answered = self.send(&routed, &host, request, record);
        let mut response = routed.answered_within(limit, answered).await?;
        routed.change_response(&mut response);
        Ok(match deadline {
            Some(deadline) => response.map(|body| body.until(deadline)),
            None => response,
        })
    }

    /// A stream of its own, to the app's 101 and beyond.
    async fn forward_upgrade(
        &self,
        ready: ReadyRequest<Self>,
    ) -> Result<Response<Body>, RequestError> {
        let ReadyRequest { mut request, target, .. } = ready;
        let routed = match target {
            RequestTarget::Mesh(routed) => routed,
            RequestTarget::Outside(service) => {
                return self.upgrade_outside(&service, request).await;
            }
        };
        routed.change_request(&mut request);
        let _underway = routed.begin()?;
        let limit = self.outbound.worker.state.settings.limits.response_timeout;
        let mut response = routed.answered_within(limit, self.switch(&routed, request)).await?;
        routed.change_response(&mut response);
        Ok(response)
    }

    async fn stream(&self, _: Parts, stream: ConnectStream) {
        stream
            .refuse(&RequestError::BadStream("an app opens no CONNECT stream through its sidecar"));
    }
}
