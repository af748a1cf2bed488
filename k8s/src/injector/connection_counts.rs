//! How many connections each address has. Nobody but the API server calls the webhook, yet it shows no certificate:
//! without a limit one pod could hold every connection, and no pod of a labelled namespace would be created any more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// The connections at a time of one address.
const MOST: usize = 256;

/// Connections by address.
#[derive(Debug, Default)]
pub(super) struct ConnectionCounts(Mutex<HashMap<IpAddr, usize>>);

/// One counted connection; dropping it ends the count.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    counts: Arc<ConnectionCounts>,
    address: IpAddr,
}

impl ConnectionCounts {
    /// Counts one more connection of an address, if it may have one.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionSlot> {
        let address = address.to_canonical();
        let mut callers = self.0.lock();
        let open = callers.entry(address).or_default();
        (*open < MOST).then(|| {
            *open += 1;
            ConnectionSlot { counts: self.clone(), address }
        })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut callers = self.counts.0.lock();
        if let Some(open) = callers.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                callers.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s33_ca_dos_one_address_cannot_take_every_place() {
        let counts = Arc::new(ConnectionCounts::default());
        let one = IpAddr::from([10, 0, 0, 1]);
        let mut places: Vec<_> = std::iter::repeat_with(|| counts.admit(one)).take(MOST).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(counts.admit(one).is_none(), "it has what it may have");
        let mapped = IpAddr::from(std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        assert!(counts.admit(mapped).is_none(), "the same address, written as IPv6");
        assert!(counts.admit(IpAddr::from([10, 0, 0, 2])).is_some(), "another has its own");
        places.pop();
        assert!(counts.admit(one).is_some(), "an ended one makes room");
        drop(places);
        assert!(counts.0.lock().is_empty(), "nothing is kept of who is gone");
    }
}
