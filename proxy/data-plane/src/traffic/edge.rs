//! The edge as it is in force: the ports of the Gateways that the proxy serves, and what each listener does with its
//! clients. Nothing at all in a sidecar.
//!
//! The whole is immutable and swapped at a change. A request asks for its port again only where something has changed
//! since the one before it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

use arc_swap::ArcSwap;
use policy::client_traffic::{AddressBlocks, ClientTrafficSettings};
use policy::{GatewayListener, GatewayPort};
use tokio::sync::watch;

use crate::connection::edge_tls::EdgeTls;
use crate::limits::Limits;
use crate::traffic::answer_fields::AnswerFields;
use crate::traffic::egress::shown::ShownCertificate;

/// Where a gateway listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GatewayBind {
    /// The address that a Gateway asks for; `None`: the configured one.
    pub address: Option<IpAddr>,
    /// The port's number.
    pub port: u16,
}

impl GatewayBind {
    /// The address of the socket, where `any` stands for "every one".
    #[must_use]
    pub fn socket(self, any: IpAddr) -> SocketAddr {
        SocketAddr::new(self.address.unwrap_or(any), self.port)
    }
}

/// A port, and its listeners with all that traffic needs of them.
#[derive(Debug)]
pub struct EdgePort {
    /// Which listener is for whom.
    pub port: Arc<GatewayPort>,
    /// Peers whose connections begin with a header of the PROXY protocol, whatever listener they are for.
    pub proxy_protocol: AddressBlocks,
    /// The limits of connections whose listener is not known before their requests are.
    pub limits: Limits,
    /// By label.
    listeners: HashMap<Arc<str>, Arc<EdgeListener>>,
}

/// Which certificates clients are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedCertificates {
    /// The certificates of authorities, PEM.
    pub authorities: Arc<[u8]>,
    /// Whether a client must show one.
    pub mandatory: bool,
}

/// A listener with all that traffic needs of it.
#[derive(Debug)]
pub struct EdgeListener {
    /// Its place and its routes.
    pub listener: Arc<GatewayListener>,
    /// Its Gateway, `namespace/name`.
    pub gateway: Box<str>,
    /// What its clients may do.
    pub clients: Arc<ClientTrafficSettings>,
    /// What clients of its port may do until their listener is known.
    pub at_port: Arc<ClientTrafficSettings>,
    /// Which certificates its clients are asked for; `None`: none.
    pub asked: Option<AskedCertificates>,
    /// Its TLS, where that ends here; without it every handshake is refused.
    pub tls: Option<EdgeTls>,
    /// What is shown to backends outside the mesh that ask for a certificate.
    pub(crate) shown: Option<ShownCertificate>,
    /// What is added to its answers, and what is taken off.
    pub answer_fields: Arc<AnswerFields>,
    /// The limits of its connections.
    pub limits: Limits,
}

impl EdgeListener {
    /// Whether a client that has proved who it is to `before` is the same to this listener: whom certificates come from, and
    /// whom they make of their holders, is what it was.
    #[must_use]
    pub fn knows_clients_as(&self, before: &Self) -> bool {
        self.asked == before.asked
            && self.clients.client_certificates == before.clients.client_certificates
    }
}

impl EdgePort {
    /// A port with these listeners, which are all of its own. `limits` are the proxy's: they hold where no policy says
    /// another time, and of several the shortest.
    #[must_use]
    pub fn new(port: Arc<GatewayPort>, listeners: Vec<Arc<EdgeListener>>, limits: Limits) -> Self {
        let limits = limits_at_port(&listeners, limits);
        let blocks = listeners.iter().map(|listener| &listener.at_port.proxy_protocol);
        let proxy_protocol = blocks.fold(AddressBlocks::default(), |all, one| all.joined(one));
        let listeners = listeners.into_iter();
        let listeners = listeners.map(|one| (Arc::clone(&one.listener.label), one)).collect();
        Self { port, proxy_protocol, limits, listeners }
    }

    /// The listener of a connection with this server name.
    #[must_use]
    pub fn by_server_name(&self, name: Option<&str>) -> Option<&Arc<EdgeListener>> {
        self.find(self.port.by_server_name(name))
    }

    /// The listener of a request for this host.
    #[must_use]
    pub fn by_host(&self, host: &str) -> Option<&Arc<EdgeListener>> {
        self.find(self.port.by_host(host))
    }

    /// The listener of a port of TCP.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<EdgeListener>> {
        self.find(self.port.only())
    }

    /// Whether the port takes this peer's word for who the client is. What a ListenerSet's policy says is about its own
    /// listeners, and never about how many connections the others' clients leave.
    #[must_use]
    pub fn believes(&self, peer: IpAddr) -> bool {
        let believed = |one: &Arc<EdgeListener>| {
            one.at_port.client_address.as_ref().is_some_and(|known| known.trusted.contain(peer))
        };
        self.listeners.values().any(believed)
    }

    /// The listeners, in no order.
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<EdgeListener>> {
        self.listeners.values()
    }

    fn find(&self, listener: Option<&Arc<GatewayListener>>) -> Option<&Arc<EdgeListener>> {
        self.listeners.get(&listener?.label)
    }
}

