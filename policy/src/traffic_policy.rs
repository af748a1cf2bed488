//! How a workload's proxy calls a service: which endpoint, over how many connections, and which endpoints it leaves alone.
//!
//! DestinationRules and BackendTLSPolicies are compiled into one [`TrafficPolicies`] for a workload, once a change. What a proxy has of its own
//! (limits, deadlines) holds wherever a [`TrafficPolicy`] says nothing.

mod backend_tls;
mod connection_pool;
mod load_balancing;
mod outlier_detection;
mod upstream_tls;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use backend_tls::{PlannedBackendTls, UnresolvedAuthority, UnresolvedAuthorityReason};
pub use connection_pool::{ConnectionPool, HttpPool};
pub use load_balancing::{BalancingAlgorithm, HashKey, LoadBalancing};
pub use outlier_detection::OutlierDetection;
pub use upstream_tls::{
    CaCertificates, ClientCertificateFiles, SubjectAltName, UpstreamTls, UpstreamTlsMode,
};

use backend_tls::BackendTls;

use crate::fault::{FaultRule, Faults};
use crate::resources::DestinationRule;
use crate::{Resources, Workload};

/// What is said of one port of one host. The default is what holds where there is no rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficPolicy {
    /// How an endpoint is chosen. Default: by load (peak-EWMA of two).
    pub load_balancing: LoadBalancing,
    /// How many connections and requests there may be, and how long they last.
    pub connection_pool: ConnectionPool,
    /// Which endpoints are left alone for a while.
    pub outlier_detection: OutlierDetection,
    /// The TLS that is spoken to a service outside the mesh; `None`: none is written. Nothing is ever read from it for a
    /// service of the mesh, which is called with the mesh's mutual TLS whatever a rule says.
    pub tls: Option<Arc<UpstreamTls>>,
}

/// The policies of all DestinationRules and BackendTLSPolicies, and the faults of all FaultInjections, that concern one workload's own calls.
///
/// Cloning takes constant time. The default is empty.
#[derive(Debug, Clone, Default)]
pub struct TrafficPolicies {
    table: Arc<Table>,
}

#[derive(Debug, Default, PartialEq)]
struct Table {
    /// The workload's own namespace before the root one: a rule of the own namespace wins, whatever its host.
    rules: [HostRules; 2],
    backend_tls: BackendTls,
    faults: HashMap<Arc<str>, Arc<Faults>>,
}

/// The rules of one namespace.
#[derive(Debug, Default, PartialEq)]
struct HostRules {
    by_host: HashMap<Arc<str>, HostPolicy>,
    /// `.example.com` for `*.example.com`, the longest first; the empty text for `*`.
    by_suffix: Vec<(Arc<str>, HostPolicy)>,
}

/// What one rule says of its host.
#[derive(Debug, Clone, PartialEq)]
struct HostPolicy {
    rule: Arc<str>,
    all: Arc<TrafficPolicy>,
    /// A port's block stands in the place of the whole.
    ports: BTreeMap<u16, Arc<TrafficPolicy>>,
}

impl TrafficPolicies {
    /// What `resources` say of the calls of `workload`: the rules of its own namespace, then those of the root namespace
    /// (invariant 12). Of two rules of one namespace for one host the older holds, then the first by name.
    pub fn build(resources: &Resources, workload: &Workload) -> Self {
        let rules = |namespace: &str| HostRules::of(resources.destination_rules(), namespace);
        let own = rules(&workload.namespace);
        let is_root = workload.namespace == resources.root_namespace();
        let root = if is_root { HostRules::default() } else { rules(resources.root_namespace()) };
        let faults = faults_of(resources, workload);
        let rules = [own, root];
        let backend_tls = BackendTls::of(resources, |host| find(&rules, host));
        Self { table: Arc::new(Table { rules, backend_tls, faults }) }
    }

