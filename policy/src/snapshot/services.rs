//! Which service a name or an address means.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use identity::TrustDomain;
use ipnet::IpNet;

use crate::resources::ServiceEntry;
use crate::service::CLUSTER_SUFFIX;
use crate::{EndpointAddress, Resources, Service, Workload};

/// The services a workload can see, by name and by address.
#[derive(Debug, Default)]
pub(super) struct Services {
    all: Vec<Arc<Service>>,
    /// In order of precedence: written names before short ones, the workload's own namespace before the root one.
    by_host: HashMap<Box<str>, Vec<Arc<Service>>>,
    by_address: HashMap<SocketAddr, Arc<Service>>,
    /// Blocks of addresses, the longest prefix first.
    by_block: Vec<(IpNet, Arc<Service>)>,
}

impl Services {
    /// Picks the entries that act on the workload: those of its namespace, then those of the root namespace (invariant 12).
    pub(super) fn new(
        resources: &Resources,
        workload: &Workload,
        trust_domain: &TrustDomain,
    ) -> Self {
        let of = |namespace: &str| -> Vec<&ServiceEntry> {
            resources
                .service_entries()
                .iter()
                .filter(|entry| **entry.namespace() == *namespace)
                .collect()
        };
        let mut entries = of(&workload.namespace);
        if workload.namespace != resources.root_namespace() {
            entries.extend(of(resources.root_namespace()));
        }
        let mut services = Self::default();
        for entry in &entries {
            services.add_entry(entry, trust_domain);
        }
        services.add_short_names(&workload.namespace, resources.root_namespace());
        services.add_endpoint_addresses();
        services.by_block.sort_by_key(|(block, _)| std::cmp::Reverse(block.prefix_len()));
        services.all.sort_by(|a, b| (&a.host, &a.namespace).cmp(&(&b.host, &b.namespace)));
        services
    }

    fn add_entry(&mut self, entry: &ServiceEntry, trust_domain: &TrustDomain) {
        for service in entry.services_in(trust_domain) {
            let service = Arc::new(service);
            self.by_host.entry((&*service.host).into()).or_default().push(Arc::clone(&service));
            for block in entry.addresses() {
                self.add_block(*block, &service);
            }
            self.all.push(service);
        }
    }

    /// A service's own address; a block of one address is looked up directly.
    fn add_block(&mut self, block: IpNet, service: &Arc<Service>) {
        if block.prefix_len() < block.max_prefix_len() {
            self.by_block.push((block, Arc::clone(service)));
            return;
        }
        for port in &service.ports {
            let address = SocketAddr::new(block.addr(), port.number);
            self.by_address.entry(address).or_insert_with(|| Arc::clone(service));
        }
    }

    /// Endpoint addresses come after all services' own ones: what a client meant by a shared address is the service.
    fn add_endpoint_addresses(&mut self) {
        for service in &self.all {
            for endpoint in &service.endpoints {
                let EndpointAddress::Ip(ip) = endpoint.address else { continue };
                for port in &service.ports {
                    let address = SocketAddr::new(ip, service.endpoint_port(endpoint, port));
                    self.by_address.entry(address).or_insert_with(|| Arc::clone(service));
                }
            }
        }
    }

    /// Cluster services answer to the short names a resolver's search list makes work: `cart` in its own namespace,
    /// `cart.shop` and `cart.shop.svc` everywhere.
    fn add_short_names(&mut self, own_namespace: &str, root_namespace: &str) {
        for service in &self.all {
            let Some(name) = cluster_name(service, root_namespace) else { continue };
            let mut names = vec![name.to_owned(), format!("{name}.svc")];
            if let Some((short, namespace)) = name.rsplit_once('.')
                && namespace == own_namespace
            {
                names.push(short.to_owned());
            }
            for name in names {
                self.by_host.entry(name.into()).or_default().push(Arc::clone(service));
            }
        }
    }

    pub(super) fn all(&self) -> &[Arc<Service>] {
        &self.all
    }

    pub(super) fn by_host(&self, host: &str, port: u16) -> Option<&Arc<Service>> {
        self.by_host.get(host)?.iter().find(|service| service.port(port).is_some())
    }

    pub(super) fn by_address(&self, address: SocketAddr) -> Option<&Arc<Service>> {
        let ip: IpAddr = address.ip().to_canonical();
        let exact = self.by_address.get(&SocketAddr::new(ip, address.port()));
        exact.or_else(|| {
            let fits = |(block, service): &&(IpNet, Arc<Service>)| {
                block.contains(&ip) && service.port(address.port()).is_some()
            };
            self.by_block.iter().find(fits).map(|(_, service)| service)
        })
    }
}

/// `cart.shop` of `cart.shop.svc.cluster.local`. A cluster's names may end with another domain: the root namespace is believed
/// that one does; anybody else's such host is a name like any other.
fn cluster_name<'a>(service: &'a Service, root_namespace: &str) -> Option<&'a str> {
    let name = service.host.strip_suffix(CLUSTER_SUFFIX);
    name.or_else(|| {
        let (name, _) = service.host.split_once(".svc.")?;
        let of_root = *service.namespace == *root_namespace;
        (of_root && name.matches('.').count() == 1).then_some(name)
    })
}