/// The limits of the proxy, with what clients are given.
#[must_use]
pub fn client_limits(limits: Limits, clients: &ClientTrafficSettings) -> Limits {
    let own = &clients.limits;
    Limits {
        idle_timeout: own.idle_timeout.unwrap_or(limits.idle_timeout),
        header_timeout: own.header_timeout.unwrap_or(limits.header_timeout),
        ..limits
    }
}

/// Of several the shortest. A ListenerSet's listener beside those of its Gateway changes nothing for these.
fn limits_at_port(listeners: &[Arc<EdgeListener>], limits: Limits) -> Limits {
    let asked = |one: &Arc<EdgeListener>| client_limits(limits, &one.at_port);
    let own = listeners.iter().filter(|one| one.listener.listener_set.is_none());
    let of_own = own.map(asked).reduce(shortest);
    of_own.or_else(|| listeners.iter().map(asked).reduce(shortest)).unwrap_or(limits)
}

fn shortest(one: Limits, other: Limits) -> Limits {
    Limits {
        idle_timeout: one.idle_timeout.min(other.idle_timeout),
        header_timeout: one.header_timeout.min(other.header_timeout),
        ..one
    }
}

/// The ports in force.
pub type EdgePorts = HashMap<GatewayBind, Arc<EdgePort>>;

/// Ports, each with the number of the change that brought it: one that goes and comes back is another one.
#[derive(Debug, Default)]
struct PortsInForce {
    ports: Arc<EdgePorts>,
    since: HashMap<GatewayBind, u64>,
}

/// The edge in force, shared by all workers.
#[derive(Debug)]
pub struct Edge {
    in_force: ArcSwap<PortsInForce>,
    version: AtomicU64,
    epoch: watch::Sender<u64>,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            in_force: ArcSwap::default(),
            version: AtomicU64::new(1),
            epoch: watch::Sender::new(0),
        }
    }
}

impl Edge {
    /// Puts other ports in force, all at once. One thread does so.
    pub fn install(&self, ports: EdgePorts) {
        let before = self.in_force.load();
        let change = self.version() + 1;
        let since = |bind: &GatewayBind| before.since.get(bind).copied().unwrap_or(change);
        let since = ports.keys().map(|bind| (*bind, since(bind))).collect();
        self.in_force.store(Arc::new(PortsInForce { ports: Arc::new(ports), since }));
        self.version.fetch_add(1, Release);
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// The ports in force.
    #[must_use]
    pub fn ports(&self) -> Arc<EdgePorts> {
        Arc::clone(&self.in_force.load().ports)
    }

    /// A port; `None`: nothing listens there any more.
    #[must_use]
    pub fn port(&self, bind: &GatewayBind) -> Option<Arc<EdgePort>> {
        self.in_force.load().ports.get(bind).cloned()
    }

    /// Since which change a port has been there without a break; `None`: it is not.
    #[must_use]
    pub fn since(&self, bind: &GatewayBind) -> Option<u64> {
        self.in_force.load().since.get(bind).copied()
    }

    /// Whether a port is listened on at this address, which is one of this machine's own.
    #[must_use]
    pub fn listens_at(&self, own: SocketAddr) -> bool {
        let is_there = |bind: &GatewayBind| {
            bind.port == own.port() && bind.address.is_none_or(|address| address == own.ip())
        };
        self.in_force.load().ports.keys().any(is_there)
    }

    /// Grows with each change. Read *before* the ports, it says whether what was found there still holds.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Wakes at each change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use policy::{GatewaySelection, GatewayTable, Resources, SourceFile};

    use super::*;

    fn ports(numbers: &[u16]) -> EdgePorts {
        let listener = |port| format!("{{name: p{port}, port: {port}, protocol: HTTP}}");
        let listeners: Vec<_> = numbers.iter().map(listener).collect();
        let text = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: shop}}\n\
             spec: {{gatewayClassName: postern, listeners: [{}]}}\n",
            listeners.join(", ")
        );
        let file = SourceFile { name: "g.yaml".into(), bytes: text.into_bytes() };
        let resources = Resources::parse(&[file], "postern-system").unwrap();
        let table = GatewayTable::build(&resources, &GatewaySelection::default());
        let port = |port: &Arc<GatewayPort>| {
            let bind = GatewayBind { address: None, port: port.number };
            (bind, Arc::new(EdgePort::new(Arc::clone(port), Vec::new(), Limits::default())))
        };
        table.ports().map(port).collect()
    }

    #[test]
    fn a_port_that_goes_and_comes_back_is_another_one() {
        let edge = Edge::default();
        let since = |port| edge.since(&GatewayBind { address: None, port });
        edge.install(ports(&[80, 81]));
        let first = (since(80), since(81));
        assert!(first.0.is_some() && first.0 == first.1);
        edge.install(ports(&[80]));
        assert_eq!((since(80), since(81)), (first.0, None));
        edge.install(ports(&[80, 81]));
        assert_eq!(since(80), first.0);
        assert!(since(81).is_some_and(|again| Some(again) != first.1));
    }
}
