//! SignIns that can meet on one host: a browser sends each of them the other's cookies, and of two that answer at one path
//! only one is asked.

use super::SignInTarget;
use super::table::{find_route, listener_target};
use crate::client_traffic::{ClientTrafficTarget, ListenerOwner};
use crate::pattern::TextPattern;
use crate::resources::SignIn;
use crate::route::RouteHost;
use crate::{Diagnostic, DiagnosticCode, Resources};

/// A listener, or several, and the hosts that count there; no hosts: all.
struct MeetingPlace {
    target: ClientTrafficTarget,
    hosts: Vec<TextPattern>,
}

/// What is wrong between SignIns that can meet, told of the one whose name comes later.
pub(crate) fn clashes(resources: &Resources) -> Vec<Diagnostic> {
    let mut rest = resources.sign_ins();
    let mut found = Vec::new();
    while let Some((one, others)) = rest.split_first() {
        let meeting = others.iter().filter(|other| meet(resources, one, other));
        found.extend(meeting.filter_map(|other| clash(one, other)));
        rest = others;
    }
    found
}

fn clash(one: &SignIn, other: &SignIn) -> Option<Diagnostic> {
    let (own, theirs) = (one.settings(), other.settings());
    let suffix = &own.session.cookie_suffix;
    let (found, expected) = if let Some(path) = shared_path(one, other) {
        (format!("the path {path}, at which SignIn {} answers, too", one.name()), PATHS)
    } else if *suffix == theirs.session.cookie_suffix {
        (format!("the cookieSuffix \"{suffix}\", which SignIn {} has, too", one.name()), SUFFIXES)
    } else if own.means_the_same_as(theirs) {
        (format!("the targets, hosts and paths of SignIn {}", one.name()), SCOPES)
    } else {
        return None;
    };
    let fix = "they can meet on one host of a listener; docs/sign-in.md, Several providers";
    let diagnostic = other.diagnostic(found, expected, Some(fix.to_owned()));
    Some(diagnostic.with_code(DiagnosticCode::Repeated))
}

const PATHS: &str = "a redirectPath, logoutPath and backChannelLogoutPath of its own";
const SUFFIXES: &str = "a `session.cookieSuffix` of its own";
const SCOPES: &str = "another target, host or path: of these two, only the first would ever hold";

fn shared_path<'s>(one: &'s SignIn, other: &SignIn) -> Option<&'s str> {
    let theirs: Vec<_> = other.settings().endpoints.all().collect();
    one.settings().endpoints.all().find(|path| theirs.contains(path))
}

fn meet(resources: &Resources, one: &SignIn, other: &SignIn) -> bool {
    let (own, theirs) = (places(resources, one), places(resources, other));
    let [own_hosts, their_hosts] = [one, other].map(hosts);
    overlap(&own_hosts, &their_hosts)
        && own.iter().any(|a| {
            theirs.iter().any(|b| {
                touch(resources, &a.target, &b.target)
                    && overlap(&a.hosts, &b.hosts)
                    && overlap(&a.hosts, &their_hosts)
                    && overlap(&own_hosts, &b.hosts)
            })
        })
}

fn hosts(sign_in: &SignIn) -> Vec<TextPattern> {
    sign_in.settings().hosts.iter().map(|pattern| pattern.name().clone()).collect()
}

/// Where it holds. A route that is not there holds nowhere.
fn places(resources: &Resources, sign_in: &SignIn) -> Vec<MeetingPlace> {
    let of = |target: &SignInTarget| match target {
        SignInTarget::Listener(target) => {
            vec![MeetingPlace { target: target.clone(), hosts: Vec::new() }]
        }
        SignInTarget::Route(id) => {
            let Some(route) = find_route(resources, id) else { return Vec::new() };
            let targets = route.parents.iter().filter_map(listener_target);
            let hosts: Vec<_> = route.hosts.iter().map(host_pattern).collect();
            targets.map(|target| MeetingPlace { target, hosts: hosts.clone() }).collect()
        }
    };
    sign_in.settings().targets.iter().flat_map(of).collect()
}

fn host_pattern(host: &RouteHost) -> TextPattern {
    match host {
        RouteHost::Exact(host) => TextPattern::Exact((**host).into()),
        RouteHost::Below(parent) => TextPattern::Suffix(format!(".{parent}").into()),
    }
}

/// Whether there is a listener that both mean.
fn touch(resources: &Resources, a: &ClientTrafficTarget, b: &ClientTrafficTarget) -> bool {
    match (a.kind, b.kind) {
        (ListenerOwner::Gateway, ListenerOwner::ListenerSet) => holds_set(resources, a, b),
        (ListenerOwner::ListenerSet, ListenerOwner::Gateway) => holds_set(resources, b, a),
        _ => {
            let sections = a.section.as_ref().zip(b.section.as_ref());
            a.object == b.object && sections.is_none_or(|(one, other)| one == other)
        }
    }
}

/// Whether the Gateway as a whole is meant, and the ListenerSet is one of its own.
fn holds_set(
    resources: &Resources,
    gateway: &ClientTrafficTarget,
    set: &ClientTrafficTarget,
) -> bool {
    let mut sets = resources.listener_sets().iter().filter(|known| known.id == set.object);
    gateway.section.is_none() && sets.any(|known| known.parent == gateway.object)
}

/// Whether some host is meant by both lists.
fn overlap(one: &[TextPattern], other: &[TextPattern]) -> bool {
    one.is_empty()
        || other.is_empty()
        || one.iter().any(|a| other.iter().any(|b| texts_overlap(a, b)))
}

fn texts_overlap(a: &TextPattern, b: &TextPattern) -> bool {
    use TextPattern::{Exact, Prefix, Present, Suffix};
    match (a, b) {
        (Exact(text), pattern) | (pattern, Exact(text)) => pattern.matches(&**text),
        (Prefix(one), Prefix(other)) => one.starts_with(&**other) || other.starts_with(&**one),
        (Suffix(one), Suffix(other)) => one.ends_with(&**other) || other.ends_with(&**one),
        (Present | Prefix(_) | Suffix(_), Present | Prefix(_) | Suffix(_)) => true,
    }
}
