//! The service that a request of the app is for, and what holds for calls to it.

use std::sync::Arc;

use policy::{Faults, HostName, Protocol, ServiceRoutes, ServiceTable};

use super::OutboundConnection;
use super::http::OutboundPhases;
use crate::http::error::RequestError;
use crate::traffic::forward::{self, ServiceMatch, Upstream};
use crate::traffic::state::ProxyState;

/// The service of a request.
pub(super) struct CalledService {
    /// The service, its port and, where the app dialled one, the endpoint.
    pub(super) found: ServiceMatch,
    /// The routes that say where requests to it go. Where the app dialled an endpoint, they hold for requests that name the
    /// service.
    pub(super) routes: Option<ServiceRoutes>,
    /// The faults that calls to it may meet.
    pub(super) faults: Option<Arc<Faults>>,
    /// The service itself, where no route says where requests go.
    pub(super) upstream: Option<Upstream>,
}

/// The service of the last request: the next one usually is for the same.
pub(super) struct LastCall {
    /// The version of the tables by which it was last correct; with a newer one it may differ.
    version: u64,
    /// The host and port it was found by; `None` when the address alone decided.
    host: Option<Box<str>>,
    called: Arc<CalledService>,
}

impl OutboundPhases {
    /// The service of the address, or else of the host.
    pub(super) async fn find_service(
        &self,
        host: &HostName,
    ) -> Result<Arc<CalledService>, RequestError> {
        let state = &self.outbound.worker.state;
        // Read before the tables: what changes meanwhile is seen by the next request.
        let version = state.services.version();
        if let Some(called) = self.last_call(state, host, version) {
            return Ok(called);
        }
        let by_address = self.outbound.destination.resolve(state).await?;
        let by_host = by_address
            .as_ref()
            .is_none_or(|found| found.endpoint.is_some() || found.service.external);
        let by_host = by_host.then(|| host.as_str().into());
        let dialled = by_address.is_some();
        let found = match by_address {
            Some(found) => Some(found),
            None => self.by_host(host).await?,
        };
        let found = match found {
            Some(found) => found,
            None => self.outbound.unnamed(host.name())?,
        };
        let called = match found.service.external {
            false => self.call(found, host).await?,
            true => self.call_outside(found, host, dialled).await?,
        };
        let called = Arc::new(called);
        *self.last.lock() = Some(LastCall { version, host: by_host, called: called.clone() });
        Ok(called)
    }

    async fn call(
        &self,
        found: ServiceMatch,
        host: &HostName,
    ) -> Result<CalledService, RequestError> {
        let worker = &self.outbound.worker;
        let (routes, faults) = {
            let calls = worker.state.services.calls();
            let table = worker.state.services.table();
            let name = table.resource_host(&found.service);
            let routes = calls.routes.of_service(&name, &found.port);
            let of_requests = routes.filter(|routes| routes.kind().is_of_requests());
            let is_meant = |_: &ServiceRoutes| self.is_meant(&found, host);
            (of_requests.filter(is_meant), calls.policies.faults(&name).cloned())
        };
        let upstream = match routes {
            Some(_) => None,
            None => {
                let protocol = self.forwarder.protocol;
                Some(Upstream::Mesh(worker.backends.get(worker, &found, protocol).await?))
            }
        };
        Ok(CalledService { found, routes, faults, upstream })
    }

    /// A service outside the mesh; `dialled`: it was found by the address that the app dialled.
    async fn call_outside(
        &self,
        found: ServiceMatch,
        host: &HostName,
        dialled: bool,
    ) -> Result<CalledService, RequestError> {
        let OutboundConnection { worker, destination, .. } = &*self.outbound;
        self.is_let_out(&found, host, dialled)?;
        let dialled = destination.believed(dialled, &found);
        let protocol = self.forwarder.protocol;
        let outside = forward::resolve_external(worker, &found, protocol, dialled, None).await?;
        let faults = worker.state.services.calls().policies.faults(&found.service.host).cloned();
        Ok(CalledService {
            found,
            routes: None,
            faults,
            upstream: Some(Upstream::Outside(outside)),
        })
    }

