//! A service outside the mesh as a backend: where it is, and how it is called.

mod endpoints;

use std::net::SocketAddr;
use std::sync::Arc;

use super::backend;
use super::service_match::ServiceMatch;
use crate::http::error::RequestError;
use crate::labels::Protocol;
use crate::traffic::egress::{EgressDialer, EgressKey, ExternalService, begun};
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

/// What a worker calls services outside the mesh with.
pub(crate) fn dialer(worker: &Worker) -> EgressDialer<'_> {
    EgressDialer { state: &worker.state, pool: &worker.egress }
}
