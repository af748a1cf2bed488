//! What is said of a listener: one of a Gateway's own, or of a ListenerSet.

use std::collections::HashMap;
use std::sync::Arc;

use super::overlap::Overlaps;
use super::{Condition, ConditionKind, GatewayProgress, ListenerStatus, StatusFacts};
use crate::gateway::ObjectName;
use crate::{GatewayPlan, ListenerConflict, PlannedListener, Resources};

/// A reason and what it means, of a condition that is false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// A listener with all that is wrong with it.
#[derive(Debug)]
pub(super) struct JudgedListener<'p, 'r> {
    pub(super) planned: &'p PlannedListener<'r>,
    /// Why it is not accepted.
    refusal: Option<Refusal>,
    /// What it refers to and cannot have.
    pub(super) unresolved: Vec<Refusal>,
    /// Whether clients could reach it, as far as the resources go.
    pub(super) is_usable: bool,
    overlaps: bool,
}

/// How its Gateway stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GatewayState {
    pub(super) is_accepted: bool,
    pub(super) progress: GatewayProgress,
}

/// Judges every listener of the plan, in its order.
pub(super) fn judge<'p, 'r>(
    plan: &'p GatewayPlan<'r>,
    bad_certificates: &HashMap<&ObjectName, String>,
    facts: &dyn StatusFacts,
) -> Vec<JudgedListener<'p, 'r>> {
    let overlaps = Overlaps::among(plan.listeners());
    let mut authorities = AuthorityChecks::default();
    let judged = plan.listeners().iter().enumerate().map(|(at, planned)| {
        let bad_authorities = authorities.check(planned, facts);
        judge_one(planned, bad_certificates, bad_authorities, overlaps.has(at))
    });
    judged.collect()
}

/// The Secrets that a listener or Gateway refers to and whose certificates cannot be used, and why.
pub(super) fn bad_certificates<'p>(
    plan: &'p GatewayPlan<'_>,
    resources: &Resources,
    facts: &dyn StatusFacts,
) -> HashMap<&'p ObjectName, String> {
    let secrets: HashMap<_, _> = resources.secrets().iter().map(|s| (&s.id, s)).collect();
    let of_listeners = plan.listeners().iter().flat_map(|listener| &listener.certificates);
    let of_gateways = plan.gateways().iter().filter_map(|gateway| {
        gateway.client_certificate.as_ref().and_then(|found| found.as_ref().ok())
    });
    let mut bad = HashMap::new();
    let mut good: Vec<&ObjectName> = Vec::new();
    for name in of_listeners.chain(of_gateways) {
        // One that the proxy has from elsewhere is not among the resources, and is checked by whoever reads it.
        let Some(secret) = secrets.get(name) else { continue };
        if bad.contains_key(name) || good.contains(&name) {
            continue;
        }
        match facts.check_certificate(secret) {
            Ok(()) => good.push(name),
            Err(why) => drop(bad.insert(name, why)),
        }
    }
    bad
}

/// What was found of bundles of authorities; those of one Gateway are the same for many listeners.
#[derive(Default)]
struct AuthorityChecks {
    known: HashMap<Arc<[u8]>, Option<String>>,
}

impl AuthorityChecks {
    /// Why the authorities of a listener's clients cannot be used.
    fn check(&mut self, planned: &PlannedListener<'_>, facts: &dyn StatusFacts) -> Option<String> {
        let pem = &planned.client_certificates.as_ref()?.authorities;
        if pem.is_empty() {
            return None;
        }
        let check = || facts.check_authorities(pem).err();
        self.known.entry(Arc::clone(pem)).or_insert_with(check).clone()
    }
}

fn judge_one<'p, 'r>(
    planned: &'p PlannedListener<'r>,
    bad_certificates: &HashMap<&ObjectName, String>,
    bad_authorities: Option<String>,
    overlaps: bool,
) -> JudgedListener<'p, 'r> {
    let told = planned.unresolved.iter();
    let mut unresolved: Vec<Refusal> =
        told.map(|found| Refusal::new(found.reason.as_str(), &*found.message)).collect();
    let before = unresolved.len();
    for name in &planned.certificates {
        let bad = bad_certificates.get(name);
        unresolved.extend(
            bad.map(|why| Refusal::new("InvalidCertificateRef", format!("Secret {name}: {why}"))),
        );
    }
    let bad = unresolved.len().saturating_sub(before);
    let has_certificate = planned.certificates.is_empty() || bad < planned.certificates.len();
    let mut refusal = refusal(planned);
    if let Some(why) = bad_authorities {
        let message = format!("certificates of authorities: {why}");
        unresolved.push(Refusal::new("InvalidCACertificateRef", &*message));
        refusal = refusal.or_else(|| Some(Refusal::new("NoValidCACertificate", message)));
    }
    let is_usable = refusal.is_none() && planned.is_programmed() && has_certificate;
    JudgedListener { planned, refusal, unresolved, is_usable, overlaps }
}

