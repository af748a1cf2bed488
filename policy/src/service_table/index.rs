//! Under which names and addresses a service is found, and which of two comes first.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use identity::TrustDomain;
use ipnet::IpNet;

use super::{ServiceTable, View};
use crate::resources::ServiceEntry;
use crate::service::CLUSTER_SUFFIX;
use crate::{EndpointAddress, Service};

/// Which of two entries comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryOrder {
    /// Of another namespace than the workload's: the root namespace.
    pub(super) is_foreign: bool,
    /// Its place in a set that was read at once.
    pub(super) position: usize,
    pub(super) name: Arc<str>,
}

/// Why a service is found under a name or an address, the better reason first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// It is the service's own.
    Own,
    /// A short name, or the address of an endpoint: what a client meant by a shared one is the service that owns it.
    Derived,
}

/// Which of two claims to a name or an address comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    reason: Reason,
    entry: Arc<EntryOrder>,
    /// The place of the service among those of its entry.
    host: usize,
}

/// The services that are found under one name or address, in order of precedence.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Arc<[(Rank, Arc<Service>)]>);

impl Claims {
    pub(super) fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.0.iter().map(|(_, service)| service)
    }

    fn with(&self, rank: Rank, service: &Arc<Service>) -> Self {
        let mut claims = self.0.to_vec();
        if let Err(at) = claims.binary_search_by(|(known, _)| known.cmp(&rank)) {
            claims.insert(at, (rank, Arc::clone(service)));
        }
        Self(claims.into())
    }

    /// Without those of an entry; `None` when nobody is left.
    fn without(&self, entry: &EntryOrder) -> Option<Self> {
        let left = self.0.iter().filter(|(rank, _)| *rank.entry != *entry);
        let left: Arc<[_]> = left.cloned().collect();
        (!left.is_empty()).then_some(Self(left))
    }
}

/// Where a service stands in the list of all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListKey {
    host: Arc<str>,
    namespace: Arc<str>,
    entry: Arc<EntryOrder>,
}

/// A block of addresses of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlockKey {
    prefix: Reverse<u8>,
    rank: Rank,
    block: IpNet,
}

impl BlockKey {
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        self.block.contains(&ip)
    }
}

/// A ServiceEntry as it is in the table.
#[derive(Debug)]
pub(super) struct Located {
    order: Arc<EntryOrder>,
    entry: ServiceEntry,
    services: Vec<Arc<Service>>,
}

impl Located {
    /// A service that says what it said in `before` stays the same value.
    pub(super) fn new(
        order: EntryOrder,
        entry: &ServiceEntry,
        trust_domain: &TrustDomain,
        before: Option<&Self>,
    ) -> Self {
        let known = |service: &Service| {
            let before = before.into_iter().flat_map(|before| &before.services);
            before.into_iter().find(|known| ***known == *service).cloned()
        };
        let services = entry.services_in(trust_domain).into_iter();
        let services = services.map(|service| known(&service).unwrap_or_else(|| service.into()));
        let services = services.collect();
        Self { order: Arc::new(order), entry: entry.clone(), services }
    }

    pub(super) fn says_same(&self, order: &EntryOrder, entry: &ServiceEntry) -> bool {
        *self.order == *order && self.entry == *entry
    }

    fn rank(&self, reason: Reason, host: usize) -> Rank {
        Rank { reason, entry: Arc::clone(&self.order), host }
    }

    fn list_key(&self, service: &Service) -> ListKey {
        ListKey {
            host: Arc::clone(&service.host),
            namespace: Arc::clone(&service.namespace),
            entry: Arc::clone(&self.order),
        }
    }

    /// The names of each service.
    fn names(&self, view: &View) -> Vec<(Arc<str>, Rank, &Arc<Service>)> {
        let mut names = Vec::new();
        for (host, service) in self.services.iter().enumerate() {
            names.push((Arc::clone(&service.host), self.rank(Reason::Own, host), service));
            for name in short_names(service, view) {
                names.push((name.into(), self.rank(Reason::Derived, host), service));
            }
        }
        names
    }

