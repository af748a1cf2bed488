//! Which addresses may be called for keys (S-35): a resource names hosts, and a host can be made to mean any address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// Why an address is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Forbidden {
    /// Not for the world: loopback, link-local, metadata services and the like.
    #[error(
        "it is not an address of the outside; if the issuer is truly there, name it in `tokens.allowAddresses` of the configuration"
    )]
    Address,
    /// A port of the proxy's own.
    #[error("its port is one of the proxy's own")]
    Port,
}

/// Services that give out credentials to whoever asks from the machine, outside of the link-local blocks.
const METADATA: [IpAddr; 4] = [
    // Alibaba Cloud, Oracle Cloud, Azure, AWS over IPv6.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Whether an address, as the resolver gave it, may be called. To be asked of the very address that is dialled.
///
/// Private blocks (RFC 1918, RFC 4193) may: that is where a cluster's own issuer is.
///
/// # Errors
/// [`Forbidden`]. The proxy's own ports stay forbidden whatever is allowed.
pub(super) fn check(
    address: SocketAddr,
    allowed: &[IpNet],
    is_own_port: impl Fn(u16) -> bool,
) -> Result<(), Forbidden> {
    if is_own_port(address.port()) || address.port() == 0 {
        return Err(Forbidden::Port);
    }
    let ip = plain(address.ip());
    let named = allowed.iter().any(|block| block.contains(&ip));
    if named || is_outside(ip) { Ok(()) } else { Err(Forbidden::Address) }
}

/// An IPv4 address in IPv6 clothes, undressed: mapped (RFC 4291 §2.5.5.2), compatible, translated (RFC 6052), 6to4 (RFC 3056).
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if g != 0 => v4(g, h),
        [0x64, 0xff9b, 0, 0, 0, 0] => v4(g, h),
        [0x2002, high, low, ..] => v4(high, low),
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
                // "This network" (RFC 1122 §3.2.1.3) and what is reserved (RFC 1112 §4).
                || v4.octets()[0] == 0
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
    !special && !METADATA.contains(&ip)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn s35_ssrf_and_file_reads_addresses() {
        let allowed = ["127.0.0.1/32", "fe80::/16"].map(|block| block.parse().unwrap());
        let inside = |n| n == 15000;
        for (address, none, some) in [
            ("93.184.216.34:443", true, true),
            ("10.0.0.1:443", true, true),
            ("192.168.1.1:8443", true, true),
            ("[fd00::1]:443", true, true),
            ("[2606:2800::1]:443", true, true),
            ("127.0.0.1:443", false, true),
            ("127.0.0.2:443", false, false),
            ("0.0.0.0:443", false, false),
            ("0.1.2.3:443", false, false),
            ("169.254.169.254:443", false, false),
            ("100.100.100.200:443", false, false),
            ("192.0.0.192:443", false, false),
            ("168.63.129.16:443", false, false),
            ("224.0.0.1:443", false, false),
            ("240.0.0.1:443", false, false),
            ("255.255.255.255:443", false, false),
            ("[::]:443", false, false),
            ("[::1]:443", false, false),
            ("[fe80::1]:443", false, true),
            ("[fec0::1]:443", false, false),
            ("[ff02::1]:443", false, false),
            ("[fd00:ec2::254]:443", false, false),
            ("[::ffff:127.0.0.1]:443", false, true),
            ("[::ffff:127.0.0.2]:443", false, false),
            ("[::ffff:169.254.169.254]:443", false, false),
            ("[::127.0.0.2]:443", false, false),
            ("[64:ff9b::7f00:2]:443", false, false),
            ("[64:ff9b::a9fe:a9fe]:443", false, false),
            ("[64:ff9b::5db8:d822]:443", true, true),
            ("[64:ff9b:1::1]:443", false, false),
            ("[2002:7f00:2::1]:443", false, false),
            ("[2001:0:1::1]:443", false, false),
            ("93.184.216.34:15000", false, false),
            ("127.0.0.1:15000", false, false),
            ("93.184.216.34:0", false, false),
        ] {
            let parsed: SocketAddr = address.parse().unwrap();
            assert_eq!(check(parsed, &[], inside).is_ok(), none, "{address}");
            assert_eq!(check(parsed, &allowed, inside).is_ok(), some, "{address}, with exceptions");
        }
    }
}
