//! What a destination means to a client: `host:port` or `ip:port`, asked from a namespace. A `host` alone means any of its ports.
//!
//! Precedence is the policy reader's: entries of the client's namespace, of the root namespace, Services by their own
//! addresses, then endpoints, and last what is known to be outside of the mesh.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::changes::Dependency;
use super::policies::ServedPolicy;
use super::{Index, ObjectName, PolicyName};

/// The longest destination that is looked up: a DNS name (RFC 1035 §2.3.4) with a port.
pub(super) const LONGEST_KEY: usize = 261;

/// What a destination was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LookupTarget {
    /// A ServiceEntry.
    Entry(PolicyName),
    /// A Service, and the endpoint's address where an endpoint was dialled.
    Service(ObjectName, Option<IpAddr>),
    /// An address that no proxy answers for, and the name of what is there.
    Outside(String, SocketAddr),
}

/// A destination as it was written.
enum LookupKey {
    Address(SocketAddr),
    Host(String, Option<u16>),
}

impl LookupKey {
    fn read(key: &str) -> Self {
        if let Ok(address) = key.parse::<SocketAddr>() {
            return Self::Address(SocketAddr::new(address.ip().to_canonical(), address.port()));
        }
        let written =
            key.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = written.map_or((key, None), |(host, port)| (host, Some(port)));
        Self::Host(host.to_ascii_lowercase(), port)
    }
}

impl Index {
    pub(super) fn look_up(&self, client_namespace: &Arc<str>, key: &str) -> Option<LookupTarget> {
        match LookupKey::read(key) {
            LookupKey::Address(address) => self.by_address(client_namespace, address),
            LookupKey::Host(host, port) => self.by_host(client_namespace, &host, port),
        }
    }

    /// What a destination follows from whatever it is found to be. Beside it stand the ServiceEntries, and the objects of
    /// the Service that it is found to be. A look-up that reads more must say so here, or in the changes that its
    /// objects record.
    pub(super) fn dependency_of(
        &self,
        client_namespace: &Arc<str>,
        key: &str,
    ) -> Option<Dependency> {
        match LookupKey::read(key) {
            LookupKey::Address(address) => Some(Dependency::Address(address.ip())),
            LookupKey::Host(host, _) => {
                self.cluster_name(client_namespace, &host).map(Dependency::Service)
            }
        }
    }

    fn by_host(
        &self,
        client_namespace: &Arc<str>,
        host: &str,
        port: Option<u16>,
    ) -> Option<LookupTarget> {
        let service = self.cluster_name(client_namespace, host);
        let full = service.as_ref().map(|name| self.host_of(name));
        let written = [Some(host), full.as_deref()];
        let has_port = |name: &&PolicyName| {
            let served = self.policies.get(*name).and_then(|record| record.in_force());
            served.is_some_and(|served| {
                port.is_none_or(|port| served.reading.entry.ports.contains(&port))
            })
        };
        for namespace in self.entry_namespaces(client_namespace) {
            for host in written.into_iter().flatten() {
                let entries = self.entry_hosts.get(&(namespace.clone(), host.into()));
                let fitting = entries.into_iter().flatten().filter(has_port);
                if let Some(name) = self.oldest(fitting) {
                    return Some(LookupTarget::Entry(name));
                }
            }
        }
        service
            .filter(|name| self.services.contains_key(name))
            .map(|name| LookupTarget::Service(name, None))
    }

    /// `cart`, `cart.shop`, `cart.shop.svc` or `cart.shop.svc.cluster.local`.
    fn cluster_name(&self, client_namespace: &Arc<str>, host: &str) -> Option<ObjectName> {
        let name = host.strip_suffix(&*self.settings.cluster_domain);
        let name = name.and_then(|name| name.strip_suffix(".svc.")).unwrap_or(host);
        let name = name.strip_suffix(".svc").unwrap_or(name);
        match name.split_once('.') {
            None => Some(ObjectName { namespace: client_namespace.clone(), name: name.into() }),
            Some((name, namespace)) if !namespace.contains('.') => {
                Some(ObjectName::new(namespace, name))
            }
            Some(_) => None,
        }
    }

    fn by_address(&self, client_namespace: &Arc<str>, address: SocketAddr) -> Option<LookupTarget> {
        let (ip, port) = (address.ip(), address.port());
        let in_block = |served: &ServedPolicy| {
            served.reading.entry.ports.contains(&port)
                && served.reading.entry.blocks.iter().any(|block| block.contains(&ip))
        };
        let by_entry = |fits: &dyn Fn(&ServedPolicy) -> bool| {
            self.entry_namespaces(client_namespace).find_map(|namespace| {
                let names = self.policies_in.get(namespace).into_iter().flatten();
                let fitting = names.filter(|name| {
                    let served = self.policies.get(*name).and_then(|r| r.in_force());
                    served.is_some_and(fits)
                });
                self.oldest(fitting).map(LookupTarget::Entry)
            })
        };
        let services = |map: &std::collections::HashMap<_, std::collections::BTreeSet<_>>| {
            map.get(&ip).into_iter().flatten().cloned().collect::<Vec<ObjectName>>()
        };
        by_entry(&in_block)
            .or_else(|| {
                let has_port = |name: &ObjectName| {
                    let record = self.services.get(name)?;
                    let ports = &record.object.ports;
                    ports.iter().any(|known| known.number == port).then(|| name.clone())
                };
                let service = services(&self.cluster_ips).iter().find_map(has_port)?;
                Some(LookupTarget::Service(service, None))
            })
            .or_else(|| by_entry(&|served| served.reading.entry.endpoints.contains(&(ip, port))))
            .or_else(|| {
                let mut at = services(&self.endpoint_ips).into_iter();
                let service = at.find(|name| self.is_inside(name, ip, port))?;
                Some(LookupTarget::Service(service, Some(ip)))
            })
            .or_else(|| {
                let host = self.outside(client_namespace, address)?;
                Some(LookupTarget::Outside(host, address))
            })
    }

    /// The namespaces whose entries act on a client, in their order (ARCHITECTURE, invariant 12).
    fn entry_namespaces<'a>(
        &'a self,
        client_namespace: &'a Arc<str>,
    ) -> impl Iterator<Item = &'a Arc<str>> {
        let root = &self.settings.root_namespace;
        [Some(client_namespace), (root != client_namespace).then_some(root)].into_iter().flatten()
    }

    fn oldest<'a>(&self, names: impl Iterator<Item = &'a PolicyName>) -> Option<PolicyName> {
        let served = |name: &PolicyName| self.policies.get(name).and_then(|r| r.in_force());
        let names = names.filter_map(|name| Some((served(name)?.created(), name)));
        names.min().map(|(_, name)| name.clone())
    }
}
