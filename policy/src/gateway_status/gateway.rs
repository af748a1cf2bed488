//! What is said of GatewayClasses, Gateways and ListenerSets.

use std::collections::HashMap;

use super::listener::{GatewayState, JudgedListener, Refusal, resolved_refs};
use super::{
    Condition, ConditionKind, GatewayClassStatus, GatewayStatus, ListenerSetStatus, StatusFacts,
    SupportedFeature, supported_features,
};
use crate::gateway::{ClientValidationMode, Gateway, GatewayAddress, GatewayClass, ObjectName};
use crate::{PlannedGateway, PlannedListenerSet};

/// The status of a class that is ours.
pub(super) fn class_status(class: &GatewayClass) -> GatewayClassStatus {
    let features = supported_features().map(|name| SupportedFeature { name });
    let kind = ConditionKind::Accepted;
    let accepted = match class.has_parameters {
        false => Condition::holds(kind, "Accepted", "in force"),
        true => {
            let message = "parametersRef: no parameters of a class are read here";
            Condition::fails(kind, "InvalidParameters", message)
        }
    };
    GatewayClassStatus { conditions: vec![accepted], supported_features: features.collect() }
}

/// A Gateway with what is wrong with it.
#[derive(Debug)]
pub(super) struct JudgedGateway<'p, 'r> {
    pub(super) planned: &'p PlannedGateway<'r>,
    /// Its own listeners.
    listeners: &'p [JudgedListener<'p, 'r>],
    refusal: Option<Refusal>,
    /// The certificate that it shows to backends.
    unresolved: Option<Refusal>,
    pub(super) state: GatewayState,
}

impl<'p, 'r> JudgedGateway<'p, 'r> {
    pub(super) fn of(
        planned: &'p PlannedGateway<'r>,
        listeners: &'p [JudgedListener<'p, 'r>],
        bad_certificates: &HashMap<&ObjectName, String>,
        facts: &dyn StatusFacts,
    ) -> Self {
        let refusal = refusal(planned, listeners, facts);
        let unresolved = match &planned.client_certificate {
            None => None,
            Some(Err(found)) => Some(Refusal::new(found.reason.as_str(), &*found.message)),
            Some(Ok(name)) => bad_certificates.get(name).map(|why| {
                Refusal::new("InvalidClientCertificateRef", format!("Secret {name}: {why}"))
            }),
        };
        let progress = facts.progress(&planned.gateway.id);
        let state = GatewayState { is_accepted: refusal.is_none(), progress };
        Self { planned, listeners, refusal, unresolved, state }
    }

    /// Its status. `sets` are those that are attached: how many are accepted, and whether one of them has a listener that
    /// clients can reach.
    pub(super) fn status(&self, attached_listener_sets: usize) -> GatewayStatus {
        let mut conditions = vec![
            self.accepted(),
            self.programmed(attached_listener_sets > 0),
            self.resolved_refs(),
        ];
        if is_insecure(self.planned.gateway) {
            let message = "clients are let in whose certificate is missing or not valid";
            let kind = ConditionKind::InsecureFrontendValidationMode;
            conditions.push(Condition::holds(kind, "ConfigurationChanged", message));
        }
        let listeners = self.listeners.iter().map(|listener| listener.status(&self.state));
        GatewayStatus { conditions, listeners: listeners.collect(), attached_listener_sets }
    }

    fn accepted(&self) -> Condition {
        let kind = ConditionKind::Accepted;
        if let Some(refusal) = &self.refusal {
            return Condition::fails(kind, refusal.reason, &*refusal.message);
        }
        match complaints(self.listeners) {
            None => Condition::holds(kind, "Accepted", "valid"),
            Some(complaints) => Condition::holds(kind, LISTENERS_NOT_VALID, complaints),
        }
    }

    fn programmed(&self, has_sets: bool) -> Condition {
        let kind = ConditionKind::Programmed;
        if let Some(refusal) = &self.refusal {
            return Condition::fails(kind, "Invalid", &*refusal.message);
        }
        let is_usable = has_sets || self.listeners.iter().any(|listener| listener.is_usable);
        if !is_usable {
            return Condition::fails(
                kind,
                "Invalid",
                complaints(self.listeners).unwrap_or_default(),
            );
        }
        match self.state.progress.refusal() {
            None => Condition::holds(kind, "Programmed", "in force"),
            Some((reason, message)) => Condition::fails(kind, reason, message),
        }
    }

