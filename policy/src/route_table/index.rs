//! The rules of one kind on one Service, found by host and path without looking at all of them.
//!
//! Hosts are looked up from the most specific one down, and under each host exact paths, then prefixes from the longest
//! down, then what has to be tried one by one: so rules are met in their order of precedence, and the first whose
//! conditions hold is the one. The lengths of prefixes are known, so that a path of ten thousand segments costs as many
//! look-ups as there are lengths.

mod build;

use std::collections::HashMap;
use std::sync::Arc;

use super::RouteRequest;
use super::attach::PortScope;
use super::conditions;
use crate::route::{PathMatch, Route, RouteHost, RouteKind, RouteMatch, RouteRule, TextMatch};

pub(super) use build::RouteSetBuilder;

/// The rules of one kind.
#[derive(Debug)]
pub(crate) struct RouteSet {
    kind: RouteKind,
    /// The ports that any of the routes acts on.
    scopes: Vec<PortScope>,
    exact: HashMap<Arc<str>, Arc<HostRules>>,
    /// By what comes after `*.`.
    below: HashMap<Arc<str>, Arc<HostRules>>,
    any: Arc<HostRules>,
}

/// The rules under one host, each list in order of precedence.
#[derive(Debug, Default)]
pub(crate) struct HostRules {
    exact: HashMap<Arc<str>, Vec<ConditionalRule>>,
    prefixes: HashMap<Arc<str>, Vec<ConditionalRule>>,
    /// The lengths of the prefixes, the longest first.
    lengths: Vec<usize>,
    /// What is tried one by one; rules of connections, too.
    others: Vec<ConditionalRule>,
    /// The routes that they are of, where these may stay while others change.
    routes: Box<[Arc<Route>]>,
}

/// A rule under one of its matches.
#[derive(Debug, Clone)]
struct ConditionalRule {
    ports: PortScope,
    /// `None` for rules of connections.
    condition: Option<Arc<RouteMatch>>,
    rule: Arc<RouteRule>,
}

impl RouteSet {
    pub(super) fn kind(&self) -> RouteKind {
        self.kind
    }

    /// Whether any route acts on the port.
    pub(super) fn accepts(&self, number: u16, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.accepts(number, name))
    }

    pub(crate) fn choose(
        &self,
        request: &RouteRequest<'_>,
        number: u16,
        name: &str,
    ) -> Option<&Arc<RouteRule>> {
        let takes = match self.kind {
            RouteKind::Http => true,
            RouteKind::Grpc => request.is_grpc,
            RouteKind::Tls | RouteKind::Tcp => false,
        };
        if !takes {
            return None;
        }
        let mut hosts = self.of_host(request.host.name());
        hosts.find_map(|rules| rules.choose(request, number, name))
    }

    pub(crate) fn tls(
        &self,
        server_name: Option<&str>,
        number: u16,
        name: &str,
    ) -> Option<&Arc<RouteRule>> {
        if self.kind != RouteKind::Tls {
            return None;
        }
        let server_name = server_name.unwrap_or_default().to_ascii_lowercase();
        self.of_host(&server_name).find_map(|rules| rules.first(number, name))
    }

    pub(crate) fn tcp(&self, number: u16, name: &str) -> Option<&Arc<RouteRule>> {
        (self.kind == RouteKind::Tcp).then(|| self.any.first(number, name))?
    }

    /// The rules about a host, the most specific pattern first.
    fn of_host<'s, 'h>(
        &'s self,
        host: &'h str,
    ) -> impl Iterator<Item = &'s HostRules> + use<'s, 'h> {
        let exact = self.exact.get(host).into_iter();
        let parents = std::iter::successors(parent(host), |host| parent(host));
        let below = (!self.below.is_empty()).then_some(parents).into_iter().flatten();
        let below = below.filter_map(|parent| self.below.get(parent));
        exact.chain(below).chain(std::iter::once(&self.any)).map(|rules| &**rules)
    }

    /// What is known of this very host.
    #[cfg(test)]
    pub(crate) fn rules_of(&self, host: &str) -> Option<Arc<HostRules>> {
        self.exact.get(host).cloned()
    }

    fn under(&self, host: Option<&RouteHost>) -> Option<&Arc<HostRules>> {
        match host {
            Some(RouteHost::Exact(host)) => self.exact.get(host),
            Some(RouteHost::Below(host)) => self.below.get(host),
            None => Some(&self.any),
        }
    }
}

