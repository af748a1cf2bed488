//! Listeners, as a Gateway or a ListenerSet writes them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{NamespaceScope, ObjectReference};
use crate::route::{RouteHost, RouteKind};

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, once in its object: what `sectionName` of a route means.
    pub name: Arc<str>,
    /// The hosts it is for; `None`: every one. Always `None` for TCP.
    pub host: Option<RouteHost>,
    /// The port.
    pub port: u16,
    /// What is spoken.
    pub protocol: ListenerProtocol,
    /// How TLS is begun; only for HTTPS and TLS.
    pub tls: Option<ListenerTlsConfig>,
    /// Which routes may attach.
    pub allowed_routes: AllowedRoutes,
}

/// `protocol` of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// `HTTP`: HTTP without TLS.
    Http,
    /// `HTTPS`: HTTP over TLS that ends here.
    Https,
    /// `TLS`: TLS that ends here or passes through; what is in it is carried as bytes.
    Tls,
    /// `TCP`: bytes.
    Tcp,
    /// Anything else, UDP included: the listener is not accepted, reason `UnsupportedProtocol`.
    Other(Arc<str>),
}

impl ListenerProtocol {
    /// The protocol as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Other(name) => name,
        }
    }

    /// The kinds of routes that such a listener can have, in order of precedence.
    pub fn route_kinds(&self) -> &'static [RouteKind] {
        match self {
            Self::Http | Self::Https => &[RouteKind::Grpc, RouteKind::Http],
            Self::Tls => &[RouteKind::Tls],
            Self::Tcp => &[RouteKind::Tcp],
            Self::Other(_) => &[],
        }
    }
}

impl fmt::Display for ListenerProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `tls` of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTlsConfig {
    /// Where TLS ends.
    pub mode: TlsMode,
    /// The certificates to show (`certificateRefs`), up to 64. Not asked where TLS passes through.
    pub certificates: Vec<ObjectReference>,
    /// Settings of other implementations (`options`): with any the listener is not accepted, reason `UnsupportedValue`.
    pub options: BTreeMap<String, String>,
}

/// `tls.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// TLS ends at the gateway.
    Terminate,
    /// TLS ends at the backend; the gateway reads the server name alone.
    Passthrough,
}

/// `allowedRoutes`. The standard's default: routes of the listener's own namespace, of every kind that its protocol has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedRoutes {
    /// From where.
    pub namespaces: NamespaceScope,
    /// Of which kinds; empty: all that the protocol has.
    pub kinds: Vec<RouteGroupKind>,
}

impl Default for AllowedRoutes {
    fn default() -> Self {
        Self { namespaces: NamespaceScope::Same, kinds: Vec::new() }
    }
}

/// A kind of route that a listener names, supported or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteGroupKind {
    /// Its group.
    pub group: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
}

impl RouteGroupKind {
    /// The kind, where it is one that is read here.
    pub fn route(&self) -> Option<RouteKind> {
        let of_gateway_api = *self.group == *"gateway.networking.k8s.io";
        let mut known = RouteKind::ALL.into_iter();
        known.find(|known| of_gateway_api && known.as_str() == &*self.kind)
    }
}
