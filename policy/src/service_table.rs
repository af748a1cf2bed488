//! Where a name or an address leads: the services one workload can see.
//!
//! A table is immutable once it is shared. Its copies share whatever has not changed, so that one service among ten
//! thousand is replaced at the cost of that service, and whoever holds the [`Arc`] of another one holds it still.

mod index;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use identity::{SpiffeId, TrustDomain};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use crate::resources::ServiceEntry;
use crate::service::CLUSTER_SUFFIX;
use crate::{Resources, Service, Workload};
use index::{BlockKey, Claims, EntryOrder, ListKey, Located};

/// The services a workload can see, by name and by address.
///
/// Cloning takes constant time; [`ServiceTable::set`] takes time in proportion to the one entry.
#[derive(Debug, Clone)]
pub struct ServiceTable {
    view: Arc<View>,
    version: u64,
    /// What is in the table, by `namespace/name` of the ServiceEntry.
    entries: HashTrieMapSync<Arc<str>, Arc<Located>>,
    /// In order of precedence: written names before short ones, the workload's own namespace before the root one.
    by_host: HashTrieMapSync<Arc<str>, Claims>,
    /// In order of precedence: a service's own address before the address of one of its endpoints.
    by_address: HashTrieMapSync<SocketAddr, Claims>,
    /// Blocks of addresses, the longest prefix first.
    by_block: RedBlackTreeMapSync<BlockKey, Arc<Service>>,
    /// Every service, by host.
    all: RedBlackTreeMapSync<ListKey, Arc<Service>>,
    /// Those among them that the workload's own identity may answer for.
    own: RedBlackTreeMapSync<ListKey, Arc<Service>>,
}

/// For whom the table is.
#[derive(Debug)]
struct View {
    namespace: Arc<str>,
    root_namespace: Arc<str>,
    trust_domain: TrustDomain,
    own_id: Option<SpiffeId>,
    /// Whether it is a gateway's.
    of_gateway: bool,
}

impl View {
    /// An entry acts on the clients of its own namespace, one of the root namespace on all (invariant 12). A gateway asks for
    /// nothing but backends of routes, by the names of Services; only a Service's own namespace can define such a name, and
    /// whether a route may send there is for ReferenceGrants to say.
    fn sees(&self, entry: &ServiceEntry) -> bool {
        self.of_gateway
            || **entry.namespace() == *self.namespace
            || **entry.namespace() == *self.root_namespace
    }

    /// `position` tells entries of one namespace apart before their names do.
    fn order(&self, entry: &ServiceEntry, position: usize) -> EntryOrder {
        let is_foreign = *entry.namespace() != self.namespace;
        EntryOrder { is_foreign, position, name: Arc::clone(entry.name()) }
    }
}

impl ServiceTable {
    /// An empty table for `workload`.
    ///
    /// `trust_domain` is the workload's own: service accounts of endpoints get their identities in it.
    pub fn new(workload: &Workload, root_namespace: &str, trust_domain: &TrustDomain) -> Self {
        Self::empty(workload, root_namespace, trust_domain, false)
    }

    /// The same for a gateway, which sees the services of every namespace.
    pub fn of_gateway(
        workload: &Workload,
        root_namespace: &str,
        trust_domain: &TrustDomain,
    ) -> Self {
        Self::empty(workload, root_namespace, trust_domain, true)
    }

    fn empty(
        workload: &Workload,
        root_namespace: &str,
        trust_domain: &TrustDomain,
        of_gateway: bool,
    ) -> Self {
        let Workload { namespace, service_account, .. } = workload;
        let view = View {
            namespace: namespace.as_str().into(),
            root_namespace: root_namespace.into(),
            trust_domain: trust_domain.clone(),
            own_id: SpiffeId::workload(trust_domain, namespace, service_account).ok(),
            of_gateway,
        };
        Self {
            view: Arc::new(view),
            version: 0,
            entries: HashTrieMapSync::new_sync(),
            by_host: HashTrieMapSync::new_sync(),
            by_address: HashTrieMapSync::new_sync(),
            by_block: RedBlackTreeMapSync::new_sync(),
            all: RedBlackTreeMapSync::new_sync(),
            own: RedBlackTreeMapSync::new_sync(),
        }
    }

    /// The table of what `resources` say.
    pub fn build(resources: &Resources, workload: &Workload, trust_domain: &TrustDomain) -> Self {
        let mut table = Self::new(workload, resources.root_namespace(), trust_domain);
        table.replace_all(resources);
        table
    }