    /// The policy for calls to `host` (canonical name, without port) on the service's port of this number and name; `None`
    /// where nothing is said of it, and [`TrafficPolicy::default`] holds. What a BackendTLSPolicy says stands in the place of
    /// a DestinationRule's `tls`.
    pub fn of(&self, host: &str, port: u16, port_name: &str) -> Option<&Arc<TrafficPolicy>> {
        self.table.backend_tls.find(host, port, port_name).or_else(|| {
            let found = find(&self.table.rules, host)?;
            Some(found.ports.get(&port).unwrap_or(&found.all))
        })
    }

    /// The DestinationRule (`namespace/name`) that [`Self::of`] answers with, where it has one.
    pub fn rule_of(&self, host: &str) -> Option<&Arc<str>> {
        find(&self.table.rules, host).map(|found| &found.rule)
    }

    /// The faults that calls to `host` (canonical name, without port) may meet; `None` where nobody asked for any.
    pub fn faults(&self, host: &str) -> Option<&Arc<Faults>> {
        self.table.faults.get(host)
    }

    /// True when nothing is said.
    pub fn is_empty(&self) -> bool {
        let table = &self.table;
        table.faults.is_empty()
            && table.backend_tls.is_empty()
            && self.table.rules.iter().all(HostRules::is_empty)
    }

    /// Whether these say the same as others do: then nothing that was made of them has to be made again.
    #[must_use]
    pub fn say_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.table, &other.table) || self.table == other.table
    }
}

/// The rule that holds for a host: of the first namespace that has one.
fn find<'r>(rules: &'r [HostRules; 2], host: &str) -> Option<&'r HostPolicy> {
    rules.iter().find_map(|rules| rules.find(host))
}

impl HostRules {
    fn of(all: &[DestinationRule], namespace: &str) -> Self {
        let mut rules: Vec<_> =
            all.iter().filter(|rule| **rule.namespace() == *namespace).collect();
        rules.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
        let mut of = Self::default();
        for rule in rules {
            of.add(rule);
        }
        of.by_suffix.sort_by_key(|(suffix, _)| Reverse(suffix.len()));
        of
    }

    /// A rule that comes later says nothing of a host that an earlier one is about.
    fn add(&mut self, rule: &DestinationRule) {
        let policy = || HostPolicy {
            rule: Arc::clone(rule.name()),
            all: Arc::clone(rule.policy()),
            ports: rule.port_policies().clone(),
        };
        match rule.host().strip_prefix('*') {
            None => {
                self.by_host.entry(Arc::clone(rule.host())).or_insert_with(policy);
            }
            Some(suffix) if self.by_suffix.iter().all(|(known, _)| **known != *suffix) => {
                self.by_suffix.push((suffix.into(), policy()));
            }
            Some(_) => {}
        }
    }

    fn find(&self, host: &str) -> Option<&HostPolicy> {
        let exact = self.by_host.get(host);
        exact.or_else(|| {
            let fits = |(suffix, _): &&(Arc<str>, HostPolicy)| host.ends_with(&**suffix);
            self.by_suffix.iter().find(fits).map(|(_, policy)| policy)
        })
    }

    fn is_empty(&self) -> bool {
        self.by_host.is_empty() && self.by_suffix.is_empty()
    }
}

/// The faults of the workload's own namespace alone, in the order of their names: nobody else, the root namespace included,
/// breaks its calls.
fn faults_of(resources: &Resources, workload: &Workload) -> HashMap<Arc<str>, Arc<Faults>> {
    let mut injections: Vec<_> = resources.fault_injections().iter().collect();
    injections.retain(|injection| **injection.namespace() == *workload.namespace);
    injections.sort_by(|a, b| a.name().cmp(b.name()));
    let mut rules: HashMap<Arc<str>, Vec<Arc<FaultRule>>> = HashMap::new();
    for injection in injections {
        for host in injection.hosts() {
            rules.entry(Arc::clone(host)).or_default().push(Arc::clone(injection.rule()));
        }
    }
    rules.into_iter().map(|(host, rules)| (host, Arc::new(Faults::new(rules)))).collect()
}

#[cfg(test)]
mod tests;
