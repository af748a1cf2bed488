//! What somebody should look at among SignIns: targets that are not there, listeners without TLS, logouts that are not
//! heard of, Secrets that are not among the files.

use std::sync::Arc;

use policy::Resources;
use policy::client_traffic::{ClientTrafficTarget, ListenerOwner};
use policy::gateway::{Listener, ListenerProtocol, ObjectName};
use policy::resources::SignIn;
use policy::route::RouteId;
use policy::sign_in::{SessionPlace, SignInTarget};

use super::warnings::ToldOf;

pub(super) fn of_sign_ins(resources: &Resources, session_store: Option<bool>) -> Vec<ToldOf> {
    let told = |sign_in: &SignIn| {
        let object = format!("SignIn {}", sign_in.name());
        let message = move |message| ToldOf { object: object.clone(), message };
        let store = without_store(sign_in, session_store);
        messages(resources, sign_in).into_iter().chain(store).map(message).collect::<Vec<_>>()
    };
    let secrets = resources.sign_in_secret_problems().into_iter();
    let secrets = secrets.filter_map(|problem| {
        let message = format!("{}: nobody passes until then", problem.found);
        Some(ToldOf { object: problem.object?.to_string(), message })
    });
    resources.sign_ins().iter().flat_map(told).chain(secrets).collect()
}

fn messages(resources: &Resources, sign_in: &SignIn) -> Vec<String> {
    let settings = sign_in.settings();
    let of_targets = settings.targets.iter().flat_map(|target| match target {
        SignInTarget::Listener(target) => of_listeners(resources, target),
        SignInTarget::Route(route) => of_route(resources, route).into_iter().collect(),
    });
    let unheard = settings.endpoints.back_channel_logout.is_none().then(|| {
        "it has no backChannelLogoutPath: who signs out at the provider stays signed in here"
            .to_owned()
    });
    of_targets.chain(unheard).collect()
}

/// Without a store of its own a proxy keeps in memory what was to be kept in Redis.
fn without_store(sign_in: &SignIn, session_store: Option<bool>) -> Option<String> {
    let wants = sign_in.settings().session.store == SessionPlace::Redis;
    (wants && session_store == Some(false)).then(|| {
        "its sessions are to be kept in Redis, and the configuration has no `sessions.redis`: they end with the process, and no other replica knows them".to_owned()
    })
}

fn of_route(resources: &Resources, wanted: &RouteId) -> Option<String> {
    let is_there = resources.routes().iter().any(|route| route.id == *wanted);
    (!is_there).then(|| format!("there is no {wanted}"))
}

fn of_listeners(resources: &Resources, target: &ClientTrafficTarget) -> Vec<String> {
    let Some(listeners) = listeners(resources, target.kind, &target.object) else {
        return vec![format!("there is no {} {}", kind(target.kind), target.object)];
    };
    let is_meant = |listener: &&Listener| {
        target.section.as_ref().is_none_or(|section| *section == listener.name)
    };
    let meant: Vec<_> = listeners.iter().filter(is_meant).collect();
    match &target.section {
        Some(section) if meant.is_empty() => vec![without_listener(target, section)],
        _ => meant.into_iter().filter_map(|listener| of_listener(target, listener)).collect(),
    }
}

fn without_listener(target: &ClientTrafficTarget, section: &Arc<str>) -> String {
    format!("{} {} has no listener named {section}", kind(target.kind), target.object)
}

fn of_listener(target: &ClientTrafficTarget, listener: &Listener) -> Option<String> {
    let (kind, object, name) = (kind(target.kind), &target.object, &listener.name);
    match listener.protocol {
        ListenerProtocol::Https => None,
        ListenerProtocol::Http => Some(format!(
            "listener {name} of {kind} {object} has no TLS, and browsers keep no session there: nobody can sign in; name the listeners with TLS by `sectionName`"
        )),
        _ => Some(format!(
            "listener {name} of {kind} {object} carries bytes, and nobody signs in there; name the listeners of HTTPS by `sectionName`"
        )),
    }
}

fn listeners<'r>(
    resources: &'r Resources,
    kind: ListenerOwner,
    object: &ObjectName,
) -> Option<&'r [Listener]> {
    match kind {
        ListenerOwner::Gateway => {
            let found = resources.gateways().iter().find(|gateway| gateway.id == *object)?;
            Some(&found.listeners)
        }
        ListenerOwner::ListenerSet => {
            let found = resources.listener_sets().iter().find(|set| set.id == *object)?;
            Some(&found.listeners)
        }
    }
}

fn kind(kind: ListenerOwner) -> &'static str {
    match kind {
        ListenerOwner::Gateway => "Gateway",
        ListenerOwner::ListenerSet => "ListenerSet",
    }
}
