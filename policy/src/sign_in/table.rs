//! Which SignIn is about a request.

use std::sync::Arc;

use super::{SignInPolicy, SignInSecrets, SignInSettings, SignInTarget};
use crate::client_traffic::{ClientTrafficTarget, ListenerOwner, ListenerPlace};
use crate::gateway::ObjectName;
use crate::pattern::{HostPattern, PathPattern, PatternSpecificity};
use crate::resources::SignIn;
use crate::route::{ParentKind, ParentRef, Route, RouteHost, RouteId, RouteKind};
use crate::{CanonicalPath, HostName, Resources};

/// Every SignIn that may be about a gateway's listeners. The default is empty. Immutable: what was decided by it holds as
/// long as it does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SignInTable {
    /// In the order of their names.
    entries: Vec<SignInEntry>,
}

/// What a gateway itself answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignInEndpoint {
    /// `redirectPath`.
    Callback,
    /// `logoutPath`.
    Logout,
    /// `backChannelLogoutPath`.
    BackChannelLogout,
}

#[derive(Debug, Clone, PartialEq)]
struct SignInEntry {
    policy: Arc<SignInPolicy>,
    /// Where the routes among its targets are attached: there it answers at its own paths, which no route leads to.
    attached: Vec<AttachedRoute>,
}

/// Where a route is attached, and for which hosts.
#[derive(Debug, Clone, PartialEq)]
struct AttachedRoute {
    parents: Vec<ClientTrafficTarget>,
    /// Empty: those of the listener.
    hosts: Vec<RouteHost>,
}

/// More than one SignIn is about a request, each by another reading of its path: an app might take the path for one that
/// another SignIn guards than the one whose session is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path is guarded by one SignIn in one reading, and by another in the other")]
pub struct AmbiguousSignIn;

/// Whether a pattern matches one of the readings of a path.
type PathReading = fn(&PathPattern, &CanonicalPath<'_>) -> bool;

/// How closely a policy means a request: its target, then its hosts, then its paths.
type Closeness = (u8, PatternSpecificity, PatternSpecificity);

impl SignInTable {
    /// Of all SignIns of the set, each with what its Secrets hold.
    pub(crate) fn build(resources: &Resources) -> Self {
        let mut sign_ins: Vec<_> = resources.sign_ins().iter().collect();
        sign_ins.sort_by(|a, b| a.name().cmp(b.name()));
        Self {
            entries: sign_ins.into_iter().map(|found| SignInEntry::of(found, resources)).collect(),
        }
    }

    /// True when there is no SignIn at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All policies, in the order of their names.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<SignInPolicy>> {
        self.entries.iter().map(|entry| &entry.policy)
    }

    /// True when the provider of a policy is this issuer.
    pub fn names(&self, issuer: &str) -> bool {
        self.policies().any(|policy| *policy.settings.issuer == *issuer)
    }

    /// True when a policy is about a route: then the request's route must be known before it can be said who must sign in.
    pub fn asks_for_routes(&self) -> bool {
        let is_route = |target: &SignInTarget| matches!(target, SignInTarget::Route(_));
        self.policies().any(|policy| policy.settings.targets.iter().any(is_route))
    }

    /// The policy under which a request must come from somebody who is signed in; `None`: none is about it. The closest
    /// holds: one about the route before one about the listener, its ListenerSet, its Gateway; then by host, then by path;
    /// then the first by name. `route` is the one that takes the request, as far as any does.
    ///
    /// It is the same however the app reads the path; where only one of its readings is guarded, that counts. How it was
    /// sent is looked at last: no app sees it.
    ///
    /// # Errors
    /// [`AmbiguousSignIn`]: the spelling of the path would choose among several.
    pub fn find(
        &self,
        listener: &ListenerPlace<'_>,
        route: Option<&RouteId>,
        host: &HostName,
        path: &CanonicalPath<'_>,
    ) -> Result<Option<&Arc<SignInPolicy>>, AmbiguousSignIn> {
        let by = |matches: PathReading| {
            closest(self.entries.iter().filter_map(|entry| {
                let settings = &entry.policy.settings;
                let is_about = |pattern: &PathPattern| matches(pattern, path);
                let target = settings.closeness(listener, route)?;
                Some((settings.closeness_to(target, host, Some(&is_about))?, &entry.policy))
            }))
        };
        match (by(PathPattern::matches_canonical), by(PathPattern::matches_decoded)) {
            (Some(one), Some(other)) if !Arc::ptr_eq(one, other) => Err(AmbiguousSignIn),
            (None, None) => Ok(by(PathPattern::matches_raw)),
            (canonical, decoded) => Ok(canonical.or(decoded)),
        }
    }

    /// The policy whose own path this is, on a listener and host that it is about, whatever `paths` it has. Of several, one
    /// about the listener goes before one about a route, whose writer may be another one; then the closest, as in
    /// [`Self::find`].
    pub fn find_endpoint(
        &self,
        listener: &ListenerPlace<'_>,
        host: &HostName,
        path: &CanonicalPath<'_>,
    ) -> Option<(&Arc<SignInPolicy>, SignInEndpoint)> {
        let found = self.entries.iter().filter_map(|entry| {
            let settings = &entry.policy.settings;
            let endpoint = settings.endpoint(path)?;
            let target = entry.endpoint_closeness(listener, host)?;
            let closeness = settings.closeness_to(target, host, None)?;
            Some((closeness, (&entry.policy, endpoint)))
        });
        closest(found)
    }

    /// The headers (lower case) that are made of claims: what a client sends in one of them is not trusted.
    pub fn made_headers(&self) -> impl Iterator<Item = &str> {
        self.policies().flat_map(|policy| policy.settings.made_headers())
    }
}

