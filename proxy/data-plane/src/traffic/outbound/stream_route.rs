//! Connections whose bytes are no requests: a TCPRoute, or a TLSRoute by the server name that the client asks for, says
//! which backend a whole connection goes to. Nothing of it is ended or changed here.

use std::sync::Arc;

use bytes::Bytes;
use policy::ServiceRoutes;
use policy::route::RouteKind;

use crate::connection::client_hello;
use crate::connection::net::BoxedIo;
use crate::http::error::RequestError;
use crate::labels::Protocol;
use crate::traffic::forward::{self, ServiceMatch, Upstream};
use crate::traffic::worker::Worker;

/// Whether routes lead connections to a service's port as a whole, whatever is spoken on them. An endpoint that the app
/// dialled itself has none: nothing on such a connection names the service.
pub(super) fn is_attached(worker: &Worker, found: &ServiceMatch) -> bool {
    routes(worker, found).is_some_and(|routes| !routes.kind().is_of_requests())
}

fn routes(worker: &Worker, found: &ServiceMatch) -> Option<ServiceRoutes> {
    let (calls, table) = (worker.state.services.calls(), worker.state.services.table());
    let routes = calls.routes.of_service(&table.resource_host(&found.service), &found.port);
    routes.filter(|_| found.endpoint.is_none())
}

/// The backend of a connection to a service, and the bytes read to find it: the service itself where no route is attached.
///
/// # Errors
/// [`RequestError::RouteNotFound`] when routes are attached and none takes the connection, those of requests included: then
/// the service takes requests, and these bytes are none. [`RequestError::BackendInvalid`].
pub(super) async fn backend(
    worker: &Arc<Worker>,
    found: &ServiceMatch,
    io: &mut BoxedIo,
    ahead: Bytes,
) -> Result<(Upstream, Bytes), RequestError> {
    let Some(routes) = routes(worker, found) else {
        let backend = worker.backends.get(worker, found, Protocol::Tcp).await?;
        return Ok((Upstream::Mesh(backend), ahead));
    };
    let (rule, ahead) = match routes.kind() {
        RouteKind::Tls => {
            let limit = worker.state.settings.limits.sniff_timeout;
            let (name, ahead) = client_hello::read_server_name(io, ahead, limit)
                .await
                .map_err(|error| RequestError::Client(error.to_string()))?;
            (routes.tls(name.as_deref()).cloned(), ahead)
        }
        _ => (routes.tcp().cloned(), ahead),
    };
    let rule = rule.ok_or_else(|| RequestError::RouteNotFound(found.service.host.to_string()))?;
    worker.route_meters.count(worker, &rule);
    let (upstream, _) = forward::draw(worker, &rule, Protocol::Tcp, None).await?;
    Ok((upstream, ahead))
}
