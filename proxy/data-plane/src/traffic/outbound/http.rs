//! The requests of one outbound HTTP connection: gate, route, mesh hop, in this order.

use crate::http::gate::HeadLimits;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};
use parking_lot::Mutex;
use policy::{HostName, ServiceTable};
use tokio::task::JoinHandle;

use super::OutboundConnection;
use super::dialled::{self, ServiceMatch};
use super::route::{self, Route};
use crate::http::body::Body;
use crate::http::error::{OtherEnd, RequestError, is_grpc};
use crate::http::gate::{self, AdmittedRequest, GateRefusal, GateSettings};
use crate::http::headers::{self, AnswerOrigin, SenderTrust, TrailerKind};
use crate::http::serve::{self, ConnectStream, Handler};
use crate::telemetry::metrics::TrafficLabels;
use crate::telemetry::{CloseReason, Protocol};
use crate::traffic::app::upgrade_over;
use crate::traffic::mesh::StreamKind;
use crate::traffic::record::{RequestRecord, TrafficMeter};
use crate::traffic::state::ProxyState;
use crate::traffic::upgrade::{self, AnnouncedUpgrade};

/// Answers the requests of one connection.
#[derive(Clone)]
pub(crate) struct OutboundHandler(Arc<OutboundHttpConnection>);

pub(super) struct OutboundHttpConnection {
    pub(super) outbound: Arc<OutboundConnection>,
    protocol: Protocol,
    meter: Arc<TrafficMeter>,
    last: Mutex<Option<LastRoute>>,
    upgraded: Mutex<Option<JoinHandle<CloseReason>>>,
}

/// The route of the last request: the next one most often goes the same way.
struct LastRoute {
    /// The version of the table by which it was right last; another one may know better.
    version: u64,
    /// The host and port it was found by; `None` when the address alone decided.
    host: Option<Box<str>>,
    route: Arc<Route>,
}

/// A request that may go, and where.
struct RoutedRequest {
    request: Request<Body>,
    route: Arc<Route>,
    host: HostName,
    upgrade: Option<AnnouncedUpgrade>,
    close_unless_upgraded: bool,
}

impl OutboundHandler {
    pub(crate) fn new(outbound: Arc<OutboundConnection>, protocol: Protocol) -> Self {
        let labels = route::labels(&outbound.worker, protocol, &"unknown".into(), None);
        let meter = outbound.worker.meter(labels);
        Self(Arc::new(OutboundHttpConnection {
            outbound,
            protocol,
            meter,
            last: Mutex::default(),
            upgraded: Mutex::default(),
        }))
    }

    /// The labels of what has no route.
    pub(crate) fn unrouted(&self) -> TrafficLabels {
        self.0.meter.labels.clone()
    }

    /// Waits for the bytes of an upgraded request, if there was one.
    pub(crate) async fn upgraded(&self) -> Option<CloseReason> {
        let handle = self.0.upgraded.lock().take()?;
        Some(handle.await.unwrap_or(CloseReason::Error))
    }
}

impl Handler for OutboundHandler {
    async fn request(&self, request: Request<Body>) -> Response<Body> {
        let connection = &self.0;
        let outbound = &connection.outbound;
        let grpc = is_grpc(request.headers());
        let mut record = RequestRecord::begin(
            &outbound.worker,
            &outbound.connection,
            &connection.meter,
            request.method(),
        );
        let answered = match connection.admit(request, &mut record).await {
            Ok(routed) if routed.upgrade.is_some() => {
                return connection.upgrade(routed, record).await;
            }
            Ok(routed) => connection.forward(routed, &mut record).await,
            Err(error) => Err(error),
        };
        serve::conclude(answered, record, grpc)
    }

    fn malformed(&self, refusal: GateRefusal) {
        let connection = &self.0;
        let outbound = &connection.outbound;
        RequestRecord::malformed(
            &outbound.worker,
            &outbound.connection,
            &connection.meter,
            refusal,
        );
    }

    async fn stream(&self, _head: Parts, stream: ConnectStream) {
        stream
            .refuse(&RequestError::BadStream("an app opens no CONNECT stream through its sidecar"));
    }
}

impl OutboundHttpConnection {
    async fn admit(
        &self,
        request: Request<Body>,
        record: &mut RequestRecord,
    ) -> Result<RoutedRequest, RequestError> {
        let (mut parts, body) = request.into_parts();
        let announced = AnnouncedUpgrade::of(&mut parts);
        let version = parts.version;
        let admitted = self.gate(&mut parts)?;
        record.dropped(admitted.dropped);
        let close_unless_upgraded = admitted.close_unless_upgraded;
        {
            let path = admitted.path().map_err(RequestError::Gate)?;
            record.target(admitted.host().name(), path.as_str());
            admitted.set_target(&path, &mut parts).map_err(RequestError::Gate)?;
        }
        let route = self.route(admitted.host()).await?;
        record.route(&route.meter);
        // What the app says of itself counts for nothing: the certificate speaks for it.
        headers::strip_forwarded_identity(&mut parts.headers, SenderTrust::Other);
        parts.version = version;
        let upgrades = admitted.upgrade.is_some() && announced.is_some();
        let upgrade = upgrades.then_some(announced);
        Ok(RoutedRequest {
            request: Request::from_parts(parts, body),
            route,
            host: admitted.into_host(),
            upgrade,
            close_unless_upgraded,
        })
    }

