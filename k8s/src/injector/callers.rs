//! How many connections each address has. Nobody but the API server calls the webhook, yet it shows no certificate:
//! without a limit one pod could hold every place, and no pod of a labelled namespace would be created any more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// The connections at a time of one address.
const MOST: usize = 256;

/// Connections by address.
#[derive(Debug, Default)]
pub(super) struct Callers(Mutex<HashMap<IpAddr, usize>>);

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    callers: Arc<Callers>,
    address: IpAddr,
}

impl Callers {
    /// A place for one more connection of an address, if it may have one.
    pub(super) fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut callers = self.0.lock();
        let open = callers.entry(address).or_default();
        (*open < MOST).then(|| {
            *open += 1;
            Place { callers: self.clone(), address }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut callers = self.callers.0.lock();
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
        let callers = Arc::new(Callers::default());
        let one = IpAddr::from([10, 0, 0, 1]);
        let mut places: Vec<_> = std::iter::repeat_with(|| callers.place(one)).take(MOST).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(callers.place(one).is_none(), "it has what it may have");
        let mapped = IpAddr::from(std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        assert!(callers.place(mapped).is_none(), "the same address, written as IPv6");
        assert!(callers.place(IpAddr::from([10, 0, 0, 2])).is_some(), "another has its own");
        places.pop();
        assert!(callers.place(one).is_some(), "an ended one makes room");
        drop(places);
        assert!(callers.0.lock().is_empty(), "nothing is kept of who is gone");
    }
}
