//! Which addresses documents are fetched from (SECURITY-CASES S-35): one rule for token issuers, bundle endpoints and
//! whatever a redirect of theirs leads to.
//!
//! A host name can resolve to any address, so the address that is dialled is checked, after the look-up. Pure: nothing
//! is looked up here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use ipnet::IpNet;

/// Services that give out credentials to whoever asks from the machine. Only a setting that names the very address lets
/// one of them be called, no block that happens to hold it.
const METADATA: [IpAddr; 11] = [
    // AWS, Azure, Google Cloud, DigitalOcean and most others; AWS containers and pods.
    v4([169, 254, 169, 254]),
    v4([169, 254, 170, 2]),
    v4([169, 254, 170, 23]),
    // Azure's wire server, Alibaba Cloud, Oracle Cloud.
    v4([168, 63, 129, 16]),
    v4([100, 100, 100, 200]),
    v4([192, 0, 0, 192]),
    // AWS and its pods, Google Cloud, Scaleway over IPv6.
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]),
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]),
    // OpenStack over IPv6.
    v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
];

/// Why an address is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenAddress {
    /// Loopback, link-local, multicast, or no address of a host at all.
    #[error("it is an address of this machine, of its link or of nobody")]
    Local,
    /// A service that gives out credentials of the machine.
    #[error("it is a cloud's metadata service")]
    Metadata,
    /// A port of the program's own, or none.
    #[error("its port is one of the program's own")]
    OwnPort,
}

/// Which addresses a caller's fetches may go to.
#[derive(Clone, Copy)]
pub struct AddressPolicy<'a> {
    /// The exceptions that a setting names.
    pub allowed: &'a [IpNet],
    /// Whether a port is the program's own: never called, whatever is allowed.
    pub is_own_port: &'a (dyn Fn(u16) -> bool + Sync),
}

impl<'a> AddressPolicy<'a> {
    /// With these exceptions, for a program without ports that matter.
    #[must_use]
    pub fn with_exceptions(allowed: &'a [IpNet]) -> Self {
        Self { allowed, is_own_port: &|_| false }
    }

    /// Whether all that a name was resolved to may be called. To be asked of the very addresses that are dialled.
    ///
    /// # Errors
    /// The address, and why it is not called.
    pub fn check_all(&self, resolved: &[SocketAddr]) -> Result<(), (SocketAddr, ForbiddenAddress)> {
        let own = |address: &&SocketAddr| address.port() == 0 || (self.is_own_port)(address.port());
        match resolved.iter().find(own) {
            Some(address) => Err((*address, ForbiddenAddress::OwnPort)),
            None => check_all(resolved, self.allowed),
        }
    }
}

impl fmt::Debug for AddressPolicy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressPolicy").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

/// Whether an address, as the resolver gave it, may be called. `allowed` are the exceptions that a configuration names.
///
/// Private blocks (RFC 1918, RFC 4193, RFC 6598) may: that is where a cluster's own issuer and a partner behind a VPN
/// are.
///
/// # Errors
/// [`ForbiddenAddress`].
pub fn check(ip: IpAddr, allowed: &[IpNet]) -> Result<(), ForbiddenAddress> {
    let ip = plain(ip);
    let named = |whole: bool| {
        allowed.iter().any(|block| {
            block.contains(&ip) && (!whole || block.prefix_len() == block.max_prefix_len())
        })
    };
    if METADATA.contains(&ip) {
        return named(true).then_some(()).ok_or(ForbiddenAddress::Metadata);
    }
    (named(false) || is_outside(ip)).then_some(()).ok_or(ForbiddenAddress::Local)
}

/// As [`check`], for all addresses that a name resolves to: one forbidden address refuses the name.
///
/// # Errors
/// The address, and why it is not called.
pub fn check_all(
    resolved: &[SocketAddr],
    allowed: &[IpNet],
) -> Result<(), (SocketAddr, ForbiddenAddress)> {
    let refused =
        |address: &SocketAddr| check(address.ip(), allowed).err().map(|reason| (*address, reason));
    resolved.iter().find_map(refused).map_or(Ok(()), Err)
}

/// The blocks of this machine and its link, for settings that allow them all at once.
#[must_use]
pub fn local_blocks() -> Vec<IpNet> {
    let block = |ip: IpAddr, length| IpNet::new(ip, length).map(|block| block.trunc());
    let blocks = [
        block(v4([127, 0, 0, 0]), 8),
        block(v4([169, 254, 0, 0]), 16),
        block(Ipv6Addr::LOCALHOST.into(), 128),
        block(v6([0xfe80, 0, 0, 0, 0, 0, 0, 0]), 10),
    ];
    blocks.into_iter().filter_map(Result::ok).collect()
}

/// Reads an exception: `::1`, `127.0.0.1` or `10.1.0.0/16`.
///
/// # Errors
/// What to write; a block of fewer than 8 bits would disable the check.
pub fn parse_block(text: &str) -> Result<IpNet, &'static str> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    match text.parse::<IpNet>().or(address) {
        Ok(block) if block.prefix_len() >= 8 && block.trunc() == block => Ok(block),
        _ => Err("write an address, or a block such as 10.1.0.0/16, of at least 8 bits"),
    }
}

/// The IPv4 address that an IPv6 address carries, where it carries one: mapped (RFC 4291 §2.5.5.2), compatible, translated (RFC 2765 §2.1, RFC 6052),
/// 6to4 (RFC 3056).
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        v4([a, b, c, d])
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if g != 0 => embedded(g, h),
        [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => embedded(g, h),
        [0x2002, high, low, ..] => embedded(high, low),
        _ => IpAddr::V6(v6),
    }
}

