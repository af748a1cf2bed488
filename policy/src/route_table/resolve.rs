//! Which backends a rule may send to.
//!
//! A backend of another namespace needs a ReferenceGrant there. One does not: the Service itself that the request is
//! for, because that is where it was going without any route.

use std::collections::HashMap;
use std::sync::Arc;

use crate::route::{
    Backend, BackendKind, GrantedKind, InvalidBackend, ParentKind, ParentRef, ReferenceGrant,
    Referrer, Route, RouteId, RouteRule,
};

/// The grants, by the namespace whose objects they are about.
pub(crate) struct Grants<'g>(HashMap<&'g str, Vec<&'g ReferenceGrant>>);

impl<'g> Grants<'g> {
    pub(crate) fn new(grants: &'g [ReferenceGrant]) -> Self {
        let mut by_namespace: HashMap<&str, Vec<&ReferenceGrant>> = HashMap::new();
        for grant in grants {
            by_namespace.entry(&grant.namespace).or_default().push(grant);
        }
        Self(by_namespace)
    }

    /// Whether an object of `from` may refer to one of another namespace.
    pub(crate) fn permit(
        &self,
        referrer: Referrer,
        from: &str,
        kind: GrantedKind,
        namespace: &str,
        name: &str,
    ) -> bool {
        let permits =
            |grant: &&ReferenceGrant| grant.permits(referrer, from, kind, namespace, name);
        self.0.get(namespace).is_some_and(|grants| grants.iter().any(permits))
    }

    /// The rule as it holds for requests to a parent; `None` for those that no Service was asked for, at the edge. It stays
    /// the same value where nothing has to be granted.
    pub(crate) fn resolve(
        &self,
        rule: &Arc<RouteRule>,
        parent: Option<&ParentRef>,
    ) -> Arc<RouteRule> {
        let all = rule.backends.iter().chain(rule.mirrors.iter().map(|mirror| &mirror.backend));
        let is_same =
            |backend: &Backend| backend.invalid == self.why_invalid(&rule.route, parent, backend);
        if all.clone().all(is_same) {
            return Arc::clone(rule);
        }
        let mut resolved = RouteRule::clone(rule);
        let mirrors = resolved.mirrors.iter_mut().map(|mirror| &mut mirror.backend);
        for backend in resolved.backends.iter_mut().chain(mirrors) {
            backend.invalid = self.why_invalid(&rule.route, parent, backend);
        }
        Arc::new(resolved)
    }

    pub(crate) fn why_invalid(
        &self,
        route: &RouteId,
        parent: Option<&ParentRef>,
        backend: &Backend,
    ) -> Option<InvalidBackend> {
        if backend.kind != BackendKind::Service {
            return Some(InvalidBackend::InvalidKind);
        }
        let is_parent = parent.is_some_and(|parent| {
            parent.kind == ParentKind::Service
                && (&parent.namespace, &parent.name) == (&backend.namespace, &backend.name)
        });
        let is_near = backend.namespace == route.namespace || is_parent;
        let granted = || {
            let (referrer, kind) = (Referrer::Route(route.kind), GrantedKind::Service);
            self.permit(referrer, &route.namespace, kind, &backend.namespace, &backend.name)
        };
        (!is_near && !granted()).then_some(InvalidBackend::RefNotPermitted)
    }
}

/// A reference of a route that leads nowhere, for the condition `ResolvedRefs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefProblem {
    /// The reason of the condition.
    pub reason: InvalidBackend,
    /// The rule, from 0.
    pub rule: usize,
    /// What is wrong, for its message.
    pub message: String,
}

impl Route {
    /// The references that lead nowhere, as seen from one parent: `ResolvedRefs` is false with the reason of the first.
    /// `exists` says whether there is a Service (namespace, name) with this port.
    pub fn ref_problems(
        &self,
        parent: &ParentRef,
        grants: &[ReferenceGrant],
        exists: impl Fn(&str, &str, u16) -> bool,
    ) -> Vec<RefProblem> {
        self.ref_problems_at(Some(parent), &Grants::new(grants), exists)
    }

    /// The same with grants that are at hand; without a parent at the edge, where no Service was asked for.
    pub(crate) fn ref_problems_at(
        &self,
        parent: Option<&ParentRef>,
        grants: &Grants<'_>,
        exists: impl Fn(&str, &str, u16) -> bool,
    ) -> Vec<RefProblem> {
        let mut problems = Vec::new();
        for (rule, backend) in self.backends_by_rule() {
            let found = || exists(&backend.namespace, &backend.name, backend.port);
            let reason = grants
                .why_invalid(&self.id, parent, backend)
                .or_else(|| (!found()).then_some(InvalidBackend::BackendNotFound));
            let message = |reason| message(reason, rule, backend);
            problems.extend(reason.map(|reason| RefProblem {
                reason,
                rule,
                message: message(reason),
            }));
        }
        problems
    }

    /// All that it sends to, copies included, with the place of the rule.
    pub(crate) fn backends_by_rule(&self) -> impl Iterator<Item = (usize, &Backend)> {
        self.rules.iter().flat_map(|definition| {
            let rule = &definition.rule;
            let mirrors = rule.mirrors.iter().map(|mirror| &mirror.backend);
            rule.backends.iter().chain(mirrors).map(|backend| (rule.index, backend))
        })
    }

    /// True when another route acts in this one's place on every port that `parent` names: one of a kind that comes
    /// first, in the same role (GEP-1426). `Accepted` is then false, reason `Conflicted`.
    pub fn is_overruled(&self, parent: &ParentRef, among: &[Arc<Self>]) -> bool {
        let is_consumer = |route: &Self, parent: &ParentRef| {
            (route.id.namespace != parent.namespace).then(|| Arc::clone(&route.id.namespace))
        };
        let role = is_consumer(self, parent);
        among.iter().filter(|other| other.id.kind < self.id.kind).any(|other| {
            other.parents.iter().any(|theirs| {
                theirs.is_same_object(parent)
                    && is_consumer(other, theirs) == role
                    && (theirs.port.is_none() || theirs.port == parent.port)
                    && (theirs.section.is_none() || theirs.section == parent.section)
            })
        })
    }
}

fn message(reason: InvalidBackend, rule: usize, backend: &Backend) -> String {
    let Backend { namespace, name, port, .. } = backend;
    match (reason, &backend.kind) {
        (InvalidBackend::InvalidKind, BackendKind::Other(kind)) => {
            format!("rule {rule}: {kind} {namespace}/{name} is no Service")
        }
        (InvalidBackend::RefNotPermitted, _) => {
            format!("rule {rule}: no ReferenceGrant of {namespace} permits Service {name}")
        }
        _ => format!("rule {rule}: there is no Service {namespace}/{name} with port {port}"),
    }
}
