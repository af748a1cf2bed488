//! Blocks of addresses that a policy lists.

use std::net::IpAddr;

use crate::pattern::AddressPattern;

/// Addresses and CIDR blocks. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressBlocks(pub(crate) Vec<AddressPattern>);

impl AddressBlocks {
    /// True when the address lies in one of them; an IPv4-mapped IPv6 address is the IPv4 one.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|block| block.matches(address))
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of both.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let more = other.0.iter().filter(|block| !self.0.contains(block));
        Self(self.0.iter().chain(more).copied().collect())
    }
}