/// Of two that are as close, the first.
fn closest<T>(found: impl Iterator<Item = (Closeness, T)>) -> Option<T> {
    let better = |best: (Closeness, T), next: (Closeness, T)| {
        if next.0 > best.0 { next } else { best }
    };
    found.reduce(better).map(|(_, found)| found)
}

impl SignInSettings {
    fn closeness(&self, listener: &ListenerPlace<'_>, route: Option<&RouteId>) -> Option<u8> {
        self.targets.iter().filter_map(|target| target.closeness(listener, route)).max()
    }

    /// `is_about` is `None` where paths do not count. `None`: it is not about the request.
    fn closeness_to(
        &self,
        target: u8,
        host: &HostName,
        is_about: Option<&dyn Fn(&PathPattern) -> bool>,
    ) -> Option<Closeness> {
        if !self.takes_host(host) {
            return None;
        }
        let hosts = self.hosts.iter().filter(|pattern| pattern.matches(host));
        let hosts = hosts.map(HostPattern::specificity).max().unwrap_or_default();
        let paths = match is_about {
            Some(is_about) if !self.paths.is_empty() => {
                let paths = self.paths.iter().filter(|pattern| is_about(pattern));
                paths.map(PathPattern::specificity).max()?
            }
            _ => PatternSpecificity::default(),
        };
        Some((target, hosts, paths))
    }
}

impl SignInEntry {
    fn of(found: &SignIn, resources: &Resources) -> Self {
        let settings = Arc::clone(found.settings());
        let (client, keys) = (found.client_secret(), found.keys_secret());
        let secrets = SignInSecrets::of(resources, &settings, client, keys);
        let routes = settings.targets.iter().filter_map(|target| match target {
            SignInTarget::Route(route) => find_route(resources, route),
            SignInTarget::Listener(_) => None,
        });
        Self {
            attached: routes.map(AttachedRoute::of).collect(),
            policy: Arc::new(SignInPolicy { name: Arc::clone(found.name()), settings, secrets }),
        }
    }

    fn endpoint_closeness(&self, listener: &ListenerPlace<'_>, host: &HostName) -> Option<u8> {
        let of_routes = || {
            let mut attached = self.attached.iter();
            attached.any(|route| route.is_at(listener, host)).then_some(0)
        };
        let of_listener = self.policy.settings.closeness(listener, None);
        of_listener.map(|closeness| closeness.saturating_add(1)).or_else(of_routes)
    }
}

/// The HTTPRoute of the set.
pub(super) fn find_route<'r>(resources: &'r Resources, id: &RouteId) -> Option<&'r Route> {
    let routes = resources.routes();
    let found = routes.binary_search_by(|route| route.id.cmp(id)).ok()?;
    routes.get(found).map(|route| &**route).filter(|route| route.id.kind == RouteKind::Http)
}

impl AttachedRoute {
    pub(super) fn of(route: &Route) -> Self {
        Self {
            parents: route.parents.iter().filter_map(listener_target).collect(),
            hosts: route.hosts.clone(),
        }
    }

    fn is_at(&self, listener: &ListenerPlace<'_>, host: &HostName) -> bool {
        self.parents.iter().any(|parent| parent.is_about(listener))
            && (self.hosts.is_empty() || self.hosts.iter().any(|known| known.takes(host.name())))
    }
}

/// A parent that is open at the edge. Of one for a port alone, every listener is taken: the paths are then answered at
/// more places than routes lead from, and at none too few.
pub(super) fn listener_target(parent: &ParentRef) -> Option<ClientTrafficTarget> {
    let kind = match parent.kind {
        ParentKind::Gateway => ListenerOwner::Gateway,
        ParentKind::ListenerSet => ListenerOwner::ListenerSet,
        ParentKind::Service => return None,
    };
    let object = ObjectName::new(Arc::clone(&parent.namespace), Arc::clone(&parent.name));
    Some(ClientTrafficTarget { kind, object, section: parent.section.clone() })
}
