//! BackendTLSPolicies: which holds for a port of a Service, and what TLS is spoken there.
//!
//! A policy lies in the namespace of its Service, and so holds for whoever calls it. One about a port holds before one about
//! the whole Service; of two about the same the older holds, then the first by name. A policy that holds and cannot be
//! followed, because its authorities are nowhere, lets no call through: without it the server would be believed unchecked.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::{CaCertificates, HostPolicy, TrafficPolicy, UpstreamTls, UpstreamTlsMode};
use crate::Resources;
use crate::core_group::ConfigMap;
use crate::gateway::{
    BackendTlsPolicy, BackendTlsTarget, ObjectName, ObjectReference, TrustAnchors,
};
use crate::route_table::order::ObjectAge;
use crate::service::CLUSTER_SUFFIX;

/// A BackendTLSPolicy, and what holds of it.
#[derive(Debug)]
pub struct PlannedBackendTls<'r> {
    /// As it was written.
    pub policy: &'r BackendTlsPolicy,
    /// By target, whether it holds there; where it does not, another does (`Accepted` is false, reason `Conflicted`).
    pub holds: Vec<bool>,
    /// References that lead nowhere: `ResolvedRefs` is false with the reason of the first.
    pub unresolved: Vec<UnresolvedAuthority>,
    /// The TLS it asks for.
    pub tls: Arc<UpstreamTls>,
}

/// A `caCertificateRef` that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnresolvedAuthority {
    /// The reason of the condition `ResolvedRefs`.
    pub reason: UnresolvedAuthorityReason,
    /// What is wrong, for its message.
    pub message: String,
}

/// The reasons of the condition `ResolvedRefs` of a BackendTLSPolicy, where it is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnresolvedAuthorityReason {
    /// There is no such ConfigMap, or it has no certificates of authorities.
    InvalidCaCertificateRef,
    /// Authorities are read from ConfigMaps alone.
    InvalidKind,
}

impl UnresolvedAuthorityReason {
    /// The reason as the standard writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidCaCertificateRef => "InvalidCACertificateRef",
            Self::InvalidKind => "InvalidKind",
        }
    }
}

impl fmt::Display for UnresolvedAuthorityReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'r> PlannedBackendTls<'r> {
    /// What holds of every policy, the oldest first.
    pub fn all(resources: &'r Resources) -> Vec<Self> {
        let maps = resources.config_maps().iter().map(|map| (&map.id, map)).collect();
        let mut policies: Vec<_> = resources.backend_tls_policies().iter().collect();
        policies.sort_by_key(|policy| ObjectAge::new(policy.created.as_ref(), &policy.id));
        let mut taken = HashSet::new();
        let plan = |policy: &'r BackendTlsPolicy| {
            let targets = policy.targets.iter();
            let holds = targets.map(|target| taken.insert((&target.object, &target.section)));
            let holds = holds.collect();
            let (ca_certificates, unresolved) = authorities(policy, &maps);
            let tls = UpstreamTls {
                mode: UpstreamTlsMode::Simple,
                ca_certificates,
                sni: Some(Arc::clone(&policy.host)),
                subject_alt_names: policy.names.as_slice().into(),
            };
            PlannedBackendTls { policy, holds, unresolved, tls: Arc::new(tls) }
        };
        policies.into_iter().map(plan).collect()
    }

    /// Whether its authorities are nowhere: every call fails (`Accepted` is false, reason `NoValidCACertificate` where
    /// there are references, else `Invalid`).
    pub fn refuses(&self) -> bool {
        matches!(self.tls.ca_certificates, CaCertificates::Nowhere(_))
    }
}

fn authorities(
    policy: &BackendTlsPolicy,
    maps: &HashMap<&ObjectName, &ConfigMap>,
) -> (CaCertificates, Vec<UnresolvedAuthority>) {
    let nowhere = |why: &str| {
        CaCertificates::Nowhere(format!("BackendTLSPolicy {}: {why}", policy.id).into())
    };
    if let Some(option) = policy.options.keys().next() {
        return (nowhere(&format!("the option {option} is not known")), Vec::new());
    }
    let references = match &policy.anchors {
        TrustAnchors::System => return (CaCertificates::System, Vec::new()),
        TrustAnchors::Unknown(name) => {
            let why = format!("wellKnownCACertificates {name} is not known");
            return (nowhere(&why), Vec::new());
        }
        TrustAnchors::References(references) => references,
    };
    let (mut pem, mut unresolved) = (String::new(), Vec::new());
    for reference in references {
        match authority(reference, maps) {
            Ok(found) => {
                pem.push_str(found);
                pem.push('\n');
            }
            Err(why) => unresolved.push(why),
        }
    }
    match pem.is_empty() {
        true => (nowhere("no caCertificateRef leads to an authority"), unresolved),
        false => (CaCertificates::Pem(pem.into()), unresolved),
    }
}

