//! The requests of one outbound HTTP connection: what each phase of an exchange does for requests to a service.

use std::future::{Future, ready};
use std::sync::Arc;

use arc_swap::Guard;
use http::request::Parts;
use http::{Response, Version};
use parking_lot::Mutex;
use policy::service::Resolution;
use policy::{HostName, ServiceTable, Snapshot};

use super::OutboundConnection;
use super::dialled::{self, ServiceMatch};
use super::name_cache::FRESH_SECONDS;
use super::route::{self, Route};
use crate::http::body::Body;
use crate::http::error::{OtherEnd, RequestError};
use crate::http::headers::{AnswerOrigin, SenderTrust};
use crate::http::serve::ConnectStream;
use crate::labels::Protocol;
use crate::traffic::app::upgrade_over;
use crate::traffic::exchange::{Exchange, ExchangePhases, HttpContext, Phase, ReadyRequest};
use crate::traffic::mesh::StreamKind;
use crate::traffic::record::RequestRecord;
use crate::traffic::state::ProxyState;

/// The phases of the requests of one outbound connection.
pub(crate) struct OutboundPhases {
    pub(super) outbound: Arc<OutboundConnection>,
    protocol: Protocol,
    context: HttpContext,
    last: Mutex<Option<LastRoute>>,
}

/// The route of the last request: the next one usually takes the same.
struct LastRoute {
    /// The version of the table by which it was last correct; a newer one may differ.
    version: u64,
    /// The host and port it was found by; `None` when the address alone decided.
    host: Option<Box<str>>,
    /// When its names have to be looked up again, in seconds of the coarse clock; `None` where its endpoints are addresses.
    stale_at: Option<u32>,
    route: Arc<Route>,
}

impl OutboundPhases {
    pub(crate) fn new(outbound: Arc<OutboundConnection>, protocol: Protocol) -> Self {
        let labels = route::labels(&outbound.worker, protocol, &"unknown".into(), None);
        let meter = outbound.worker.meter(labels);
        let connection = (*outbound.connection).clone();
        let context = HttpContext::new(outbound.worker.clone(), connection, meter);
        Self { outbound, protocol, context, last: Mutex::default() }
    }

    /// The route to the service of the address, or else of the host.
    pub(super) async fn find_route(&self, host: &HostName) -> Result<Arc<Route>, RequestError> {
        let worker = &self.outbound.worker;
        let version = match self.last_route(&worker.state, host) {
            Ok(route) => return Ok(route),
            Err(version) => version,
        };
        let by_address = self.outbound.destination.resolve(&worker.state).await?;
        let by_host = by_address.is_none().then(|| host.as_str().into());
        let found = match by_address {
            Some(found) => Some(found),
            None => self.by_host(host).await?,
        };
        let found = found.ok_or_else(|| {
            RequestError::UnknownDestination(format!(
                "{} ({})",
                host.name(),
                self.outbound.destination.address()
            ))
        })?;
        if found.service.external {
            return Err(RequestError::ExternalByName(found.service.host.to_string()));
        }
        let route = route::resolve(worker, &found, self.protocol).await?;
        let by_name = found.service.resolution == Resolution::Dns;
        let stale_at = by_name.then(|| worker.state.clock.coarse().saturating_add(FRESH_SECONDS));
        *self.last.lock() =
            Some(LastRoute { version, host: by_host, stale_at, route: route.clone() });
        Ok(route)
    }

    /// The route of the last request, when it applies to this one as well: the destination still resolves to its
    /// service, whatever else has changed. Otherwise the version of the table that was read.
    fn last_route(&self, state: &ProxyState, host: &HostName) -> Result<Arc<Route>, u64> {
        let table = state.services.table();
        let version = table.version();
        let mut last = self.last.lock();
        let Some(last) = last.as_mut() else { return Err(version) };
        if last.host.as_deref().is_some_and(|known| known != host.as_str()) {
            return Err(version);
        }
        if last.stale_at.is_some_and(|stale_at| state.clock.coarse() >= stale_at) {
            return Err(version);
        }
        if last.version != version {
            let found = self.known(&table, last.host.as_ref().map(|_| host)).ok_or(version)?;
            if !Arc::ptr_eq(&found.service, &last.route.service) {
                return Err(version);
            }
            found.note_use(state);
            last.version = version;
        }
        Ok(last.route.clone())
    }

    /// The service of the address, or, where it has none, of the host; the controller is not asked.
    fn known(&self, table: &ServiceTable, host: Option<&HostName>) -> Option<ServiceMatch> {
        let by_address = self.outbound.destination.service(table);
        match host {
            None => by_address,
            Some(_) if by_address.is_some() => None,
            Some(host) => dialled::by_host(table, host.name(), self.port_of(host)),
        }
    }

    fn port_of(&self, host: &HostName) -> u16 {
        host.port().unwrap_or_else(|| self.outbound.destination.port())
    }

    async fn by_host(&self, host: &HostName) -> Result<Option<ServiceMatch>, RequestError> {
        dialled::resolve_host(&self.outbound.worker.state, host.name(), self.port_of(host)).await
    }
}

impl ExchangePhases for OutboundPhases {
    type Target = Arc<Route>;
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

    async fn route(&self, exchange: &mut Exchange<'_>) -> Phase<Arc<Route>> {
        let route = self.find_route(exchange.admitted.host()).await?;
        exchange.record.route(&route.meter);
        Ok(route)
    }

    fn authorize(
        &self,
        _: &mut Exchange<'_>,
        _: &Arc<Route>,
    ) -> impl Future<Output = Phase<()>> + Send {
        ready(Ok(()))
    }

    async fn forward(
        &self,
        ready: ReadyRequest<Self>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let ReadyRequest { request, target, host, .. } = ready;
        let limit = self.outbound.worker.state.settings.limits.response_timeout;
        let answered = self.send(target, &host, request, record);
        let late = RequestError::Timeout { who: OtherEnd::Upstream };
        tokio::time::timeout(limit, answered).await.unwrap_or(Err(late))
    }

    /// A stream of its own, to the app's 101 and beyond.
    async fn forward_upgrade(
        &self,
        ready: ReadyRequest<Self>,
    ) -> Result<Response<Body>, RequestError> {
        let ReadyRequest { request, target, .. } = ready;
        let worker = &self.outbound.worker;
        let (io, mesh_connection) = target.open_stream(worker, StreamKind::Upgrade).await?;
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

    async fn stream(&self, _: Parts, stream: ConnectStream) {
        stream
            .refuse(&RequestError::BadStream("an app opens no CONNECT stream through its sidecar"));
    }
}
