//! Services a workload can call: their names, addresses, ports and the identities they must present.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use identity::SpiffeId;

use crate::{Locality, Protocol};

/// What the names of cluster services end with.
pub(crate) const CLUSTER_SUFFIX: &str = ".svc.cluster.local";

/// A service as this workload sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The host name, canonical: `cart.shop.svc.cluster.local`.
    pub host: Arc<str>,
    /// The namespace of the resource that defines it.
    pub namespace: Arc<str>,
    /// True for `MESH_EXTERNAL`: the service has no proxy of ours and is called without mesh TLS.
    pub external: bool,
    /// Its ports, as defined.
    pub ports: Vec<ServicePort>,
    /// How its endpoints are found.
    pub resolution: Resolution,
    /// Its endpoints, as written (empty for `NONE`, and for `DNS` without endpoints: resolve `host`).
    pub endpoints: Vec<Endpoint>,
    /// The identities one of which a server of this service must present; empty: none is known, and no peer can be accepted.
    pub identities: Arc<[SpiffeId]>,
}

impl Service {
    /// The port with this number.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// The port an endpoint listens on for `port`: the endpoint's own entry under the port's name, else the target port.
    pub fn endpoint_port(&self, endpoint: &Endpoint, port: &ServicePort) -> u16 {
        endpoint.ports.get(&port.name).copied().unwrap_or(port.target_port)
    }
}

/// How a service's endpoints are found (`resolution` of a ServiceEntry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// The address the client dialled.
    None,
    /// The listed endpoint addresses.
    Static,
    /// A DNS look-up of the endpoint names, or of the host when there is no endpoint.
    Dns,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// The port clients dial.
    pub number: u16,
    /// The port endpoints listen on; equals `number` unless said otherwise.
    pub target_port: u16,
    /// The port's name.
    pub name: Arc<str>,
    /// What is spoken on it.
    pub protocol: Protocol,
}

/// One place a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where.
    pub address: EndpointAddress,
    /// Ports that differ from the service's target port, by the service port's name.
    pub ports: BTreeMap<Arc<str>, u16>,
    /// Labels of the workload there.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The service account of the workload there.
    pub service_account: Option<Arc<str>>,
    /// Where it runs, as far as that is known.
    pub locality: Option<Locality>,
    /// Its share of the calls beside the others', 1 to [`Endpoint::MAX_WEIGHT`]. Default 1.
    pub weight: u32,
}

impl Endpoint {
    /// The largest weight: shares finer than a millionth are none.
    pub const MAX_WEIGHT: u32 = 1_000_000;
}

/// An endpoint's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointAddress {
    /// An IP address, IPv4-mapped IPv6 folded to IPv4.
    Ip(IpAddr),
    /// A DNS name, canonical.
    Dns(Arc<str>),
}
