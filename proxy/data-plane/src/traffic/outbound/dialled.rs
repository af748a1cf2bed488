//! What the app dialled: the service of the address, or of the host it named.

use std::net::SocketAddr;
use std::sync::Arc;

use policy::ServiceTable;
use policy::service::EndpointAddress;
use tokio::net::TcpStream;

use crate::connection::net;
use crate::http::error::RequestError;
use crate::traffic::demand::LookupState;
use crate::traffic::forward::{ServiceMatch, by_host};
use crate::traffic::settings::{OutboundListener, TrafficSettings};
use crate::traffic::state::ProxyState;

/// Where the app wanted to go.
#[derive(Debug, Clone)]
pub(crate) enum DialledDestination {
    /// The address it dialled before it was redirected.
    Address(SocketAddr),
    /// The service of the explicit listener it dialled.
    Listener {
        /// The listener's own address.
        bind: SocketAddr,
        /// The service's host.
        service: Arc<str>,
        /// The service's port.
        port: u16,
    },
}

impl DialledDestination {
    /// Finds out what the app dialled.
    ///
    /// # Errors
    /// A stable reason: our own port was dialled, directly or through redirection (SECURITY-CASES S-44).
    pub(crate) fn of(
        stream: &TcpStream,
        listener: Option<OutboundListener>,
        settings: &TrafficSettings,
    ) -> Result<Self, &'static str> {
        if let Some(OutboundListener { bind, service, port }) = listener {
            return Ok(Self::Listener { bind, service, port });
        }
        let original = net::original_destination(stream).map_err(|_| "closed_by_client")?;
        let original = original.ok_or("not_redirected")?;
        if settings.is_own_port(original.port()) {
            return Err("loop");
        }
        Ok(Self::Address(original))
    }

    /// The address that was dialled.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Address(address) => *address,
            Self::Listener { bind, .. } => *bind,
        }
    }

    /// The service of the address or the listener, if a resource names one.
    pub(super) fn service(&self, table: &ServiceTable) -> Option<ServiceMatch> {
        match self {
            Self::Listener { service, port, .. } => by_host(table, service, *port),
            Self::Address(address) => by_address(table, *address),
        }
    }

    /// The same, and requests from the controller what is not known yet.
    pub(crate) async fn resolve(
        &self,
        state: &ProxyState,
    ) -> Result<Option<ServiceMatch>, RequestError> {
        let known = self.service(&state.services.table());
        let Some(demand) = &state.demand else { return Ok(known) };
        if let Some(found) = known {
            found.note_use(state);
            return Ok(Some(found));
        }
        let key = match self {
            Self::Listener { service, port, .. } => format!("{service}:{port}"),
            Self::Address(address) => address.to_string(),
        };
        let answer = demand.ask(&key, state.clock.coarse()).await?;
        match self.service(&state.services.table()) {
            // There is an answer, but it cannot be used: that is not an unknown destination (invariant 10).
            None if answer == LookupState::Service => Err(RequestError::Unresolved(key)),
            found => Ok(found),
        }
    }

    /// The port of a `Host` without one.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Listener { port, .. } => *port,
        }
    }

    /// The address that a service outside the mesh may be called at because the app dialled it: what a resource names by
    /// its address, or nobody at all.
    pub(super) fn believed(&self, by_address: bool, found: &ServiceMatch) -> Option<SocketAddr> {
        let named = by_address || found.service.namespace.is_empty();
        match self {
            Self::Address(address) if named => Some(*address),
            _ => None,
        }
    }

    /// Where an external service's bytes go: what the app dialled, or its one endpoint.
    pub(crate) fn dialled(&self, found: &ServiceMatch) -> Result<SocketAddr, RequestError> {
        match self {
            Self::Address(address) => Ok(*address),
            Self::Listener { .. } => found
                .endpoints()
                .next()
                .map(|(address, _)| address)
                .ok_or_else(|| RequestError::NoEndpoint(found.service.host.to_string())),
        }
    }
}

fn by_address(table: &ServiceTable, address: SocketAddr) -> Option<ServiceMatch> {
    let service = table.by_address(address)?;
    let endpoint_port = service.ports.iter().find(|port| {
        service.endpoints.iter().any(|endpoint| {
            endpoint.address == EndpointAddress::Ip(address.ip())
                && service.endpoint_port(endpoint, port) == address.port()
        })
    });
    let (port, endpoint) = match endpoint_port {
        Some(port) => (port, Some(address)),
        None => (service.port(address.port())?, None),
    };
    Some(ServiceMatch { service: service.clone(), port: port.clone(), endpoint })
}

#[cfg(test)]
mod tests;
