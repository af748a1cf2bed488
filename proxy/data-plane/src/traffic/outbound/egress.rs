//! Calls to services outside the mesh, which a ServiceEntry with `MESH_EXTERNAL` allows: requests by host, and TLS of the
//! app's own by the server name it asks for.
//!
//! A service is called at its endpoints, or at what its name resolves to; the address that the app dialled is believed only
//! where it is what the ServiceEntry names. How it is called then: [`crate::traffic::egress`].

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use policy::service::Resolution;
use policy::{Protocol as Declared, Service, ServicePort};

use crate::connection::client_hello;
use crate::connection::net::BoxedIo;
use crate::connection::sniff::{self, ProtocolGuess};
use crate::http::error::RequestError;
use crate::labels::Protocol;
use crate::traffic::egress::ExternalService;
use crate::traffic::forward::{self, ServiceMatch};
use crate::traffic::worker::Worker;

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
/// Those of [`forward::resolve_external`], and of the controller's answer.
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
    let found = forward::resolve_host(&worker.state, &name, port).await?;
    let Some(found) = found.filter(|found| found.service.external && passes_tls(found)) else {
        return Ok((None, ahead));
    };
    Ok((Some(forward::resolve_external(worker, &found, Protocol::Tcp, None, None).await?), ahead))
}

/// Whether the app may speak TLS of its own on the port: not where requests are declared, which would pass unseen.
fn passes_tls(found: &ServiceMatch) -> bool {
    !found.port.protocol.is_http()
}
