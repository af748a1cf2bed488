//! What holds for a service however it is written: the reader of files and the reader of a controller's messages ask here.

use std::net::IpAddr;
use std::sync::Arc;

use identity::SpiffeId;

use crate::resources::object::dns_label;
use crate::service::{CLUSTER_SUFFIX, Resolution};
use crate::{Endpoint, EndpointAddress, HostName, ServicePort};

/// The most hosts, addresses, ports or identities of one entry.
pub(super) const MAX_ITEMS: usize = 256;
/// The most endpoints of one entry.
pub(super) const MAX_ENDPOINTS: usize = 4096;

/// What contradicts itself, and what is expected instead.
pub(super) struct Contradiction {
    pub(super) found: String,
    pub(super) expected: &'static str,
}

/// A host name without port and without wildcard.
pub(in crate::resources) fn host(text: &str) -> Result<Arc<str>, String> {
    match HostName::parse(text, None) {
        Ok(host) if host.port().is_none() => Ok(host.name().into()),
        Ok(_) => Err("ports are listed under `ports`".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Invariant 12 (S-21): nobody defines a host under another namespace's service name. The root namespace speaks for the mesh.
/// The namespace that owns the host, where it is another.
pub(super) fn foreign_owner<'h>(
    host: &'h str,
    namespace: &str,
    root_namespace: &str,
) -> Option<&'h str> {
    owning_namespace(host).filter(|owner| *owner != namespace && namespace != root_namespace)
}

/// The namespace in `<service>.<namespace>.svc` and `<service>.<namespace>.svc.cluster.local`, and in any name below them.
fn owning_namespace(host: &str) -> Option<&str> {
    let name = host.strip_suffix(CLUSTER_SUFFIX).or_else(|| host.strip_suffix(".svc"))?;
    Some(name.rsplit('.').next().unwrap_or(name))
}

/// The id of a workload.
pub(super) fn identity(text: &str) -> Result<SpiffeId, String> {
    match SpiffeId::parse(text) {
        Ok(id) if id.path().is_empty() => Err("name a workload, not a trust domain".to_owned()),
        Ok(id) => Ok(id),
        Err(error) => Err(error.to_string()),
    }
}

/// An IP address or a DNS name.
pub(super) fn endpoint_address(text: &str) -> Result<EndpointAddress, String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(EndpointAddress::Ip(address.to_canonical())),
        Err(_) => host(text).map(EndpointAddress::Dns),
    }
}

/// The name of a service account.
pub(super) fn account_name(text: &str) -> Result<Arc<str>, String> {
    let valid = text.len() <= 253 && text.split('.').all(|part| dns_label(part).is_ok());
    match valid {
        true => Ok(text.into()),
        false => Err("service accounts are lower-case letters, digits, '-' and '.'".to_owned()),
    }
}

/// Each number and each name of a port stands once.
pub(super) fn is_repeated(ports: &[ServicePort], port: &ServicePort) -> bool {
    ports.iter().any(|other| other.number == port.number || other.name == port.name)
}

/// What resolution, endpoints and ports say together.
pub(super) fn contradictions(
    resolution: Resolution,
    endpoints: &[Endpoint],
    ports: &[ServicePort],
) -> Vec<Contradiction> {
    let is_named = |endpoint: &Endpoint| matches!(endpoint.address, EndpointAddress::Dns(_));
    let together = match resolution {
        Resolution::Static if endpoints.is_empty() => {
            Some(("resolution STATIC without endpoints", "endpoints"))
        }
        Resolution::Static if endpoints.iter().any(is_named) => Some((
            "a DNS name among the endpoints of resolution STATIC",
            "IP addresses, or resolution DNS",
        )),
        Resolution::None if !endpoints.is_empty() => {
            Some(("endpoints with resolution NONE", "resolution STATIC or DNS"))
        }
        _ => None,
    };
    let together =
        together.map(|(found, expected)| Contradiction { found: found.to_owned(), expected });
    let names = endpoints.iter().flat_map(|endpoint| endpoint.ports.keys());
    let unknown = names.filter(|name| !ports.iter().any(|port| port.name == **name));
    let unknown = unknown.map(|name| Contradiction {
        found: format!("the port name {name} in an endpoint"),
        expected: "names of the service's ports",
    });
    together.into_iter().chain(unknown).collect()
}
