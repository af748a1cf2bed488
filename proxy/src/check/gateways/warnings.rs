//! What somebody should look at among the statuses of files.

use std::collections::HashSet;

use policy::gateway::{Gateway, ObjectName};
use policy::gateway_status::{Condition, ConditionKind, GatewayStatuses, ListenerStatus};
use policy::route::{ParentKind, ParentRef};
use policy::{GatewaySelection, Resources};

/// An object, and what is to be said of it.
pub(super) struct ToldOf {
    /// As `kind namespace/name`.
    pub(super) object: String,
    pub(super) message: String,
}

/// Every bad condition, but for those that follow from another one.
pub(super) fn of_statuses(statuses: &GatewayStatuses) -> Vec<ToldOf> {
    let mut all = Vec::new();
    let told = &mut all;
    for (name, status) in &statuses.gateways {
        let object = format!("Gateway {name}");
        let of_itself = status.conditions.iter().filter(|c| !is_of_listeners(c));
        tell(told, &object, "", of_itself);
        tell_listeners(told, &object, &status.listeners);
    }
    for (name, status) in &statuses.listener_sets {
        let object = format!("ListenerSet {name}");
        let of_itself = status.conditions.iter().filter(|c| !is_of_listeners(c));
        tell(told, &object, "", of_itself);
        tell_listeners(told, &object, &status.listeners);
    }
    for (id, status) in &statuses.routes {
        for parent in &status.parents {
            let at = format!("at {}: ", written(&parent.parent_ref));
            tell(told, &id.to_string(), &at, &parent.conditions);
        }
    }
    for (name, status) in &statuses.backend_tls_policies {
        let object = format!("BackendTLSPolicy {name}");
        let ancestors = status.ancestors.iter();
        // Each Gateway is told the same.
        ancestors.take(1).for_each(|at| tell(told, &object, "", &at.conditions));
    }
    all
}

/// Whether it follows from what is told of the listeners.
fn is_of_listeners(condition: &Condition) -> bool {
    ["ListenersNotValid", "ListenersNotResolved"].contains(&condition.reason)
}

fn tell_listeners(told: &mut Vec<ToldOf>, object: &str, listeners: &[ListenerStatus]) {
    for listener in listeners {
        let is_in_the_way = listener
            .conditions
            .iter()
            .any(|condition| condition.kind == ConditionKind::Conflicted && condition.is_bad());
        let own = listener
            .conditions
            .iter()
            .filter(|condition| condition.kind != ConditionKind::Accepted || !is_in_the_way);
        tell(told, object, &format!("listener {}: ", listener.name), own);
    }
}

/// Tells of an object what is bad. That it is not programmed follows from what is wrong with it.
fn tell<'c>(
    told: &mut Vec<ToldOf>,
    object: &str,
    at: &str,
    conditions: impl IntoIterator<Item = &'c Condition>,
) {
    for condition in conditions.into_iter().filter(|condition| condition.is_bad()) {
        let what = match condition.kind {
            ConditionKind::Programmed | ConditionKind::OverlappingTlsConfig => continue,
            ConditionKind::Accepted => "not accepted",
            ConditionKind::ResolvedRefs => "not resolved",
            ConditionKind::Conflicted => "in another one's way",
            ConditionKind::InsecureFrontendValidationMode => "not secure",
        };
        let Condition { reason, message, .. } = condition;
        let message = format!("{at}{what}: {reason}: {message}");
        told.push(ToldOf { object: object.to_owned(), message });
    }
}

fn written(parent: &ParentRef) -> String {
    let kind = match parent.kind {
        ParentKind::Gateway => "Gateway",
        ParentKind::ListenerSet => "ListenerSet",
        ParentKind::Service => "Service",
    };
    format!("{kind} {}/{}", parent.namespace, parent.name)
}

/// What names a class or parent that nobody here knows. In a cluster it may be somebody else's; among files it is mostly
/// misspelt.
pub(super) fn of_strangers(
    statuses: &GatewayStatuses,
    resources: &Resources,
    selection: &GatewaySelection,
) -> Vec<ToldOf> {
    let gateways: HashSet<&ObjectName> =
        resources.gateways().iter().map(|known| &known.id).collect();
    let mut told = strange_classes(statuses, resources, selection);
    let wanted = selection.gateway.as_ref().filter(|wanted| !gateways.contains(wanted));
    told.extend(wanted.map(|wanted| ToldOf {
        object: format!("Gateway {wanted}"),
        message: "`gateway.name` asks for it, and it is not there: nothing is served".to_owned(),
    }));
    let sets = resources.listener_sets().iter();
    let lost = sets.filter(|set| !gateways.contains(&set.parent));
    told.extend(lost.map(|set| ToldOf {
        object: format!("ListenerSet {}", set.id),
        message: format!("there is no Gateway {}", set.parent),
    }));
    told.extend(lost_routes(resources, &gateways));
    told
}

fn strange_classes(
    statuses: &GatewayStatuses,
    resources: &Resources,
    selection: &GatewaySelection,
) -> Vec<ToldOf> {
    let served: HashSet<&ObjectName> = statuses.gateways.iter().map(|(name, _)| name).collect();
    let is_meant = |gateway: &&Gateway| {
        let wanted = selection.gateway.as_ref();
        !served.contains(&gateway.id) && wanted.is_none_or(|wanted| *wanted == gateway.id)
    };
    let strange = resources.gateways().iter().filter(is_meant);
    let told = strange.map(|Gateway { id, class, .. }| ToldOf {
        object: format!("Gateway {id}"),
        message: format!("its class {class} is not {}: nobody here serves it", selection.class),
    });
    told.collect()
}

fn lost_routes(resources: &Resources, gateways: &HashSet<&ObjectName>) -> Vec<ToldOf> {
    let sets: HashSet<&ObjectName> = resources.listener_sets().iter().map(|set| &set.id).collect();
    let is_known = |parent: &ParentRef| {
        let name = ObjectName::new(parent.namespace.clone(), parent.name.clone());
        match parent.kind {
            ParentKind::Gateway => gateways.contains(&name),
            ParentKind::ListenerSet => sets.contains(&name),
            ParentKind::Service => true,
        }
    };
    let of_routes = resources.routes().iter().flat_map(|route| {
        let lost = route.parents.iter().filter(|parent| !is_known(parent));
        lost.map(|parent| ToldOf {
            object: route.id.to_string(),
            message: format!("there is no {}", written(parent)),
        })
    });
    of_routes.collect()
}
