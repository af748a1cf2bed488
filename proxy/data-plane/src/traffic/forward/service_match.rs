//! A service's port as a request or a connection was led to it.

use std::net::SocketAddr;
use std::sync::Arc;

use policy::service::EndpointAddress;
use policy::{Endpoint, Service, ServicePort, ServiceTable};

use crate::http::error::RequestError;
use crate::traffic::state::ProxyState;

/// A service that was found, with the port and, where the client dialled one, the exact endpoint.
#[derive(Debug, Clone)]
pub(crate) struct ServiceMatch {
    /// The service.
    pub(crate) service: Arc<Service>,
    /// Its port.
    pub(crate) port: ServicePort,
    /// The endpoint's address, when the client dialled an endpoint and not the service.
    pub(crate) endpoint: Option<SocketAddr>,
}

impl ServiceMatch {
    /// Records that the service is in use, so that it stays requested.
    pub(crate) fn note_use(&self, state: &ProxyState) {
        if let Some(demand) = &state.demand {
            demand.note_use(&self.service.host, state.clock.coarse());
        }
    }

    /// The addresses that the resource writes, with their endpoints.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (SocketAddr, &Endpoint)> {
        self.service.endpoints.iter().filter_map(|endpoint| match &endpoint.address {
            EndpointAddress::Ip(ip) => {
                let port = self.service.endpoint_port(endpoint, &self.port);
                Some((SocketAddr::new(*ip, port), endpoint))
            }
            EndpointAddress::Dns(_) => None,
        })
    }
}

/// The service of this host and port.
pub(crate) fn by_host(table: &ServiceTable, host: &str, port: u16) -> Option<ServiceMatch> {
    let service = table.by_host(host, port)?;
    let port = service.port(port)?.clone();
    Some(ServiceMatch { service: service.clone(), port, endpoint: None })
}

/// The same, and requests from the controller what is not known yet.
pub(crate) async fn resolve_host(
    state: &ProxyState,
    host: &str,
    port: u16,
) -> Result<Option<ServiceMatch>, RequestError> {
    let known = by_host(&state.services.table(), host, port);
    let Some(demand) = &state.demand else { return Ok(known) };
    if let Some(found) = known {
        found.note_use(state);
        return Ok(Some(found));
    }
    demand.ask(&format!("{host}:{port}"), state.clock.coarse()).await?;
    Ok(by_host(&state.services.table(), host, port))
}