    /// Its own references first, then those of its listeners.
    fn resolved_refs(&self) -> Condition {
        let of_listeners = self.listeners.iter().filter_map(|listener| {
            let first = listener.unresolved.first()?;
            let message = format!("listener {}: {}", listener.planned.listener.name, first.message);
            Some(Refusal::new("ListenersNotResolved", message))
        });
        let unresolved: Vec<Refusal> =
            self.unresolved.iter().cloned().chain(of_listeners).collect();
        resolved_refs(&unresolved)
    }
}

const LISTENERS_NOT_VALID: &str = "ListenersNotValid";

fn refusal(
    planned: &PlannedGateway<'_>,
    listeners: &[JudgedListener<'_, '_>],
    facts: &dyn StatusFacts,
) -> Option<Refusal> {
    let gateway = planned.gateway;
    let parameters = gateway.infrastructure.parameters.as_ref();
    let bad = parameters.and_then(|reference| facts.check_parameters(gateway, reference).err());
    if let Some(why) = bad {
        return Some(Refusal::new("InvalidParameters", why));
    }
    if !planned.has_supported_addresses {
        return Some(Refusal::new("UnsupportedAddress", unsupported_address(gateway)));
    }
    let is_accepted = listeners.iter().any(JudgedListener::is_accepted);
    (!is_accepted)
        .then(|| Refusal::new(LISTENERS_NOT_VALID, complaints(listeners).unwrap_or_default()))
}

fn unsupported_address(gateway: &Gateway) -> String {
    let unsupported = gateway.addresses.iter().find_map(|address| match address {
        GatewayAddress::Unsupported { kind, .. } => Some(&**kind),
        GatewayAddress::Ip(_) | GatewayAddress::Any => None,
    });
    let kind = unsupported.unwrap_or_default();
    format!("addresses of type {kind} are not supported; those of type IPAddress are")
}

/// What keeps clients from listeners; `None` when nothing does.
fn complaints(listeners: &[JudgedListener<'_, '_>]) -> Option<String> {
    let told: Vec<String> = listeners.iter().filter_map(JudgedListener::complaint).collect();
    (!told.is_empty()).then(|| told.join(" | "))
}

/// Whether clients without a valid certificate are let in on any port.
fn is_insecure(gateway: &Gateway) -> bool {
    let of_ports = gateway.frontend.ports.values().flatten();
    let mut validations = gateway.frontend.default.iter().chain(of_ports);
    validations.any(|validation| validation.mode == ClientValidationMode::AllowInsecureFallback)
}

/// The status of a ListenerSet of a Gateway in this state.
pub(super) fn set_status(
    planned: &PlannedListenerSet<'_>,
    listeners: &[JudgedListener<'_, '_>],
    gateway: &GatewayState,
) -> ListenerSetStatus {
    let (accepted, programmed) = (ConditionKind::Accepted, ConditionKind::Programmed);
    let both = |reason, of_programmed, message: &str| {
        vec![
            Condition::fails(accepted, reason, message),
            Condition::fails(programmed, of_programmed, message),
        ]
    };
    let name = &planned.gateway.id;
    if !planned.is_allowed {
        let message = format!(
            "the `allowedListeners` of Gateway {name} take no ListenerSet of this namespace"
        );
        let conditions = both("NotAllowed", "NotAllowed", &message);
        return ListenerSetStatus { conditions, listeners: Vec::new() };
    }
    let conditions = if !gateway.is_accepted {
        let message = format!("Gateway {name} is not accepted");
        both("ParentNotAccepted", "ParentNotProgrammed", &message)
    } else if !listeners.iter().any(|listener| listener.is_usable) {
        let message = complaints(listeners).unwrap_or_default();
        both(LISTENERS_NOT_VALID, LISTENERS_NOT_VALID, &message)
    } else {
        accepted_set(listeners, gateway)
    };
    let listeners = listeners.iter().map(|listener| listener.status(gateway));
    ListenerSetStatus { conditions, listeners: listeners.collect() }
}

fn accepted_set(listeners: &[JudgedListener<'_, '_>], gateway: &GatewayState) -> Vec<Condition> {
    let (accepted, programmed) = (ConditionKind::Accepted, ConditionKind::Programmed);
    let accepted = match complaints(listeners) {
        None => Condition::holds(accepted, "Accepted", "valid"),
        Some(complaints) => Condition::holds(accepted, LISTENERS_NOT_VALID, complaints),
    };
    let programmed = match gateway.progress.refusal() {
        None => Condition::holds(programmed, "Programmed", "in force"),
        Some((_, message)) => Condition::fails(programmed, "ParentNotProgrammed", message),
    };
    vec![accepted, programmed]
}
