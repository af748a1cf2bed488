//! What is said of a BackendTLSPolicy: at each Gateway whose routes lead to a Service that it is about.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::listener::{Refusal, resolved_refs};
use super::{Condition, ConditionKind, PolicyAncestorStatus, PolicyStatus, StatusFacts, route};
use crate::core_group::ConfigMap;
use crate::gateway::{
    BackendTlsPolicy, BackendTlsTarget, ObjectName, ObjectReference, TrustAnchors,
};
use crate::route_table::order::ObjectAge;
use crate::route_table::resolve::Grants;
use crate::{GatewayPlan, Resources};

/// The most ancestors of a policy, as the standard has it.
const MOST_ANCESTORS: usize = 16;

/// A Service, and the name of one of its ports.
type TargetKey<'r> = (&'r str, &'r str, Option<&'r str>);

/// The statuses of the policies that are about a Service which routes lead to.
pub(super) fn statuses(
    plan: &GatewayPlan<'_>,
    resources: &Resources,
    facts: &dyn StatusFacts,
) -> Vec<(ObjectName, PolicyStatus)> {
    let mut policies: Vec<&BackendTlsPolicy> = resources.backend_tls_policies().iter().collect();
    if policies.is_empty() {
        return Vec::new();
    }
    policies.sort_by_key(|policy| ObjectAge::new(policy.created.as_ref(), &policy.id));
    let gateways = gateways_by_service(plan, resources);
    let config_maps = resources.config_maps().iter().map(|map| (&map.id, map)).collect();
    let mut taken: HashSet<TargetKey<'_>> = HashSet::new();
    let mut statuses = Vec::new();
    for policy in policies {
        let is_first = take(policy, &mut taken);
        let conditions = conditions(policy, is_first, &config_maps, facts);
        let ancestors = ancestors(policy, &gateways).into_iter().take(MOST_ANCESTORS);
        let ancestors: Vec<_> = ancestors
            .map(|gateway| PolicyAncestorStatus {
                ancestor_ref: gateway.clone(),
                conditions: conditions.clone(),
            })
            .collect();
        if !ancestors.is_empty() {
            statuses.push((policy.id.clone(), PolicyStatus { ancestors }));
        }
    }
    statuses.sort_by(|a, b| a.0.cmp(&b.0));
    statuses
}

/// The Gateways whose routes lead to each Service.
fn gateways_by_service<'p>(
    plan: &'p GatewayPlan<'_>,
    resources: &Resources,
) -> HashMap<(&'p str, &'p str), BTreeSet<&'p ObjectName>> {
    let grants = Grants::new(resources.reference_grants());
    let mut found: HashMap<(&str, &str), BTreeSet<&ObjectName>> = HashMap::new();
    for attachment in plan.attachments() {
        let listeners = attachment.listeners.iter().flatten();
        let gateways: BTreeSet<&ObjectName> = listeners
            .filter_map(|at| plan.listeners().get(*at))
            .map(|listener| &listener.gateway.id)
            .collect();
        if gateways.is_empty() {
            continue;
        }
        for service in route::services_led_to(attachment, &grants) {
            found.entry(service).or_default().extend(&gateways);
        }
    }
    found
}

fn ancestors<'p>(
    policy: &BackendTlsPolicy,
    gateways: &HashMap<(&str, &str), BTreeSet<&'p ObjectName>>,
) -> BTreeSet<&'p ObjectName> {
    let services = targets(policy).map(|target| {
        let object = &target.object.object;
        (&*object.namespace, &*object.name)
    });
    services.filter_map(|service| gateways.get(&service)).flatten().copied().collect()
}

/// The Services that it is about.
fn targets(policy: &BackendTlsPolicy) -> impl Iterator<Item = &BackendTlsTarget> {
    policy.targets.iter().filter(|target| target.object.is_core("Service"))
}

/// Whether no older policy is about the same ports.
fn take<'r>(policy: &'r BackendTlsPolicy, taken: &mut HashSet<TargetKey<'r>>) -> bool {
    let keys: Vec<TargetKey<'r>> = targets(policy)
        .map(|target| {
            let object = &target.object.object;
            (&*object.namespace, &*object.name, target.section.as_deref())
        })
        .collect();
    let is_first = keys.iter().all(|key| !taken.contains(key));
    taken.extend(keys);
    is_first
}

fn conditions(
    policy: &BackendTlsPolicy,
    is_first: bool,
    config_maps: &HashMap<&ObjectName, &ConfigMap>,
    facts: &dyn StatusFacts,
) -> Vec<Condition> {
    let (references, unresolved) = match &policy.anchors {
        TrustAnchors::References(references) => {
            let check = |reference| check_authorities(reference, config_maps, facts).err();
            (references.len(), references.iter().filter_map(check).collect())
        }
        TrustAnchors::System | TrustAnchors::Unknown(_) => (0, Vec::new()),
    };
    let has_none = references > 0 && unresolved.len() == references;
    let refusal = refusal(policy, is_first, facts).or_else(|| {
        let message = "no caCertificateRef leads to certificates of authorities";
        has_none.then(|| Refusal::new("NoValidCACertificate", message))
    });
    let kind = ConditionKind::Accepted;
    let accepted = match refusal {
        None => Condition::holds(kind, "Accepted", "in force"),
        Some(refusal) => Condition::fails(kind, refusal.reason, refusal.message),
    };
    vec![accepted, resolved_refs(&unresolved)]
}

fn refusal(policy: &BackendTlsPolicy, is_first: bool, facts: &dyn StatusFacts) -> Option<Refusal> {
    if !is_first {
        let message = "an older policy is about the same ports of a Service";
        return Some(Refusal::new("Conflicted", message));
    }
    if let TrustAnchors::Unknown(name) = &policy.anchors {
        let message = format!("there are no well-known certificates {name} here; System are");
        return Some(Refusal::new("Invalid", message));
    }
    if let Some(option) = policy.options.keys().next() {
        return Some(Refusal::new("Invalid", format!("the option {option} is not known here")));
    }
    let lacks = |target: &&BackendTlsTarget| {
        let object = &target.object.object;
        !facts.has_service(&object.namespace, &object.name, target.section.as_deref())
    };
    let target = targets(policy).find(lacks)?;
    let section = target.section.as_ref().map(|name| format!(" with a port named {name}"));
    let message = format!("there is no {}{}", target.object, section.unwrap_or_default());
    Some(Refusal::new("TargetNotFound", message))
}

fn check_authorities(
    reference: &ObjectReference,
    config_maps: &HashMap<&ObjectName, &ConfigMap>,
    facts: &dyn StatusFacts,
) -> Result<(), Refusal> {
    if !reference.is_core("ConfigMap") {
        let message = format!("{reference} is no ConfigMap");
        return Err(Refusal::new("InvalidKind", message));
    }
    let invalid = |message: String| Refusal::new("InvalidCACertificateRef", message);
    let map = config_maps.get(&reference.object);
    let pem = map.and_then(|map| map.authorities.as_ref());
    let pem = pem.ok_or_else(|| invalid(format!("there is no {reference} with ca.crt")))?;
    facts
        .check_server_authorities(pem.as_bytes())
        .map_err(|why| invalid(format!("{reference}: {why}")))
}
