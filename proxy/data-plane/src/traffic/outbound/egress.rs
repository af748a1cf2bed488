//! Calls to services outside the mesh, which a ServiceEntry with `MESH_EXTERNAL` allows: requests by host, and TLS of the
//! app's own by the server name it asks for.
//!
//! A service is called at its endpoints, or at what its name resolves to; the address that the app dialled is believed only
//! where it is what the ServiceEntry names. How it is called then: [`crate::traffic::egress`].

mod endpoints;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use policy::service::Resolution;
use policy::{Protocol as Declared, Service, ServicePort};

use super::backend;
use super::dialled::{self, ServiceMatch};
use super::http::OutboundPhases;
use crate::connection::client_hello;
use crate::connection::net::BoxedIo;
use crate::connection::sniff::{self, ProtocolGuess};
use crate::http::body::Body;
use crate::http::error::{OtherEnd, RequestError};
use crate::http::headers::AnswerOrigin;
use crate::labels::Protocol;
use crate::traffic::app::upgrade_over;
use crate::traffic::egress::{EgressDialer, EgressKey, ExternalService, StreamUse, begun};
use crate::traffic::record::RequestRecord;
use crate::traffic::worker::Worker;

/// Finds where a service outside the mesh is. `dialled`: the address that the app dialled, where the service was found by
/// it.
///
/// # Errors
/// [`RequestError::NoEndpoint`]; [`RequestError::UnknownDestination`] when its name leads to an address of this machine.
pub(crate) async fn resolve(
    worker: &Arc<Worker>,
    found: &ServiceMatch,
    protocol: Protocol,
    dialled: Option<SocketAddr>,
) -> Result<Arc<ExternalService>, RequestError> {
    let policy = &worker.backends.policy(worker, found);
    let located = endpoints::locate(worker, found, dialled).await?;
    let endpoints = located.addresses.iter().map(|address| {
        let (host, protocol) = (&found.service.host, found.port.protocol);
        let key = EgressKey::new(*address, host, protocol, policy.tls.as_ref());
        worker.egress.destination(&worker.state, key, &policy.connection_pool)
    });
    let endpoints = endpoints.collect();
    let service = found.service.clone();
    let meter = worker.meter(backend::labels(worker, protocol, &service.host, None));
    Ok(Arc::new(ExternalService { service, meter, endpoints, stale_at: located.stale_at }))
}

/// Whether the proxy begins TLS with the service in its app's place.
pub(crate) fn begins_tls(worker: &Worker, found: &ServiceMatch) -> bool {
    begun(found.port.protocol, worker.backends.policy(worker, found).tls.as_ref()).is_some()
}

/// What no resource names, where everything outside may be called: as the app dialled it.
pub(crate) fn unnamed(address: SocketAddr) -> ServiceMatch {
    let port = ServicePort {
        number: address.port(),
        target_port: address.port(),
        name: "".into(),
        protocol: Declared::Auto,
    };
    let service = Service {
        host: "unknown".into(),
        namespace: "".into(),
        external: true,
        ports: vec![port.clone()],
        resolution: Resolution::None,
        endpoints: Vec::new(),
        identities: Arc::default(),
    };
    ServiceMatch { service: Arc::new(service), port, endpoint: None }
}

/// The service outside the mesh that a TLS connection of the app's own asks for by its server name, where a ServiceEntry
/// allows it on this port; with it all bytes read, for whoever goes on. The controller is asked for what is not known yet.
///
/// # Errors
/// Those of [`resolve`], and of the controller's answer.
pub(crate) async fn by_server_name(
    worker: &Arc<Worker>,
    io: &mut BoxedIo,
    ahead: Bytes,
    port: u16,
) -> Result<(Option<Arc<ExternalService>>, Bytes), RequestError> {
    if sniff::classify(&ahead) != ProtocolGuess::Tls {
        return Ok((None, ahead));
    }
    let limit = worker.state.settings.limits.sniff_timeout;
    let (name, ahead) = client_hello::read_server_name(io, ahead, limit)
        .await
        .map_err(|error| RequestError::Client(error.to_string()))?;
    let Some(name) = name else { return Ok((None, ahead)) };
    let found = dialled::resolve_host(&worker.state, &name, port).await?;
    let Some(found) = found.filter(|found| found.service.external && passes_tls(found)) else {
        return Ok((None, ahead));
    };
    Ok((Some(resolve(worker, &found, Protocol::Tcp, None).await?), ahead))
}

/// Whether the app may speak TLS of its own on the port: not where requests are declared, which would pass unseen.
fn passes_tls(found: &ServiceMatch) -> bool {
    !found.port.protocol.is_http()
}

/// What a worker calls services outside the mesh with.
pub(crate) fn dialer(worker: &Worker) -> EgressDialer<'_> {
    EgressDialer { state: &worker.state, pool: &worker.egress }
}

impl OutboundPhases {
    /// Sends a request to a service outside the mesh, within the time it may take.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(super) async fn send_outside(
        &self,
        service: &ExternalService,
        request: Box<Request<Body>>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let worker = &self.outbound.worker;
        let limit = worker.state.settings.limits.response_timeout;
        let patience = self.callers_patience(request.headers());
        let within = patience.map_or(limit, |patience| patience.min(limit));
        let dialer = dialer(worker);
        let sending = service.send(&dialer, request, record);
        match (tokio::time::timeout(within, sending).await, patience) {
            (Ok(answered), _) => answered,
            (Err(_), Some(patience)) if patience == within => {
                Err(RequestError::RequestTimeout(patience))
            }
            (Err(_), _) => Err(RequestError::Timeout { who: OtherEnd::Upstream }),
        }
    }

    /// Sends a request to switch protocols over a connection of its own.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(super) async fn upgrade_outside(
        &self,
        service: &ExternalService,
        request: Box<Request<Body>>,
    ) -> Result<Response<Body>, RequestError> {
        let worker = &self.outbound.worker;
        let (io, _) = service.open_stream(&dialer(worker), StreamUse::Upgrade).await?;
        let limits = &worker.state.settings.limits;
        upgrade_over(io, request, limits, OtherEnd::Upstream, AnswerOrigin::Other).await
    }
}
