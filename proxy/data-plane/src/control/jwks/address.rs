//! Which addresses may be called for keys (S-35): those of the outside, at ports that are none of our own.

use std::net::SocketAddr;

use identity::address::{self, IpNet, NotOutside};

/// Why an address is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ForbiddenEndpoint {
    /// Not for the world: loopback, link-local, metadata services and the like.
    #[error(
        "{0}; if the issuer is truly there, name the address in `tokens.allowAddresses` of the configuration"
    )]
    Address(NotOutside),
    /// A port of the proxy's own.
    #[error("its port is one of the proxy's own")]
    Port,
}

/// Whether all that a name was resolved to may be called. To be asked of the very addresses that are dialled.
///
/// # Errors
/// The address and [`ForbiddenEndpoint`]. The proxy's own ports stay forbidden whatever is allowed.
pub(super) fn check(
    resolved: &[SocketAddr],
    allowed: &[IpNet],
    is_own_port: impl Fn(u16) -> bool,
) -> Result<(), (SocketAddr, ForbiddenEndpoint)> {
    let own = |address: &&SocketAddr| is_own_port(address.port()) || address.port() == 0;
    if let Some(address) = resolved.iter().find(own) {
        return Err((*address, ForbiddenEndpoint::Port));
    }
    address::check_all(resolved, allowed)
        .map_err(|(address, reason)| (address, ForbiddenEndpoint::Address(reason)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn s35_ssrf_and_file_reads_addresses_and_own_ports() {
        let allowed = [address::parse_block("127.0.0.1").unwrap()];
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
            let check = |allowed: &[IpNet]| check(&resolved, allowed, |port| port == 15000).is_ok();
            assert_eq!(check(&[]), none, "{address}");
            assert_eq!(check(&allowed), some, "{address}, with exceptions");
        }
    }
}