fn is_outside(ip: IpAddr) -> bool {
    let special = match ip {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                // "This network" (RFC 1122 §3.2.1.3), protocol assignments (RFC 6890) and what is reserved (RFC 1112
                // §4).
                || v4.octets()[0] == 0
                || v4.octets()[..3] == [192, 0, 0]
                || v4.octets()[0] >= 240
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                // Deprecated site-local (RFC 3879).
                || v6.segments()[0] & 0xffc0 == 0xfec0
                // The discard block (RFC 6666), local translation (RFC 8215), Teredo (RFC 4380).
                || v6.segments()[0] == 0x100
                || v6.segments()[..3] == [0x64, 0xff9b, 1]
                || v6.segments()[..2] == [0x2001, 0]
        }
    };
    !special
}

const fn v4([a, b, c, d]: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn s35_ssrf_and_file_reads_addresses() {
        let allowed = ["127.0.0.1/32", "fe80::/16", "169.254.0.0/16", "168.63.129.16"]
            .map(|block| parse_block(block).unwrap());
        let local = local_blocks();
        for (address, none, some, here) in [
            ("93.184.216.34", true, true, true),
            ("10.0.0.1", true, true, true),
            ("192.168.1.1", true, true, true),
            ("172.16.0.1", true, true, true),
            ("100.64.0.1", true, true, true),
            ("fd00::1", true, true, true),
            ("2606:2800::1", true, true, true),
            ("127.0.0.1", false, true, true),
            ("127.0.0.2", false, false, true),
            ("127.255.255.255", false, false, true),
            ("0.0.0.0", false, false, false),
            ("0.1.2.3", false, false, false),
            ("169.254.1.1", false, true, true),
            ("224.0.0.1", false, false, false),
            ("240.0.0.1", false, false, false),
            ("255.255.255.255", false, false, false),
            ("192.0.0.8", false, false, false),
            ("::", false, false, false),
            ("::1", false, false, true),
            ("fe80::1", false, true, true),
            ("fec0::1", false, false, false),
            ("ff02::1", false, false, false),
            ("100::1", false, false, false),
            // Metadata: by its very address only.
            ("169.254.169.254", false, false, false),
            ("169.254.170.2", false, false, false),
            ("169.254.170.23", false, false, false),
            ("100.100.100.200", false, false, false),
            ("192.0.0.192", false, false, false),
            ("168.63.129.16", false, true, false),
            ("fd00:ec2::254", false, false, false),
            ("fd00:ec2::23", false, false, false),
            ("fd20:ce::254", false, false, false),
            ("fe80::a9fe:a9fe", false, false, false),
            // IPv4 addresses within IPv6 addresses.
            ("::ffff:127.0.0.1", false, true, true),
            ("::ffff:127.0.0.2", false, false, true),
            ("::ffff:169.254.169.254", false, false, false),
            ("::ffff:168.63.129.16", false, true, false),
            ("::127.0.0.2", false, false, true),
            ("::ffff:0:127.0.0.2", false, false, true),
            ("::ffff:0:a9fe:a9fe", false, false, false),
            ("64:ff9b::7f00:2", false, false, true),
            ("64:ff9b::a9fe:a9fe", false, false, false),
            ("64:ff9b::6464:64c8", false, false, false),
            ("64:ff9b::5db8:d822", true, true, true),
            ("64:ff9b:1::1", false, false, false),
            ("2002:7f00:2::1", false, false, true),
            ("2002:a83f:8110::1", false, true, false),
            ("2001:0:1::1", false, false, false),
        ] {
            let ip = address.parse().unwrap();
            assert_eq!(check(ip, &[]).is_ok(), none, "{address}");
            assert_eq!(check(ip, &allowed).is_ok(), some, "{address}, with exceptions");
            assert_eq!(check(ip, &local).is_ok(), here, "{address}, on this machine and its link");
        }
    }

    #[test]
    fn s35_ssrf_and_file_reads_one_forbidden_address_forbids_the_name() {
        let resolved = ["93.184.216.34:443", "168.63.129.16:443"].map(|text| text.parse().unwrap());
        assert_eq!(check_all(&resolved[..1], &[]), Ok(()));
        assert_eq!(check_all(&resolved, &[]), Err((resolved[1], ForbiddenAddress::Metadata)));
        assert_eq!(check_all(&resolved, &[resolved[1].ip().into()]), Ok(()));
    }

    #[test]
    fn s35_ssrf_and_file_reads_addresses_and_own_ports() {
        let allowed = [parse_block("127.0.0.1").unwrap()];
        for (address, none, some) in [
            ("93.184.216.34:443", true, true),
            ("10.0.0.1:443", true, true),
            ("127.0.0.1:443", false, true),
            ("127.0.0.2:443", false, false),
            ("168.63.129.16:443", false, false),
            ("[fd00:ec2::254]:443", false, false),
            ("93.184.216.34:15000", false, false),
            ("127.0.0.1:15000", false, false),
            ("93.184.216.34:0", false, false),
        ] {
            let resolved = ["93.184.216.34:443", address].map(|text| text.parse().unwrap());
            let check = |allowed: &[IpNet]| {
                let policy = AddressPolicy { allowed, is_own_port: &|port| port == 15000 };
                policy.check_all(&resolved).is_ok()
            };
            assert_eq!(check(&[]), none, "{address}");
            assert_eq!(check(&allowed), some, "{address}, with exceptions");
        }
    }

    #[test]
    fn exceptions_are_addresses_and_blocks() {
        for (text, expect) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("10.1.0.0/16", true),
            ("127.0.0.0/8", true),
            ("10.1.0.1/16", false),
            ("0.0.0.0/0", false),
            ("::/0", false),
            ("128.0.0.0/1", false),
            ("localhost", false),
            ("", false),
        ] {
            assert_eq!(parse_block(text).is_ok(), expect, "{text}");
        }
    }
}