/// The host without its first label.
fn parent(host: &str) -> Option<&str> {
    host.split_once('.').map(|(_, parent)| parent)
}

impl HostRules {
    fn choose(
        &self,
        request: &RouteRequest<'_>,
        number: u16,
        name: &str,
    ) -> Option<&Arc<RouteRule>> {
        let path = request.path.as_str();
        let holds = |found: &&ConditionalRule| {
            let condition = found.condition.as_deref();
            // A service of gRPC is found as a prefix, and is more than that.
            let is_taken = |c: &RouteMatch| match c.path {
                PathMatch::Grpc { .. } => conditions::path_holds(&c.path, path),
                _ => true,
            };
            found.ports.accepts(number, name)
                && condition
                    .is_some_and(|c| conditions::hold_beside_path(c, request) && is_taken(c))
        };
        let exact = self.exact.get(path).into_iter();
        let others = self.others.iter().filter(|found| {
            let condition = found.condition.as_deref();
            condition.is_some_and(|condition| conditions::path_holds(&condition.path, path))
        });
        let mut found = exact.chain(self.prefixes_of(path)).flatten().chain(others);
        found.find(holds).map(|found| &found.rule)
    }

    /// The rules with a prefix of the path, the longest prefix first.
    fn prefixes_of<'s, 'p>(
        &'s self,
        path: &'p str,
    ) -> impl Iterator<Item = &'s Vec<ConditionalRule>> + use<'s, 'p> {
        self.lengths.iter().filter_map(move |length| {
            let (prefix, rest) = path.split_at_checked(*length)?;
            let is_whole = rest.is_empty() || rest.starts_with('/');
            is_whole.then(|| self.prefixes.get(prefix))?
        })
    }

    fn first(&self, number: u16, name: &str) -> Option<&Arc<RouteRule>> {
        let mut acting = self.others.iter().filter(|found| found.ports.accepts(number, name));
        acting.next().map(|found| &found.rule)
    }

    fn push(&mut self, rule: ConditionalRule) {
        let list = match path_key(rule.condition.as_deref()) {
            PathKey::Exact(path) => self.exact.entry(path).or_default(),
            PathKey::Prefix(prefix) => self.prefixes.entry(prefix).or_default(),
            PathKey::Other => &mut self.others,
        };
        list.push(rule);
    }

    /// After the last rule.
    fn finish(&mut self) {
        let lists = self.exact.values_mut().chain(self.prefixes.values_mut());
        lists.chain([&mut self.others]).for_each(Vec::shrink_to_fit);
        self.lengths = self.prefixes.keys().map(|prefix| prefix.len()).collect();
        self.lengths.sort_unstable_by(|a, b| b.cmp(a));
        self.lengths.dedup();
    }
}

/// Where a match is found.
enum PathKey {
    Exact(Arc<str>),
    Prefix(Arc<str>),
    Other,
}

/// A gRPC service that is named exactly is a path, or the beginning of one.
fn path_key(condition: Option<&RouteMatch>) -> PathKey {
    match condition.map(|condition| &condition.path) {
        Some(PathMatch::Exact(path)) => PathKey::Exact(Arc::clone(path)),
        Some(PathMatch::Prefix(prefix)) => PathKey::Prefix(Arc::clone(prefix)),
        Some(PathMatch::Grpc {
            service: Some(TextMatch::Exact(service)),
            method: Some(TextMatch::Exact(method)),
        }) => PathKey::Exact(format!("/{service}/{method}").into()),
        Some(PathMatch::Grpc { service: Some(TextMatch::Exact(service)), method: None }) => {
            PathKey::Prefix(format!("/{service}").into())
        }
        _ => PathKey::Other,
    }
}