fn refusal(planned: &PlannedListener<'_>) -> Option<Refusal> {
    if let Some(conflict) = planned.conflict {
        return Some(Refusal::new(conflict.as_str(), conflict_message(planned, conflict)));
    }
    let found = planned.not_accepted.as_ref()?;
    Some(Refusal::new(found.reason.as_str(), &*found.message))
}

/// Says nothing of the other listener: it may be of a namespace that this one may not look into.
fn conflict_message(planned: &PlannedListener<'_>, conflict: ListenerConflict) -> String {
    let port = planned.listener.port;
    match conflict {
        ListenerConflict::ProtocolConflict => {
            format!("another listener of port {port} speaks another protocol")
        }
        ListenerConflict::HostnameConflict => {
            format!("another listener of port {port} is for the same host")
        }
    }
}

impl JudgedListener<'_, '_> {
    /// Whether it is accepted for its own sake.
    pub(super) fn is_accepted(&self) -> bool {
        self.refusal.is_none()
    }

    /// Why clients cannot reach it, with its name.
    pub(super) fn complaint(&self) -> Option<String> {
        if self.is_usable {
            return None;
        }
        let why = self.refusal.as_ref().or(self.unresolved.first());
        let why = why.map_or("its Gateway is not accepted", |why| &*why.message);
        Some(format!("listener {}: {why}", self.planned.listener.name))
    }

    /// Its status.
    pub(super) fn status(&self, gateway: &GatewayState) -> ListenerStatus {
        let mut conditions = vec![
            self.accepted(),
            self.programmed(gateway),
            resolved_refs(&self.unresolved),
            self.conflicted(),
        ];
        if self.overlaps {
            let port = self.planned.listener.port;
            let message = format!(
                "its hosts overlap with those of another listener of port {port}: a client that sends for both on one connection is answered 421"
            );
            let kind = ConditionKind::OverlappingTlsConfig;
            conditions.push(Condition::holds(kind, "OverlappingHostnames", message));
        }
        ListenerStatus {
            name: Arc::clone(&self.planned.listener.name),
            supported_kinds: self.planned.kinds.clone(),
            attached_routes: self.planned.attached_routes,
            conditions,
        }
    }

    fn accepted(&self) -> Condition {
        let kind = ConditionKind::Accepted;
        match &self.refusal {
            None => Condition::holds(kind, "Accepted", "valid"),
            Some(refusal) => Condition::fails(kind, refusal.reason, &*refusal.message),
        }
    }

    fn programmed(&self, gateway: &GatewayState) -> Condition {
        let kind = ConditionKind::Programmed;
        if let (Some(conflict), Some(refusal)) = (self.planned.conflict, &self.refusal) {
            return Condition::fails(kind, conflict.as_str(), &*refusal.message);
        }
        if !self.is_usable || !gateway.is_accepted {
            let why = self.refusal.as_ref().or(self.unresolved.first().filter(|_| !self.is_usable));
            let why = why.map_or("its Gateway is not accepted", |why| &*why.message);
            return Condition::fails(kind, "Invalid", why);
        }
        match gateway.progress.refusal() {
            None => Condition::holds(kind, "Programmed", "in force"),
            Some((_, why)) => Condition::fails(kind, "Pending", why),
        }
    }

    fn conflicted(&self) -> Condition {
        let kind = ConditionKind::Conflicted;
        match self.planned.conflict {
            None => Condition::fails(kind, "NoConflicts", "no other listener is in its way"),
            Some(conflict) => {
                let message = conflict_message(self.planned, conflict);
                Condition::holds(kind, conflict.as_str(), message)
            }
        }
    }
}

/// The condition `ResolvedRefs`, with the reason of the first reference that leads nowhere, and what is said of all.
pub(super) fn resolved_refs(unresolved: &[Refusal]) -> Condition {
    let kind = ConditionKind::ResolvedRefs;
    let Some(first) = unresolved.first() else {
        return Condition::holds(kind, "ResolvedRefs", "every reference leads somewhere");
    };
    let told: Vec<&str> = unresolved.iter().map(|one| &*one.message).collect();
    Condition::fails(kind, first.reason, told.join(" | "))
}
