//! IP blocks.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::PatternError;

/// An address or CIDR block. IPv4-mapped IPv6 blocks are IPv4 blocks (S-47).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressPattern(IpNet);

impl AddressPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let block = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse().map_err(|_| {
                PatternError::from("write an address (10.0.0.7) or a block (10.0.0.0/8)")
            })?,
        };
        Ok(Self(unmapped(block)))
    }

    /// True when the address, already canonical, lies in the block.
    pub(crate) fn matches(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// The block.
    pub(crate) fn block(&self) -> IpNet {
        self.0
    }
}

/// `::ffff:a.b.c.d/96+n` is `a.b.c.d/n`.
fn unmapped(block: IpNet) -> IpNet {
    let IpNet::V6(v6) = block else { return block };
    let mapped = v6.addr().to_ipv4_mapped();
    let prefix = v6.prefix_len().checked_sub(96);
    match mapped.zip(prefix).map(|(address, prefix)| Ipv4Net::new(address, prefix)) {
        Some(Ok(v4)) => IpNet::V4(v4),
        _ => block,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn s47_addresses_one_verdict() {
        for (pattern, address, expect) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "::ffff:11.1.2.3", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.7/8", "10.9.9.9", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "10.0.0.1", false),
            ("::/0", "10.0.0.1", false),
            ("0.0.0.0/0", "::ffff:1.1.1.1", true),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let found = AddressPattern::parse(pattern).unwrap().matches(address.to_canonical());
            assert_eq!(found, expect, "{pattern} {address}");
        }
        for refused in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "fe80::1%eth0", "*", "010.0.0.1"]
        {
            assert!(AddressPattern::parse(refused).is_err(), "{refused}");
        }
    }
}
