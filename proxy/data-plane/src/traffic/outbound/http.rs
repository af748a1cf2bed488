//! The requests of one outbound HTTP connection: what each phase of an exchange does for requests to a service.

use std::future::{Future, ready};
use std::sync::Arc;

use arc_swap::Guard;
use http::request::Parts;
use http::{Response, Version};
use parking_lot::Mutex;
use policy::route::RedirectScheme;
use policy::{HostName, ServiceRoutes, Snapshot};

use super::OutboundConnection;
use super::called::{CalledService, LastCall};
use super::faults;
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::http::headers::SenderTrust;
use crate::http::serve::ConnectStream;
use crate::labels::Protocol;
use crate::traffic::client_credentials;
use crate::traffic::exchange::{Exchange, ExchangePhases, HttpContext, Phase, ReadyRequest};
use crate::traffic::forward::{self, Forwarder, RequestPlace, RoutedRequest};
use crate::traffic::record::RequestRecord;
use crate::traffic::token_exchange;

/// The phases of the requests of one outbound connection.
pub(crate) struct OutboundPhases {
    pub(super) outbound: Arc<OutboundConnection>,
    pub(super) forwarder: Forwarder,
    pub(super) last: Mutex<Option<LastCall>>,
    context: HttpContext,
}

impl OutboundPhases {
    pub(crate) fn new(outbound: Arc<OutboundConnection>, protocol: Protocol) -> Self {
        let labels = forward::labels(&outbound.worker, protocol, &"unknown".into(), None);
        let meter = outbound.worker.meter(labels);
        let connection = (*outbound.connection).clone();
        let context = HttpContext::new(outbound.worker.clone(), connection.clone(), meter);
        let forwarder = Forwarder { worker: outbound.worker.clone(), connection, protocol };
        Self { outbound, forwarder, last: Mutex::default(), context }
    }

    /// The backend of a request to a service with routes.
    async fn by_rule(
        &self,
        exchange: &mut Exchange<'_>,
        called: &CalledService,
        routes: &ServiceRoutes,
    ) -> Phase<RoutedRequest> {
        let found = &called.found;
        let not_found = || RequestError::RouteNotFound(found.service.host.to_string());
        let chosen = forward::choose(exchange, |request| routes.choose(request));
        let rule = chosen.ok_or_else(not_found)?;
        let place =
            RequestPlace { scheme: RedirectScheme::Http, port: found.port.number, shown: None };
        self.forwarder.by_rule(exchange, rule, place).await
    }
}

impl ExchangePhases for OutboundPhases {
    type Target = RoutedRequest;
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

    async fn route(&self, exchange: &mut Exchange<'_>) -> Phase<RoutedRequest> {
        let called = self.find_service(exchange.admitted.host()).await?;
        let fault = called.faults.as_ref().and_then(|faults| faults::decide(exchange, faults));
        if let Some(fault) = fault {
            Box::pin(fault.meet()).await?;
        }
        let mut routed = match (&called.upstream, &called.routes) {
            (Some(upstream), None) => {
                exchange.record.route(upstream.meter());
                RoutedRequest::plain(upstream.clone())
            }
            (_, Some(routes)) => Box::pin(self.by_rule(exchange, &called, routes)).await?,
            (None, None) => {
                return Err(RequestError::NoEndpoint(called.found.service.host.to_string()).into());
            }
        };
        routed.tie(exchange, self.outbound.connection.source.ip());
        let patience = self.forwarder.clients_patience(&exchange.parts.headers);
        routed.within = routed.within.into_iter().chain(patience).min();
        Ok(routed)
    }

    fn authorize(
        &self,
        _: &mut Exchange<'_>,
        _: &RoutedRequest,
    ) -> impl Future<Output = Phase<()>> + Send {
        ready(Ok(()))
    }

    async fn limit(&self, exchange: &mut Exchange<'_>, routed: &RoutedRequest) -> Phase<()> {
        let state = &self.outbound.worker.state;
        token_exchange::to_next_service(state, exchange, &routed.upstream).await?;
        client_credentials::add(state, exchange, &routed.upstream).await
    }

    async fn forward(
        &self,
        ready: ReadyRequest<Self>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let ReadyRequest { request, target, .. } = ready;
        self.forwarder.forward(&target, request, record).await
    }

    async fn forward_upgrade(
        &self,
        ready: ReadyRequest<Self>,
    ) -> Result<Response<Body>, RequestError> {
        let ReadyRequest { request, target, .. } = ready;
        self.forwarder.forward_upgrade(&target, request).await
    }

    async fn stream(&self, _: Parts, stream: ConnectStream) {
        stream
            .refuse(&RequestError::BadStream("an app opens no CONNECT stream through its sidecar"));
    }
}
