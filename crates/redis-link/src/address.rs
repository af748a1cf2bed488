//! Where a store is: `HOST:PORT`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls_pki_types::ServerName;

/// The longest host, characters: that of DNS (RFC 1035 §2.3.4).
const LONGEST_HOST: usize = 253;

/// A host, by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreAddress {
    host: Arc<str>,
    port: u16,
}

/// What is no address of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of a store: write HOST:PORT, [IPV6]:PORT for an IPv6 address")]
pub struct AddressError(String);

impl StoreAddress {
    /// The host, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address that a node of a Cluster redirects to. An empty host is that of the node that said it (the
    /// specification of Redis Cluster, "MOVED Redirection").
    pub(crate) fn redirected(&self, to: &str) -> Option<Self> {
        let (host, port) = to.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        match host {
            "" => Some(Self { host: Arc::clone(&self.host), port }),
            // IPv6 addresses come without brackets here.
            host => host_of(host).map(|host| Self { host: host.into(), port }),
        }
    }
}

impl FromStr for StoreAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| AddressError(text.chars().take(LONGEST_HOST).collect()))
    }
}

fn parse(text: &str) -> Option<StoreAddress> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']').filter(|host| host.contains(':'))?,
        None => Some(host).filter(|host| !host.contains(':'))?,
    };
    host_of(host).map(|host| StoreAddress { host: host.into(), port })
}

/// A DNS name or an IP address, and nothing else.
fn host_of(text: &str) -> Option<&str> {
    let named = text.len() <= LONGEST_HOST && ServerName::try_from(text).is_ok();
    named.then_some(text)
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(to, "[{}]:{}", self.host, self.port),
            false => write!(to, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for (name, text, expect) in [
            ("a name", "redis.infra:6379", Some("redis.infra:6379")),
            ("IPv4", "127.0.0.1:1", Some("127.0.0.1:1")),
            ("IPv6", "[::1]:6379", Some("[::1]:6379")),
            ("IPv6 without brackets", "::1:6379", None),
            ("a name in brackets", "[redis]:6379", None),
            ("no port", "redis", None),
            ("port zero", "redis:0", None),
            ("a port that is none", "redis:65536", None),
            ("no host", ":6379", None),
            ("a URL", "redis://redis:6379", None),
            ("a space", "re dis:6379", None),
        ] {
            let found = text.parse::<StoreAddress>().ok().map(|address| address.to_string());
            assert_eq!(found.as_deref(), expect, "{name}");
        }
    }

    #[test]
    fn addresses_as_nodes_say_them() {
        let asked = StoreAddress { host: "10.0.0.1".into(), port: 6379 };
        for (name, text, expect) in [
            ("another node", "10.0.0.2:6380", Some("10.0.0.2:6380")),
            ("IPv6, bare", "fd00::2:6380", Some("[fd00::2]:6380")),
            ("the same host", ":6381", Some("10.0.0.1:6381")),
            ("unknown", "?:6381", None),
            ("nothing", "", None),
        ] {
            let found = asked.redirected(text).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expect, "{name}");
        }
    }
}