    /// Requests in the clear do not leave by a port that is declared for TLS of the app's own, nor for another host than the
    /// one that a resource names at the dialled address: whoever answers there may serve others by `Host`. While a
    /// DestinationRule could not be read, none leaves: it may have asked for TLS.
    fn is_let_out(
        &self,
        found: &ServiceMatch,
        host: &HostName,
        dialled: bool,
    ) -> Result<(), RequestError> {
        let services = &self.outbound.worker.state.services;
        let name = || format!("{} ({})", host.name(), found.service.host);
        if found.port.protocol == Protocol::Tls {
            return Err(RequestError::UnknownDestination(name()));
        }
        if services.calls().incomplete {
            return Err(RequestError::Unresolved(name()));
        }
        let is_named = || {
            let address = self.outbound.destination.address().ip().to_string();
            let table = services.table();
            let named = table.by_host(host.name(), found.port.number);
            host.name().trim_matches(['[', ']']) == address
                || named.is_some_and(|named| Arc::ptr_eq(named, &found.service))
        };
        match dialled && !is_named() {
            true => Err(RequestError::UnknownDestination(name())),
            false => Ok(()),
        }
    }

    /// Whether the request is for the service, and not for the one endpoint of it that the app dialled: then it names the
    /// service, too.
    fn is_meant(&self, found: &ServiceMatch, host: &HostName) -> bool {
        if found.endpoint.is_none() {
            return true;
        }
        let table = self.outbound.worker.state.services.table();
        let named = table.by_host(host.name(), found.port.number);
        named.is_some_and(|named| Arc::ptr_eq(named, &found.service))
    }

    /// The service of the last request, when it is this one's as well: the destination still resolves to it, whatever
    /// else has changed.
    fn last_call(
        &self,
        state: &ProxyState,
        host: &HostName,
        version: u64,
    ) -> Option<Arc<CalledService>> {
        let mut last = self.last.lock();
        let last = last.as_mut()?;
        if last.host.as_deref().is_some_and(|known| known != host.as_str()) {
            return None;
        }
        let called = &last.called;
        let now = state.clock.coarse();
        if called.upstream.as_ref().is_some_and(|upstream| upstream.is_stale(now)) {
            return None;
        }
        if last.version != version {
            let table = state.services.table();
            let found = self.known(&table, last.host.as_ref().map(|_| host))?;
            if !Arc::ptr_eq(&found.service, &called.found.service) || !self.holds(state, called) {
                return None;
            }
            found.note_use(state);
            last.version = version;
        }
        Some(called.clone())
    }

    /// Whether what is said about calls to a service is what it was.
    fn holds(&self, state: &ProxyState, called: &CalledService) -> bool {
        let CalledService { found, routes, faults, upstream } = called;
        let calls = state.services.calls();
        let table = state.services.table();
        let name = table.resource_host(&found.service);
        let now = calls.routes.of_service(&name, &found.port);
        let worker = &self.outbound.worker;
        routes.is_none()
            && now.is_none_or(|routes| !routes.kind().is_of_requests())
            && calls.policies.faults(&name).map(Arc::as_ptr) == faults.as_ref().map(Arc::as_ptr)
            && matches!(upstream, Some(Upstream::Mesh(backend))
                if Arc::ptr_eq(&backend.policy, &worker.backends.policy(worker, found)))
    }

    /// The service of the address, or, where it has none, of the host; the controller is not asked.
    fn known(&self, table: &ServiceTable, host: Option<&HostName>) -> Option<ServiceMatch> {
        let by_address = self.outbound.destination.service(table);
        match host {
            None => by_address,
            Some(_) if by_address.is_some() => None,
            Some(host) => forward::by_host(table, host.name(), self.port_of(host)),
        }
    }

    fn port_of(&self, host: &HostName) -> u16 {
        host.port().unwrap_or_else(|| self.outbound.destination.port())
    }

    async fn by_host(&self, host: &HostName) -> Result<Option<ServiceMatch>, RequestError> {
        forward::resolve_host(&self.outbound.worker.state, host.name(), self.port_of(host)).await
    }
}
