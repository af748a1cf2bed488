//! The services that were received, by the destinations that asked for them, and the table derived from them.
//!
//! The cost of an update is that of its destination: no other one is read again, and the table shares what has not
//! changed. A rejected message changes nothing, and the last accepted one of its destination stays.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use identity::TrustDomain;
use policy::resources::ServiceEntry;
use policy::{ServiceTable, Workload};

use super::resource_cache::ResourceDocument;
use super::service_message;

/// A port of a host in a namespace, which only one entry can have.
type Claim = (Arc<str>, Arc<str>, u16);

/// What was received about destinations.
#[derive(Debug)]
pub struct ServiceCache {
    root_namespace: Arc<str>,
    destinations: BTreeMap<String, CachedService>,
    /// The versions of each entry by name, and how many destinations deliver each. More than one version is a
    /// contradiction, and the first that was received stays in force.
    versions: BTreeMap<Arc<str>, Vec<(Arc<ServiceEntry>, usize)>>,
    /// The version of each entry whose claims are recorded.
    claiming: BTreeMap<Arc<str>, Arc<ServiceEntry>>,
    /// The entries that claim a port of a host: the first by name has it.
    claims: HashMap<Claim, BTreeSet<Arc<str>>>,
    /// Why something is not in force, by destination or entry.
    refused: BTreeMap<String, String>,
    table: ServiceTable,
}

#[derive(Debug)]
struct CachedService {
    version: String,
    /// The last version without an error.
    accepted: Option<Arc<ServiceEntry>>,
}

impl ServiceCache {
    /// Nothing yet.
    pub fn new(root_namespace: &str, workload: &Workload, trust_domain: &TrustDomain) -> Self {
        Self {
            root_namespace: root_namespace.into(),
            destinations: BTreeMap::new(),
            versions: BTreeMap::new(),
            claiming: BTreeMap::new(),
            claims: HashMap::new(),
            refused: BTreeMap::new(),
            table: ServiceTable::new(workload, root_namespace, trust_domain),
        }
    }

    /// Applies an update. Returns the affected hosts.
    pub fn take(
        &mut self,
        changed: Vec<ResourceDocument>,
        removed: &[String],
    ) -> BTreeSet<Arc<str>> {
        let mut touched = BTreeSet::new();
        for key in removed {
            self.forget(key, &mut touched);
        }
        for document in changed {
            self.take_one(document, &mut touched);
        }
        self.settle(touched)
    }

    /// Drops destinations. Returns the affected hosts.
    pub fn forget_unused(&mut self, keys: &[String]) -> BTreeSet<Arc<str>> {
        self.take(Vec::new(), keys)
    }

    fn forget(&mut self, key: &str, touched: &mut BTreeSet<Arc<str>>) {
        self.refused.remove(key);
        let known = self.destinations.remove(key).and_then(|service| service.accepted);
        if let Some(entry) = known {
            self.count(&entry, false);
            touched.insert(Arc::clone(entry.name()));
        }
    }

    fn take_one(&mut self, document: ResourceDocument, touched: &mut BTreeSet<Arc<str>>) {
        let ResourceDocument { name: key, version, bytes } = document;
        match service_message::read(&bytes, &self.root_namespace) {
            Ok(entry) => {
                self.forget(&key, touched);
                touched.insert(Arc::clone(entry.name()));
                let accepted = Some(self.count(&Arc::new(entry), true));
                self.destinations.insert(key, CachedService { version, accepted });
            }
            Err(wrong) => {
                let known = self.destinations.remove(&key).and_then(|service| service.accepted);
                self.refused.insert(key.clone(), wrong);
                self.destinations.insert(key, CachedService { version, accepted: known });
            }
        }
    }

    /// Adds or removes a destination's reference to an entry. Equal entries share one value.
    fn count(&mut self, entry: &Arc<ServiceEntry>, means: bool) -> Arc<ServiceEntry> {
        let versions = self.versions.entry(Arc::clone(entry.name())).or_default();
        match versions.iter().position(|(known, _)| known == entry) {
            Some(at) if means => {
                versions[at].1 += 1;
                return Arc::clone(&versions[at].0);
            }
            Some(at) if versions[at].1 > 1 => versions[at].1 -= 1,
            Some(at) => drop(versions.remove(at)),
            None => versions.push((Arc::clone(entry), 1)),
        }
        if versions.is_empty() {
            self.versions.remove(entry.name());
        }
        Arc::clone(entry)
    }

