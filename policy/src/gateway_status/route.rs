//! What is said of a route at its parents.

use std::collections::HashMap;

use super::listener::{Refusal, resolved_refs};
use super::{Condition, ConditionKind, RouteParentStatus, RouteStatus, StatusFacts};
use crate::gateway::ObjectName;
use crate::route::{ParentKind, ParentRef, Route, RouteId};
use crate::route_table::resolve::Grants;
use crate::{GatewayPlan, NotAttached, PlannedListenerSet, Resources, RouteAttachment};

/// The statuses of all routes with a parent that is served.
pub(super) fn statuses(
    plan: &GatewayPlan<'_>,
    resources: &Resources,
    facts: &dyn StatusFacts,
) -> Vec<(RouteId, RouteStatus)> {
    let grants = Grants::new(resources.reference_grants());
    let sets = plan.listener_sets().iter();
    let sets: HashMap<&ObjectName, _> = sets.map(|planned| (&planned.set.id, planned)).collect();
    let of_routes = plan.attachments().chunk_by(|a, b| a.route.id == b.route.id);
    let statuses = of_routes.filter_map(|attachments| {
        let route = &attachments.first()?.route;
        let resolved = resolved_refs(&unresolved(route, &grants, facts));
        let parents = attachments.iter().map(|attachment| RouteParentStatus {
            parent_ref: attachment.parent.clone(),
            conditions: vec![accepted(attachment, &sets), resolved.clone()],
        });
        Some((route.id.clone(), RouteStatus { parents: parents.collect() }))
    });
    statuses.collect()
}

fn accepted(
    attachment: &RouteAttachment<'_>,
    sets: &HashMap<&ObjectName, &PlannedListenerSet<'_>>,
) -> Condition {
    let kind = ConditionKind::Accepted;
    match &attachment.listeners {
        Ok(_) => Condition::holds(kind, "Accepted", "in force"),
        Err(why) => Condition::fails(kind, why.as_str(), not_attached(attachment, *why, sets)),
    }
}

fn not_attached(
    attachment: &RouteAttachment<'_>,
    why: NotAttached,
    sets: &HashMap<&ObjectName, &PlannedListenerSet<'_>>,
) -> String {
    let (route, parent) = (&attachment.route.id, attachment.parent);
    let name = ObjectName::new(parent.namespace.clone(), parent.name.clone());
    let written = match parent.kind {
        ParentKind::ListenerSet => format!("ListenerSet {name}"),
        ParentKind::Gateway | ParentKind::Service => format!("Gateway {name}"),
    };
    let is_refused = parent.kind == ParentKind::ListenerSet
        && sets.get(&name).is_some_and(|planned| !planned.is_allowed);
    match why {
        NotAttached::NoMatchingParent if is_refused => {
            format!("{written} is not allowed at its Gateway")
        }
        NotAttached::NoMatchingParent => format!("{written} has no listener{}", named(parent)),
        NotAttached::NotAllowedByListeners => format!(
            "no listener{} of {written} takes a {} of namespace {}",
            named(parent),
            route.kind.as_str(),
            route.namespace
        ),
        NotAttached::NoMatchingListenerHostname => {
            format!("no listener{} of {written} is for a host of the route", named(parent))
        }
    }
}

/// Which listeners of its parent a reference is about.
fn named(parent: &ParentRef) -> String {
    let section = parent.section.as_ref().map(|section| format!(" named {section}"));
    let port = parent.port.map(|port| format!(" of port {port}"));
    format!("{}{}", section.unwrap_or_default(), port.unwrap_or_default())
}

/// The references to backends that lead nowhere, or to what nobody here can speak to.
fn unresolved(route: &Route, grants: &Grants<'_>, facts: &dyn StatusFacts) -> Vec<Refusal> {
    let exists = |namespace: &str, name: &str, port| facts.has_service_port(namespace, name, port);
    let problems = route.ref_problems_at(None, grants, exists);
    let mut found: Vec<Refusal> = problems
        .into_iter()
        .map(|problem| Refusal::new(problem.reason.as_str(), problem.message))
        .collect();
    if found.is_empty() {
        found.extend(unsupported(route, facts));
    }
    found
}

fn unsupported(route: &Route, facts: &dyn StatusFacts) -> Option<Refusal> {
    route.backends_by_rule().find_map(|(_, backend)| {
        let (namespace, name, port) = (&backend.namespace, &backend.name, backend.port);
        let protocol = facts.unsupported_protocol(namespace, name, port)?;
        let message = format!("port {port} of Service {namespace}/{name} speaks {protocol}");
        Some(Refusal::new("UnsupportedProtocol", message))
    })
}

/// The Services that a Gateway's routes lead to, each once: what is not granted is left out.
pub(super) fn services_led_to<'r>(
    attachment: &RouteAttachment<'r>,
    grants: &Grants<'_>,
) -> Vec<(&'r str, &'r str)> {
    let route: &'r Route = attachment.route;
    let valid = route
        .backends_by_rule()
        .filter(|(_, backend)| grants.why_invalid(&route.id, None, backend).is_none());
    let mut found: Vec<_> =
        valid.map(|(_, backend)| (&*backend.namespace, &*backend.name)).collect();
    found.sort_unstable();
    found.dedup();
    found
}