    fn gate(&self, parts: &mut Parts) -> Result<AdmittedRequest, RequestError> {
        let state = &self.outbound.worker.state;
        let settings = GateSettings {
            default_port: Some(80),
            normalization: state.settings.path_normalization,
            head: HeadLimits::of(&state.settings.limits),
            // The rules are the other side's, and its proxy asks them.
            named: None,
            underscores: state.settings.headers_with_underscores,
        };
        gate::admit(parts, &settings).map_err(RequestError::Gate)
    }

    /// The way to the service that the address means, or else the host.
    pub(super) async fn route(&self, host: &HostName) -> Result<Arc<Route>, RequestError> {
        let worker = &self.outbound.worker;
        let version = match self.last_route(&worker.state, host) {
            Ok(route) => return Ok(route),
            Err(version) => version,
        };
        let by_address = self.outbound.wanted.resolve(&worker.state).await?;
        let by_host = by_address.is_none().then(|| host.as_str().into());
        let found = match by_address {
            Some(found) => Some(found),
            None => self.by_host(host).await?,
        };
        let found = found.ok_or_else(|| {
            RequestError::UnknownDestination(format!(
                "{} ({})",
                host.name(),
                self.outbound.wanted.address()
            ))
        })?;
        if found.service.external {
            return Err(RequestError::ExternalByName(found.service.host.to_string()));
        }
        let route = route::resolve(worker, &found, self.protocol).await?;
        *self.last.lock() = Some(LastRoute { version, host: by_host, route: route.clone() });
        Ok(route)
    }

    /// The route of the last request, when it is this one's as well: its service is what the destination still means, whatever
    /// else has changed. Else the version of the table that was looked into.
    fn last_route(&self, state: &ProxyState, host: &HostName) -> Result<Arc<Route>, u64> {
        let table = state.services.table();
        let version = table.version();
        let mut last = self.last.lock();
        let Some(last) = last.as_mut() else { return Err(version) };
        if last.host.as_deref().is_some_and(|known| known != host.as_str()) {
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

    /// What the address means, or, where it means nothing, the host; nobody is asked.
    fn known(&self, table: &ServiceTable, host: Option<&HostName>) -> Option<ServiceMatch> {
        let by_address = self.outbound.wanted.service(table);
        match host {
            None => by_address,
            Some(_) if by_address.is_some() => None,
            Some(host) => dialled::by_host(table, host.name(), self.port_of(host)),
        }
    }

    fn port_of(&self, host: &HostName) -> u16 {
        host.port().unwrap_or_else(|| self.outbound.wanted.port())
    }

    async fn by_host(&self, host: &HostName) -> Result<Option<ServiceMatch>, RequestError> {
        dialled::resolve_host(&self.outbound.worker.state, host.name(), self.port_of(host)).await
    }

    async fn forward(
        &self,
        routed: RoutedRequest,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let limits = &self.outbound.worker.state.settings.limits;
        let RoutedRequest { request, route, host, close_unless_upgraded, .. } = routed;
        let answered = self.send(route, &host, request, record);
        let answered = tokio::time::timeout(limits.response_timeout, answered).await;
        let mut response =
            answered.map_err(|_| RequestError::Timeout { who: OtherEnd::Upstream })??;
        headers::strip_hop_by_hop(response.headers_mut());
        if close_unless_upgraded {
            response
                .headers_mut()
                .insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        let of = TrailerKind::of(response.headers());
        Ok(response.map(|body| body.within(limits, of)))
    }

    /// A request to switch protocols has a stream of its own, to the app's 101 and beyond.
    async fn upgrade(&self, routed: RoutedRequest, record: Box<RequestRecord>) -> Response<Body> {
        let answered = self.send_upgrade(&routed.route, routed.request).await;
        let connection = (*self.outbound.connection).clone();
        let limits = &self.outbound.worker.state.settings.limits;
        let (response, carried) =
            upgrade::conclude(answered, routed.upgrade, record, connection, None, limits);
        *self.upgraded.lock() = carried;
        response
    }

    async fn send_upgrade(
        &self,
        route: &Route,
        request: Request<Body>,
    ) -> Result<Response<Body>, RequestError> {
        let worker = &self.outbound.worker;
        let (io, link) = route.open_stream(worker, StreamKind::Upgrade).await?;
        let speaker =
            if link.binding.is_some() { AnswerOrigin::Postern } else { AnswerOrigin::Other };
        // The rest of the connection is this stream.
        self.outbound.connection.set_link(link);
        let limits = &worker.state.settings.limits;
        upgrade_over(io, request, limits, OtherEnd::Upstream, speaker).await
    }
}
