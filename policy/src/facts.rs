//! What is known about a connection and a request when they are judged. Borrowed, so that a decision allocates nothing.

use std::net::{IpAddr, SocketAddr};

use identity::SpiffeId;
use serde_json::{Map, Value};

use crate::{ApiKeyFacts, CanonicalPath, HostName};

/// A connection that reached an inbound port.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionFacts<'a> {
    /// The identity proved by the peer's certificate; `None` on plaintext.
    pub peer: Option<&'a SpiffeId>,
    /// The TCP peer's address (`ipBlocks`, `source.ip`). IPv4-mapped IPv6 counts as IPv4 (S-47).
    pub source_ip: IpAddr,
    /// The client's address as a *trusted* hop reported it (`remoteIpBlocks`, `remote.ip`); `None`: the TCP peer is the
    /// client.
    pub remote_ip: Option<IpAddr>,
    /// The app's address and port: the original destination, or `forward` of an explicit listener.
    pub destination: SocketAddr,
    /// The server name of the peer's ClientHello (`connection.sni`), if any.
    pub sni: Option<&'a str>,
}

impl ConnectionFacts<'_> {
    /// The TCP peer's address, IPv4-mapped IPv6 folded to IPv4.
    pub(crate) fn source(&self) -> IpAddr {
        self.source_ip.to_canonical()
    }

    /// The client's address, the TCP peer's when no trusted hop said otherwise.
    pub(crate) fn remote(&self) -> IpAddr {
        self.remote_ip.unwrap_or(self.source_ip).to_canonical()
    }
}

/// One HTTP request, after the gate.
#[derive(Clone, Copy)]
pub struct HttpFacts<'a> {
    /// The method, as sent: methods are case-sensitive (RFC 9110 §9.1).
    pub method: &'a str,
    /// `Host` or `:authority`, in its one spelling.
    pub host: &'a HostName,
    /// The path that is judged and forwarded.
    pub path: &'a CanonicalPath<'a>,
    /// The header fields.
    pub headers: &'a dyn HeaderSource,
    /// The claims of a *verified* token; `None` when there is none.
    pub token: Option<&'a TokenClaims>,
    /// What is known of whoever sent a *valid* API key; `None` when there is none.
    pub api_key: Option<&'a ApiKeyFacts>,
}

/// Header fields, by name. Implemented by whatever holds the request.
pub trait HeaderSource {
    /// Calls `each` with every value of the header `name` (lower case), one call a field line, in order.
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8]));
}

/// No headers at all.
impl HeaderSource for () {
    fn values(&self, _name: &str, _each: &mut dyn FnMut(&[u8])) {}
}

/// Name and value pairs; names in lower case.
impl HeaderSource for [(String, String)] {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        for (_, value) in self.iter().filter(|(n, _)| n == name) {
            each(value.as_bytes());
        }
    }
}

impl HeaderSource for Vec<(String, String)> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.as_slice().values(name, each);
    }
}

/// The claims of a token whose signature, issuer and times were verified.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenClaims {
    /// `iss`.
    pub issuer: String,
    /// `sub`; a token without one has no request principal.
    pub subject: Option<String>,
    /// `aud`, a string taken as a list of one.
    pub audiences: Vec<String>,
    /// All claims, these included (`request.auth.claims[..]`, `azp`).
    pub claims: Map<String, Value>,
}