fn authority<'r>(
    reference: &ObjectReference,
    maps: &HashMap<&ObjectName, &'r ConfigMap>,
) -> Result<&'r str, UnresolvedAuthority> {
    if !reference.is_core("ConfigMap") {
        let (reason, message) =
            (UnresolvedAuthorityReason::InvalidKind, format!("{reference} is no ConfigMap"));
        return Err(UnresolvedAuthority { reason, message });
    }
    let found = maps.get(&reference.object).and_then(|map| map.authorities.as_deref());
    found.filter(|pem| identity::web_roots(pem.as_bytes()).is_ok()).ok_or_else(|| {
        let reason = UnresolvedAuthorityReason::InvalidCaCertificateRef;
        let message = format!("there is no {reference} with certificates of authorities in ca.crt");
        UnresolvedAuthority { reason, message }
    })
}

/// What is said of Services that a BackendTLSPolicy is about, by host.
#[derive(Debug, Default, PartialEq)]
pub(super) struct BackendTls(HashMap<Arc<str>, ServicePolicies>);

#[derive(Debug, Default, PartialEq)]
struct ServicePolicies {
    whole: Option<PortPolicies>,
    /// By the name of the port.
    named: BTreeMap<Arc<str>, PortPolicies>,
}

/// What a DestinationRule says, with the TLS of a BackendTLSPolicy: whole values, so that each look-up gives the same.
#[derive(Debug, PartialEq)]
struct PortPolicies {
    all: Arc<TrafficPolicy>,
    numbered: BTreeMap<u16, Arc<TrafficPolicy>>,
}

impl PortPolicies {
    fn new(tls: &Arc<UpstreamTls>, rule: Option<&HostPolicy>) -> Self {
        let with_tls = |written: &TrafficPolicy| {
            Arc::new(TrafficPolicy { tls: Some(Arc::clone(tls)), ..written.clone() })
        };
        let all = rule.map(|rule| with_tls(&rule.all));
        let numbered = rule.into_iter().flat_map(|rule| &rule.ports);
        Self {
            all: all.unwrap_or_else(|| with_tls(&TrafficPolicy::default())),
            numbered: numbered.map(|(port, written)| (*port, with_tls(written))).collect(),
        }
    }
}

impl BackendTls {
    /// `rule_of` gives what a DestinationRule says of a host.
    pub(super) fn of<'p>(
        resources: &Resources,
        rule_of: impl Fn(&str) -> Option<&'p HostPolicy>,
    ) -> Self {
        let mut found: HashMap<Arc<str>, ServicePolicies> = HashMap::new();
        for planned in PlannedBackendTls::all(resources) {
            let targets = planned.policy.targets.iter().zip(&planned.holds);
            for (target, _) in targets.filter(|(target, holds)| **holds && is_service(target)) {
                let host = host(&target.object.object);
                let policies = PortPolicies::new(&planned.tls, rule_of(&host));
                let service = found.entry(host).or_default();
                match &target.section {
                    Some(port) => drop(service.named.insert(Arc::clone(port), policies)),
                    None => service.whole = Some(policies),
                }
            }
        }
        Self(found)
    }

    pub(super) fn find(
        &self,
        host: &str,
        port: u16,
        port_name: &str,
    ) -> Option<&Arc<TrafficPolicy>> {
        let service = self.0.get(host)?;
        let found = service.named.get(port_name).or(service.whole.as_ref())?;
        Some(found.numbered.get(&port).unwrap_or(&found.all))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_service(target: &BackendTlsTarget) -> bool {
    target.object.is_core("Service")
}

fn host(service: &ObjectName) -> Arc<str> {
    format!("{}.{}{CLUSTER_SUFFIX}", service.name, service.namespace).into()
}

#[cfg(test)]
mod tests;
