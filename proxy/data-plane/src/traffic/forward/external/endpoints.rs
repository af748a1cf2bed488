//! Where a service outside the mesh is.

use std::net::SocketAddr;
use std::sync::Arc;

use policy::service::Resolution;
use web_fetch::address::AddressPolicy;

use crate::http::error::RequestError;
use crate::traffic::forward::name_cache::FRESH_SECONDS;
use crate::traffic::forward::service_match::ServiceMatch;
use crate::traffic::worker::Worker;

/// The addresses of a service.
pub(super) struct Located {
    pub(super) addresses: Vec<SocketAddr>,
    /// When they have to be looked up again, in seconds of the coarse clock; `None` for written ones.
    pub(super) stale_at: Option<u32>,
}

/// The addresses of a service: the endpoints that its ServiceEntry lists; with `resolution: NONE` the address that the app
/// dialled, where the service was found by it; otherwise those that its name resolves to. An app that names an allowed host
/// and dials another address is taken to the host.
pub(super) async fn locate(
    worker: &Arc<Worker>,
    found: &ServiceMatch,
    dialled: Option<SocketAddr>,
) -> Result<Located, RequestError> {
    let written = match found.endpoint {
        Some(endpoint) => vec![endpoint],
        None => found.endpoints().map(|(address, _)| address).collect(),
    };
    if !written.is_empty() {
        return Ok(Located { addresses: written, stale_at: None });
    }
    if let (Resolution::None, Some(dialled)) = (found.service.resolution, dialled) {
        return Ok(Located { addresses: vec![dialled], stale_at: None });
    }
    let now = worker.state.clock.coarse();
    let addresses = worker.names.look_up(&worker.state, found).await;
    refuse_own_addresses(worker, found, &addresses)?;
    match addresses.is_empty() {
        true => Err(RequestError::NoEndpoint(found.service.host.to_string())),
        false => Ok(Located { addresses, stale_at: Some(now.saturating_add(FRESH_SECONDS)) }),
    }
}

/// A name is somebody else's: it must not lead the proxy, whose own connections are not redirected, back to itself, to its
/// machine or to the services that give out the machine's credentials (SECURITY-CASES S-35, S-44). Whoever wants that
/// writes the address.
fn refuse_own_addresses(
    worker: &Worker,
    found: &ServiceMatch,
    addresses: &[SocketAddr],
) -> Result<(), RequestError> {
    let settings = &worker.state.settings;
    let is_own_port = |port| settings.is_own_port(port);
    let rule = AddressPolicy { allowed: &[], is_own_port: &is_own_port };
    rule.check_all(addresses).map_err(|(address, why)| {
        tracing::warn!(
            service = &*found.service.host,
            %address,
            worker = worker.index,
            "a host outside the mesh resolves to an address that is not called: {why}"
        );
        RequestError::UnknownDestination(format!("{} at {address}: {why}", found.service.host))
    })
}