    /// Puts the ServiceEntries of `resources` in place of all that is in the table. A service that says the same as before
    /// stays the same [`Arc`].
    pub fn replace_all(&mut self, resources: &Resources) {
        let entries = resources.service_entries();
        let named: std::collections::HashSet<&Arc<str>> =
            entries.iter().map(ServiceEntry::name).collect();
        let gone: Vec<Arc<str>> =
            self.entries.keys().filter(|name| !named.contains(name)).cloned().collect();
        gone.iter().for_each(|name| self.replace(name, None));
        for (position, entry) in entries.iter().enumerate() {
            self.put(entry, position);
        }
    }

    /// Puts an entry in place of what the table holds under its name. Entries that were put one by one are in order by name.
    pub fn set(&mut self, entry: &ServiceEntry) {
        self.put(entry, 0);
    }

    /// Takes the entry of this name (`namespace/name`) out.
    pub fn remove(&mut self, name: &str) {
        self.replace(name, None);
    }

    fn put(&mut self, entry: &ServiceEntry, position: usize) {
        if !self.view.sees(entry) {
            return self.replace(entry.name(), None);
        }
        let order = self.view.order(entry, position);
        let before = self.entries.get(entry.name());
        if before.is_some_and(|before| before.says_same(&order, entry)) {
            return;
        }
        let now = Located::new(order, entry, &self.view.trust_domain, before.map(|old| &**old));
        self.replace(entry.name(), Some(Arc::new(now)));
    }

    fn replace(&mut self, name: &str, now: Option<Arc<Located>>) {
        let before = self.entries.get(name).cloned();
        if before.is_none() && now.is_none() {
            return;
        }
        self.version += 1;
        if let Some(before) = before {
            self.unlink(&before);
            self.entries.remove_mut(name);
        }
        if let Some(now) = now {
            self.link(&now);
            self.entries.insert_mut(name.into(), now);
        }
    }

    /// Grows with each change of the table and of those that are made of it: two of one line with the same version say the
    /// same.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The service a client means by `host` (canonical name, without port) and port; short names of cluster services are
    /// understood.
    pub fn by_host(&self, host: &str, port: u16) -> Option<&Arc<Service>> {
        self.by_host.get(host)?.services().find(|service| service.port(port).is_some())
    }

    /// The host by which routes, DestinationRules and faults know a service: that of a Service of the cluster ends with
    /// `.svc.cluster.local` for them, whatever the cluster's domain is.
    pub fn resource_host<'a>(&self, service: &'a Service) -> Cow<'a, str> {
        match index::cluster_name(service, &self.view.root_namespace) {
            Some(name) if !service.host.ends_with(CLUSTER_SUFFIX) => {
                Cow::Owned(format!("{name}{CLUSTER_SUFFIX}"))
            }
            _ => Cow::Borrowed(&service.host),
        }
    }

    /// The service that a route's backend means by `host`, which it writes with `.svc.cluster.local`: the name to look up,
    /// which every cluster's own domain has, too.
    pub fn backend_name<'h>(&self, host: &'h str, port: u16) -> &'h str {
        let short = || host.strip_suffix(".cluster.local").filter(|short| short.ends_with(".svc"));
        if self.by_host(host, port).is_some() { host } else { short().unwrap_or(host) }
    }

    /// The services that are written under this very host, on whatever port.
    pub fn named<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Arc<Service>> {
        let claims = self.by_host.get(host).into_iter().flat_map(Claims::services);
        claims.filter(move |service| *service.host == *host)
    }

    /// The service behind an address a client dialled: a service's own address, or one of its endpoints.
    pub fn by_address(&self, address: SocketAddr) -> Option<&Arc<Service>> {
        let ip: IpAddr = address.ip().to_canonical();
        let exact = self.by_address.get(&SocketAddr::new(ip, address.port()));
        exact.and_then(|claims| claims.services().next()).or_else(|| {
            let fits = |(key, service): &(&BlockKey, &Arc<Service>)| {
                key.contains(ip) && service.port(address.port()).is_some()
            };
            self.by_block.iter().find(fits).map(|(_, service)| service)
        })
    }

    /// Every service the workload can see, by host.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.all.values()
    }

    /// How many services there are.
    pub fn len(&self) -> usize {
        self.all.size()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first service, by host, that the workload's own identity may answer for.
    pub fn own(&self) -> Option<&Arc<Service>> {
        self.own.values().next()
    }
}

#[cfg(test)]
mod tests;
