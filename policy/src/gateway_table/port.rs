//! A port that is listened on, and the listeners that share it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::GatewayListener;
use crate::gateway::ListenerProtocol;
use crate::route::RouteHost;

/// A port at an address.
#[derive(Debug)]
pub struct GatewayPort {
    /// The address; `None`: every one.
    pub address: Option<IpAddr>,
    /// The number.
    pub number: u16,
    /// What clients begin with.
    pub protocol: PortProtocol,
    /// In order of precedence.
    listeners: Vec<Arc<GatewayListener>>,
    exact: HashMap<Arc<str>, Arc<GatewayListener>>,
    /// By what comes after `*.`.
    below: HashMap<Arc<str>, Arc<GatewayListener>>,
    any: Option<Arc<GatewayListener>>,
}

/// What clients of a port begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortProtocol {
    /// A request of HTTP.
    Http,
    /// A ClientHello: listeners of HTTPS and of TLS share a port.
    Tls,
    /// Bytes.
    Tcp,
}

impl PortProtocol {
    /// That of a listener; `None` where it is not supported.
    pub(super) fn of(protocol: &ListenerProtocol) -> Option<Self> {
        match protocol {
            ListenerProtocol::Http => Some(Self::Http),
            ListenerProtocol::Https | ListenerProtocol::Tls => Some(Self::Tls),
            ListenerProtocol::Tcp => Some(Self::Tcp),
            ListenerProtocol::Other(_) => None,
        }
    }
}

impl GatewayPort {
    /// The port of these listeners, which have one protocol and differ by host. `None` without any.
    pub(super) fn of(
        number: u16,
        address: Option<IpAddr>,
        listeners: Vec<Arc<GatewayListener>>,
    ) -> Option<Self> {
        let protocol = PortProtocol::of(&listeners.first()?.protocol)?;
        let (mut exact, mut below, mut any) = (HashMap::new(), HashMap::new(), None);
        for listener in &listeners {
            let listener = Arc::clone(listener);
            match &listener.host {
                Some(RouteHost::Exact(host)) => drop(exact.insert(Arc::clone(host), listener)),
                Some(RouteHost::Below(host)) => drop(below.insert(Arc::clone(host), listener)),
                None => any = Some(listener),
            }
        }
        Some(Self { address, number, protocol, listeners, exact, below, any })
    }

    /// The listeners, in order of precedence.
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<GatewayListener>> {
        self.listeners.iter()
    }

    /// The listener of a connection with this server name, in whatever case: the one with the most specific host. A client
    /// that names no server belongs to the listener of all hosts. `None`: nobody's.
    pub fn by_server_name(&self, name: Option<&str>) -> Option<&Arc<GatewayListener>> {
        match name {
            Some(name) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                self.by_host(&name.to_ascii_lowercase())
            }
            Some(name) => self.by_host(name),
            None => self.any.as_ref(),
        }
    }

    /// The listener of a request for this host (canonical name, without port): the one with the most specific host. On a
    /// port of TLS it is to be the one that the connection belongs to: else the request is misdirected (RFC 9110 §15.5.20).
    pub fn by_host(&self, host: &str) -> Option<&Arc<GatewayListener>> {
        let exact = || self.exact.get(host);
        let below = || {
            let mut parents = std::iter::successors(parent(host), |host| parent(host));
            parents.find_map(|parent| self.below.get(parent))
        };
        exact().or_else(below).or(self.any.as_ref())
    }

    /// The listener of a port of TCP, which has one.
    pub fn only(&self) -> Option<&Arc<GatewayListener>> {
        self.listeners.first().filter(|_| self.protocol == PortProtocol::Tcp)
    }
}

/// The host without its first label.
fn parent(host: &str) -> Option<&str> {
    host.split_once('.').map(|(_, parent)| parent)
}
