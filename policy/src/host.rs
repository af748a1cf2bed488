//! The one spelling of a host (S-14): lower case, no trailing dot, no default port, A-labels only.
//!
//! Twelve ways to write a name must have one verdict, so a name is read once into a [`HostName`] and compared as that.
//! What cannot be read strictly (user information, percent escapes, non-ASCII, a zone, an empty label) is refused:
//! RFC 3986 §3.2.2 allows more than any app needs.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The longest host name taken, in bytes (RFC 1035 §2.3.4).
pub const MAX_HOST_BYTES: usize = 253;
/// The longest label, in bytes (RFC 1035 §2.3.4).
const MAX_LABEL_BYTES: usize = 63;

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
        // Room for the port, too: what was written is never shorter.
        let mut text = String::with_capacity(authority.len());
        push_canonical_name(&mut text, name)?;
        let name_len = text.len();
        let port = port.filter(|port| Some(port.number) != default_port);
        if let Some(port) = &port {
            text.push(':');
            text.push_str(port.digits);
        }
        Ok(Self { text, name_len, port: port.map(|port| port.number), default_port })
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

/// A port and its one spelling.
struct Port<'a> {
    number: u16,
    digits: &'a str,
}

/// Splits `name:port`; an empty port is no port (RFC 3986 §3.2.3).
fn split_port(authority: &str) -> Result<(&str, Option<Port<'_>>), HostError> {
    let find = |wanted: u8| authority.bytes().position(|byte| byte == wanted);
    let after_name = match authority.starts_with('[') {
        true => find(b']').ok_or(HostError::Ipv6)? + 1,
        false => find(b':').unwrap_or(authority.len()),
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

fn parse_port(digits: &str) -> Result<Port<'_>, HostError> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    match digits.parse() {
        Ok(number) if plain => Ok(Port { number, digits }),
        _ => Err(HostError::Port),
    }
}

/// Writes the canonical name without port.
fn push_canonical_name(text: &mut String, name: &str) -> Result<(), HostError> {
    if let Some(inner) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| HostError::Ipv6)?;
        text.push_str(&canonical_address(IpAddr::V6(address)));
        return Ok(());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if !is_valid_name(name) {
        return Err(fault(name));
    }
    text.push_str(name);
    text.make_ascii_lowercase();
    Ok(())
}

/// An address as a host: IPv4-mapped IPv6 is IPv4 (S-47), IPv6 is bracketed and compressed (RFC 5952).
fn canonical_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// Whether it is a name; in one pass, since every request has one.
fn is_valid_name(name: &str) -> bool {
    // The length of the label so far.
    let mut label = 0;
    for byte in name.bytes() {
        match byte {
            b'.' if label == 0 => return false,
            b'.' => label = 0,
            _ if !is_name_byte(byte) || label == MAX_LABEL_BYTES => return false,
            _ => label += 1,
        }
    }
    label > 0 && name.len() <= MAX_HOST_BYTES
}

fn is_name_byte(byte: u8) -> bool {
    const NAME: [bool; 256] = {
        let mut name = [false; 256];
        let mut byte = 0u8;
        while byte < 0x80 {
            name[byte as usize] =
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            byte += 1;
        }
        name
    };
    NAME[usize::from(byte)]
}

/// What is wrong with a name that is not valid.
fn fault(name: &str) -> HostError {
    if name.is_empty() {
        return HostError::Empty;
    }
    if !name.is_ascii() {
        return HostError::NotAscii;
    }
    if name.len() > MAX_HOST_BYTES {
        return HostError::TooLong;
    }
    if let Some(byte) = name.bytes().find(|byte| !is_name_byte(*byte)) {
        return HostError::Character(char::from(byte));
    }
    let long = name.split('.').find(|label| label.is_empty() || label.len() > MAX_LABEL_BYTES);
    match long {
        Some("") => HostError::EmptyLabel,
        _ => HostError::LongLabel,
    }
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
        check(&"a".repeat(63), Ok(&"a".repeat(63)));
        check(&"a".repeat(64), Err(HostError::LongLabel));
        // The first fault of several is told, by their order of weight.
        check(&format!("{}..", "a".repeat(64)), Err(HostError::LongLabel));
        check(&format!("a..{}", "a".repeat(64)), Err(HostError::EmptyLabel));
        check(&format!("{}@", "a.".repeat(128)), Err(HostError::TooLong));
        check(&format!("{}ü@", "a.".repeat(128)), Err(HostError::NotAscii));
        check("a..b@c", Err(HostError::Character('@')));
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

    /// What RFC 3986 and RFC 1035 say of a name, told without a care for speed.
    fn is_name(name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        let mut labels = name.split('.');
        name.len() <= MAX_HOST_BYTES
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && labels.all(|label| (1..=63).contains(&label.len()))
    }

    proptest::proptest! {
        #[test]
        fn any_host_reads_as_the_rules_say(
            any in ".{0,12}",
            near in "[a-cA-C.@ü_-]{0,10}",
            long in "([a-z]{61,65}[.]?){1,5}",
        ) {
            for name in [any, near, long] {
                let expect = !name.contains([':', '[', ']']) && is_name(&name);
                let host = HostName::parse(&name, Some(80));
                if !name.contains([':', '[', ']']) {
                    proptest::prop_assert_eq!(host.is_ok(), expect, "{}", name);
                }
                if let Ok(host) = host {
                    // One spelling: what was read reads the same again.
                    let again = HostName::parse(host.as_str(), Some(80));
                    proptest::prop_assert_eq!(again.as_ref(), Ok(&host));
                    proptest::prop_assert_eq!(host.as_str(), host.as_str().to_ascii_lowercase());
                }
            }
        }
    }
}