    /// Updates the table for the entries in `touched`, and for those that claim the same ports as before or now.
    /// Returns the hosts of all of these.
    fn settle(&mut self, touched: BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
        let mut hosts = BTreeSet::new();
        let mut affected = BTreeSet::new();
        for name in touched {
            let now = self.versions.get(&name).and_then(|versions| versions.first());
            let now = now.map(|(entry, _)| Arc::clone(entry));
            let before = match &now {
                Some(now) => self.claiming.insert(Arc::clone(&name), Arc::clone(now)),
                None => self.claiming.remove(&name),
            };
            if before != now {
                hosts.extend(before.iter().flat_map(|entry| hosts_of(entry)));
                before.iter().for_each(|entry| self.unclaim(entry, &mut affected));
                now.iter().for_each(|entry| self.claim(entry, &mut affected));
            }
            affected.insert(name);
        }
        for name in affected {
            hosts.extend(self.claiming.get(&name).into_iter().flat_map(|entry| hosts_of(entry)));
            self.place(&name);
        }
        hosts
    }

    fn unclaim(&mut self, entry: &ServiceEntry, affected: &mut BTreeSet<Arc<str>>) {
        for claim in claims_of(entry) {
            let Some(names) = self.claims.get_mut(&claim) else { continue };
            names.remove(entry.name());
            affected.extend(names.iter().cloned());
            if names.is_empty() {
                self.claims.remove(&claim);
            }
        }
    }

    fn claim(&mut self, entry: &ServiceEntry, affected: &mut BTreeSet<Arc<str>>) {
        for claim in claims_of(entry) {
            let names = self.claims.entry(claim).or_default();
            names.insert(Arc::clone(entry.name()));
            affected.extend(names.iter().cloned());
        }
    }

    /// An entry is in the table only when it owns all its claims: half of it would not be what its author meant.
    fn place(&mut self, name: &Arc<str>) {
        let label = format!("ServiceEntry {name}");
        self.refused.remove(&label);
        let Some(entry) = self.claiming.get(name).cloned() else {
            return self.table.remove(name);
        };
        let others = claims_of(&entry).find_map(|claim| {
            let owner = self.claims.get(&claim)?.first().filter(|owner| *owner != name)?;
            Some(format!("port {} of {} again: {owner} has it", claim.2, claim.1))
        });
        match &others {
            Some(_) => self.table.remove(name),
            None => self.table.set(&entry),
        }
        let several = self.versions.get(name).is_some_and(|versions| versions.len() > 1);
        let several = several.then(|| "two destinations say different things of it".to_owned());
        if let Some(why) = others.or(several) {
            self.refused.insert(label, why);
        }
    }

    /// The table derived from everything that was received.
    pub fn table(&self) -> &ServiceTable {
        &self.table
    }

    /// What is not in force, and why; empty when there is nothing.
    pub fn refused(&self) -> impl Iterator<Item = String> {
        self.refused.iter().map(|(what, why)| format!("{what}: {why}"))
    }

    /// The versions of what was received, to resume with.
    pub fn versions(&self) -> HashMap<String, String> {
        let destinations = self.destinations.iter();
        destinations.map(|(key, service)| (key.clone(), service.version.clone())).collect()
    }

    /// Each destination that resolves to a service, and the service's host.
    pub fn destinations(&self) -> Vec<(String, Arc<str>)> {
        let known = |(key, service): (&String, &CachedService)| {
            let host = hosts_of(service.accepted.as_ref()?).next()?;
            Some((key.clone(), host))
        };
        self.destinations.iter().filter_map(known).collect()
    }
}

fn hosts_of(entry: &ServiceEntry) -> impl Iterator<Item = Arc<str>> {
    entry.services().iter().map(|service| Arc::clone(&service.host))
}

fn claims_of(entry: &ServiceEntry) -> impl Iterator<Item = Claim> {
    entry.services().iter().flat_map(|service| {
        let claim = |number| (Arc::clone(&service.namespace), Arc::clone(&service.host), number);
        service.ports.iter().map(move |port| claim(port.number))
    })
}

#[cfg(test)]
mod tests;