    /// The single addresses of each service: its own, and those of its endpoints.
    fn addresses(&self) -> Vec<(SocketAddr, Rank, &Arc<Service>)> {
        let mut addresses = Vec::new();
        let single = self.entry.addresses().iter().filter(|block| is_single(block));
        let single: Vec<IpAddr> = single.map(IpNet::addr).collect();
        for (host, service) in self.services.iter().enumerate() {
            for port in &service.ports {
                let own = single.iter().map(|ip| SocketAddr::new(*ip, port.number));
                addresses.extend(own.map(|at| (at, self.rank(Reason::Own, host), service)));
                for endpoint in &service.endpoints {
                    let EndpointAddress::Ip(ip) = endpoint.address else { continue };
                    let at = SocketAddr::new(ip, service.endpoint_port(endpoint, port));
                    addresses.push((at, self.rank(Reason::Derived, host), service));
                }
            }
        }
        addresses
    }

    fn blocks(&self) -> Vec<(BlockKey, &Arc<Service>)> {
        let blocks = self.entry.addresses().iter().filter(|block| !is_single(block));
        let of = |block: &IpNet| {
            let (block, prefix) = (*block, Reverse(block.prefix_len()));
            let services = self.services.iter().enumerate();
            services.map(move |(host, service)| {
                let rank = self.rank(Reason::Own, host);
                (BlockKey { prefix, rank, block }, service)
            })
        };
        blocks.flat_map(of).collect()
    }
}

impl ServiceTable {
    pub(super) fn link(&mut self, located: &Located) {
        for (name, rank, service) in located.names(&self.view) {
            let claims = self.by_host.get(&name).cloned().unwrap_or_default();
            self.by_host.insert_mut(name, claims.with(rank, service));
        }
        for (address, rank, service) in located.addresses() {
            let claims = self.by_address.get(&address).cloned().unwrap_or_default();
            self.by_address.insert_mut(address, claims.with(rank, service));
        }
        for (key, service) in located.blocks() {
            self.by_block.insert_mut(key, Arc::clone(service));
        }
        for service in &located.services {
            let key = located.list_key(service);
            if self.view.own_id.as_ref().is_some_and(|id| service.identities.contains(id)) {
                self.own.insert_mut(key.clone(), Arc::clone(service));
            }
            self.all.insert_mut(key, Arc::clone(service));
        }
    }

    pub(super) fn unlink(&mut self, located: &Located) {
        for (name, _, _) in located.names(&self.view) {
            match self.by_host.get(&name).and_then(|claims| claims.without(&located.order)) {
                Some(left) => self.by_host.insert_mut(name, left),
                None => drop(self.by_host.remove_mut(&name)),
            }
        }
        for (address, _, _) in located.addresses() {
            match self.by_address.get(&address).and_then(|claims| claims.without(&located.order)) {
                Some(left) => self.by_address.insert_mut(address, left),
                None => drop(self.by_address.remove_mut(&address)),
            }
        }
        for (key, _) in located.blocks() {
            self.by_block.remove_mut(&key);
        }
        for service in &located.services {
            let key = located.list_key(service);
            self.own.remove_mut(&key);
            self.all.remove_mut(&key);
        }
    }
}

fn is_single(block: &IpNet) -> bool {
    block.prefix_len() == block.max_prefix_len()
}

/// Cluster services answer to the short names a resolver's search list makes work: `cart` in its own namespace,
/// `cart.shop` and `cart.shop.svc` everywhere.
fn short_names(service: &Service, view: &View) -> Vec<String> {
    let Some(name) = cluster_name(service, &view.root_namespace) else { return Vec::new() };
    let mut names = vec![name.to_owned(), format!("{name}.svc")];
    if let Some((short, namespace)) = name.rsplit_once('.')
        && *namespace == *view.namespace
    {
        names.push(short.to_owned());
    }
    names
}

/// `cart.shop` of `cart.shop.svc.cluster.local`. A cluster's names may end with another domain: the root namespace is believed
/// that one does; anybody else's such host is a name like any other.
/// `NAME.NAMESPACE` of a service of the cluster, whatever the cluster's domain is.
pub(super) fn cluster_name<'a>(service: &'a Service, root_namespace: &str) -> Option<&'a str> {
    let name = service.host.strip_suffix(CLUSTER_SUFFIX);
    name.or_else(|| {
        let (name, _) = service.host.split_once(".svc.")?;
        let of_root = *service.namespace == *root_namespace;
        (of_root && name.matches('.').count() == 1).then_some(name)
    })
}
