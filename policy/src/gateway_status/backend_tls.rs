//! What is said of a BackendTLSPolicy: at each Gateway whose routes lead to a Service that it is about.

use std::collections::{BTreeSet, HashMap};

use super::listener::{Refusal, resolved_refs};
use super::{Condition, ConditionKind, PolicyAncestorStatus, PolicyStatus, StatusFacts, route};
use crate::gateway::{BackendTlsPolicy, BackendTlsTarget, ObjectName, TrustAnchors};
use crate::route_table::resolve::Grants;
use crate::traffic_policy::PlannedBackendTls;
use crate::{GatewayPlan, Resources};

/// The most ancestors of a policy, as the standard has it.
const MOST_ANCESTORS: usize = 16;

/// The statuses of the policies that are about a Service which routes lead to.
pub(super) fn statuses(
    plan: &GatewayPlan<'_>,
    resources: &Resources,
    facts: &dyn StatusFacts,
) -> Vec<(ObjectName, PolicyStatus)> {
    let policies = PlannedBackendTls::all(resources);
    if policies.is_empty() {
        return Vec::new();
    }
    let gateways = gateways_by_service(plan, resources);
    let told = policies.iter().filter_map(|planned| {
        let conditions = conditions(planned, facts);
        let ancestors = ancestors(planned.policy, &gateways).into_iter().take(MOST_ANCESTORS);
        let ancestors: Vec<_> = ancestors
            .map(|gateway| PolicyAncestorStatus {
                ancestor_ref: gateway.clone(),
                conditions: conditions.clone(),
            })
            .collect();
        let is_seen = !ancestors.is_empty();
        is_seen.then(|| (planned.policy.id.clone(), PolicyStatus { ancestors }))
    });
    let mut told: Vec<_> = told.collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
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

fn conditions(planned: &PlannedBackendTls<'_>, facts: &dyn StatusFacts) -> Vec<Condition> {
    let kind = ConditionKind::Accepted;
    let accepted = match refusal(planned, facts) {
        None => Condition::holds(kind, "Accepted", "in force"),
        Some(refusal) => Condition::fails(kind, refusal.reason, refusal.message),
    };
    let unresolved = planned.unresolved.iter();
    let unresolved: Vec<Refusal> =
        unresolved.map(|found| Refusal::new(found.reason.as_str(), &*found.message)).collect();
    vec![accepted, resolved_refs(&unresolved)]
}

fn refusal(planned: &PlannedBackendTls<'_>, facts: &dyn StatusFacts) -> Option<Refusal> {
    let policy = planned.policy;
    if planned.holds.contains(&false) {
        let message = "an older policy is about the same port, or the same whole Service";
        return Some(Refusal::new("Conflicted", message));
    }
    if let Some(option) = policy.options.keys().next() {
        return Some(Refusal::new("Invalid", format!("the option {option} is not known here")));
    }
    if let TrustAnchors::Unknown(name) = &policy.anchors {
        let message = format!("there are no well-known certificates {name} here; System are");
        return Some(Refusal::new("Invalid", message));
    }
    if planned.refuses() {
        let message = "no caCertificateRef leads to certificates of authorities: every call fails";
        return Some(Refusal::new("NoValidCACertificate", message));
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
