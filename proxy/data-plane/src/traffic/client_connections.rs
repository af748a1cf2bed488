//! How many connections each client's address has open at a gateway.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The open connections by address, shared by all workers. An address is here only while it has connections, so there are
/// never more than `limits.connections` entries.
#[derive(Debug, Default)]
pub(crate) struct ClientConnections(Mutex<HashMap<IpAddr, u32>>);

/// A connection that is counted until this is dropped.
pub(crate) struct CountedConnection {
    of: Arc<ClientConnections>,
    address: IpAddr,
}

impl ClientConnections {
    /// Counts a connection; `None`: its address has as many as it may.
    pub(crate) fn begin(self: &Arc<Self>, client: IpAddr, most: u32) -> Option<CountedConnection> {
        let address = network(client);
        let mut open = self.0.lock();
        let count = open.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(CountedConnection { of: self.clone(), address })
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let mut open = self.of.0.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// A client of IPv6 has a whole /64 to itself (RFC 6177), so that is one client.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn s47_addresses_are_counted_by_client_and_ipv6_by_network() {
        let clients = Arc::new(ClientConnections::default());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let one = clients.begin(ip("192.0.2.1"), 2).unwrap();
        let two = clients.begin(ip("::ffff:192.0.2.1"), 2).unwrap();
        assert!(clients.begin(ip("192.0.2.1"), 2).is_none());
        assert!(clients.begin(ip("192.0.2.2"), 2).is_some());
        drop(one);
        let _again = clients.begin(ip("192.0.2.1"), 2).unwrap();
        let _v6 = clients.begin(ip("2001:db8::1"), 1).unwrap();
        assert!(clients.begin(ip("2001:db8::ffff"), 1).is_none());
        assert!(clients.begin(ip("2001:db8:0:1::1"), 1).is_some());
        drop(two);
        assert_eq!(clients.0.lock().len(), 2);
    }
}
