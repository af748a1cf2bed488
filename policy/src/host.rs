//! The one spelling of a host (S-14): lower case, no trailing dot, no default port, A-labels only.
//!
//! Twelve ways to write a name must have one verdict, so a name is read once into a [`HostName`] and compared as that.
//! What cannot be read strictly (user information, percent escapes, non-ASCII, a zone, an empty label) is refused:
//! RFC 3986 §3.2.2 allows more than any app needs.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The longest host name taken, in bytes (RFC 1035 §2.3.4).
pub const MAX_HOST_BYTES: usize = 253;

/// A host with an optional port, canonical.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName {
    text: String,
    name_len: usize,
    port: Option<u16>,
    default_port: Option<u16>,
}

impl HostName {
    /// Reads an authority (`Host` header, `:authority`, a CONNECT target): `name[:port]`, an IPv4 address or a
    /// bracketed IPv6 one.
    ///
    /// `default_port` is the scheme's (80 for `http`, 443 for `https`); naming it is the same as naming none (RFC 3986
    /// §6.2.3).
    ///
    /// # Errors
    /// See [`HostError`]; each says what to write instead.
    pub fn parse(authority: &str, default_port: Option<u16>) -> Result<Self, HostError> {
        let (name, port) = split_port(authority)?;
        let mut text = canonical_name(name)?;
        let name_len = text.len();
        let port = port.filter(|port| Some(*port) != default_port);
        if let Some(port) = port {
            text.push_str(&format!(":{port}"));
        }
        Ok(Self { text, name_len, port, default_port })
    }

    /// The canonical form, `name` or `name:port`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name without its port.
    pub fn name(&self) -> &str {
        &self.text[..self.name_len]
    }

    /// The port, when it is not the default one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The port that is meant: the one written, else the default.
    pub fn effective_port(&self) -> Option<u16> {
        self.port.or(self.default_port)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a host was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No host at all.
    #[error("the host is empty")]
    Empty,
    /// Longer than [`MAX_HOST_BYTES`].
    #[error("the host is longer than 253 bytes")]
    TooLong,
    /// A character no host name has; user information and percent escapes are among them.
    #[error("the host holds {0:?}; names are letters, digits, '-', '_' and '.'")]
    Character(char),
    /// A non-ASCII name.
    #[error("the host is not ASCII; write the A-label form (xn--…)")]
    NotAscii,
    /// Two dots in a row, or a leading dot.
    #[error("the host has an empty label")]
    EmptyLabel,
    /// A label longer than 63 bytes (RFC 1035 §2.3.4).
    #[error("a label of the host is longer than 63 bytes")]
    LongLabel,
    /// A port that is no number from 1 to 65535, or has leading zeros.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// Brackets that hold no IPv6 address (zones are refused).
    #[error("the brackets do not hold an IPv6 address")]
    Ipv6,
}

/// Splits `name:port`; an empty port is no port (RFC 3986 §3.2.3).
fn split_port(authority: &str) -> Result<(&str, Option<u16>), HostError> {
    let after_name = match authority.strip_prefix('[') {
        Some(rest) => 1 + rest.find(']').ok_or(HostError::Ipv6)? + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (name, rest) = authority.split_at(after_name);
    let port = match rest.strip_prefix(':') {
        Some("") => None,
        Some(digits) => Some(parse_port(digits)?),
        None if rest.is_empty() => None,
        None => return Err(HostError::Ipv6),
    };
    Ok((name, port))
}

fn parse_port(digits: &str) -> Result<u16, HostError> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    match digits.parse() {
        Ok(port) if plain => Ok(port),
        _ => Err(HostError::Port),
    }
}

/// The canonical name without port.
fn canonical_name(name: &str) -> Result<String, HostError> {
    if let Some(inner) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| HostError::Ipv6)?;
        return Ok(canonical_address(IpAddr::V6(address)));
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    check_name(name)?;
    Ok(name.to_ascii_lowercase())
}

/// An address as a host: IPv4-mapped IPv6 is IPv4 (S-47), IPv6 is bracketed and compressed (RFC 5952).
fn canonical_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if !name.is_ascii() {
        return Err(HostError::NotAscii);
    }
    if name.len() > MAX_HOST_BYTES {
        return Err(HostError::TooLong);
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(c) = name.chars().find(|c| !allowed(c)) {
        return Err(HostError::Character(c));
    }
    for label in name.split('.') {
        match label.len() {
            0 => return Err(HostError::EmptyLabel),
            1..=63 => {}
            _ => return Err(HostError::LongLabel),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(authority: &str, expect: Result<&str, HostError>) {
        let found = HostName::parse(authority, Some(80));
        assert_eq!(found.as_ref().map(HostName::as_str), expect.as_ref().copied(), "{authority:?}");
    }

    #[test]
    fn s14_host_spelling_one_form() {
        for spelling in [
            "cart.shop",
            "CART.SHOP",
            "Cart.Shop",
            "cart.shop.",
            "CART.shop.",
            "cart.shop:80",
            "CART.SHOP:80",
            "cart.shop.:80",
            "cart.shop:",
            "cart.shop.:",
            "cArT.sHoP.:80",
            "CART.SHOP.",
        ] {
            check(spelling, Ok("cart.shop"));
        }
    }

    #[test]
    fn s14_host_spelling_table() {
        check("cart:8080", Ok("cart:8080"));
        check("cart:443", Ok("cart:443"));
        check("xn--bcher-kva.example", Ok("xn--bcher-kva.example"));
        check("10.0.0.1", Ok("10.0.0.1"));
        check("[::1]:8080", Ok("[::1]:8080"));
        check("[0:0::1]", Ok("[::1]"));
        check("[::FFFF:10.0.0.1]", Ok("10.0.0.1"));
        check("", Err(HostError::Empty));
        check(".", Err(HostError::Empty));
        check(":80", Err(HostError::Empty));
        check("cart..shop", Err(HostError::EmptyLabel));
        check("cart.shop..", Err(HostError::EmptyLabel));
        check(".shop", Err(HostError::EmptyLabel));
        check("bücher.example", Err(HostError::NotAscii));
        check("a@cart", Err(HostError::Character('@')));
        check("a/b@c", Err(HostError::Character('/')));
        check("cart%2e", Err(HostError::Character('%')));
        check("cart shop", Err(HostError::Character(' ')));
        check("cart\0", Err(HostError::Character('\0')));
        check("cart:0", Err(HostError::Port));
        check("cart:080", Err(HostError::Port));
        check("cart:+80", Err(HostError::Port));
        check("cart:65536", Err(HostError::Port));
        check("cart:80:80", Err(HostError::Port));
        check("[fe80::1%eth0]", Err(HostError::Ipv6));
        check("[::1", Err(HostError::Ipv6));
        check("[::1]x", Err(HostError::Ipv6));
        check(&"a".repeat(64), Err(HostError::LongLabel));
        check(&"a.".repeat(127), Ok(&"a.".repeat(127)[..253]));
        check(&"a.".repeat(128), Err(HostError::TooLong));
    }

    #[test]
    fn s14_host_spelling_ports() {
        let host = HostName::parse("cart:80", Some(80)).unwrap();
        assert_eq!((host.port(), host.effective_port()), (None, Some(80)));
        let host = HostName::parse("cart:8080", Some(80)).unwrap();
        assert_eq!((host.name(), host.port()), ("cart", Some(8080)));
    }
}
