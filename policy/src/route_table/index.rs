//! The rules of one kind on one Service, found by host and path without looking at all of them.
//!
//! Hosts are looked up from the most specific one down, and under each host exact paths, then prefixes from the longest
//! down, then what has to be tried one by one: so rules are met in their order of precedence, and the first whose
//! conditions hold is the one. The lengths of prefixes are known, so that a path of ten thousand segments costs as many
//! look-ups as there are lengths.

use std::collections::HashMap;
use std::sync::Arc;

use super::RouteRequest;
use super::attach::PortScope;
use super::conditions;
use super::order::{Precedence, RouteAge};
use crate::route::{
    PathMatch, Route, RouteHost, RouteKind, RouteMatch, RouteRule, RuleDefinition, TextMatch,
};

/// The rules of one kind.
#[derive(Debug)]
pub(super) struct RouteSet {
    kind: RouteKind,
    /// The ports that any of the routes acts on.
    scopes: Vec<PortScope>,
    exact: HashMap<Arc<str>, HostRules>,
    /// By what comes after `*.`.
    below: HashMap<Arc<str>, HostRules>,
    any: HostRules,
}

/// The rules under one host.
#[derive(Debug, Default)]
struct HostRules {
    exact: HashMap<Arc<str>, Vec<RankedRule>>,
    prefixes: HashMap<Arc<str>, Vec<RankedRule>>,
    /// The lengths of the prefixes, the longest first.
    lengths: Vec<usize>,
    /// What is tried one by one; rules of connections, too.
    others: Vec<RankedRule>,
}

/// A rule under one of its matches.
#[derive(Debug, Clone)]
struct RankedRule {
    precedence: Precedence,
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

    pub(super) fn choose(
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

    pub(super) fn tls(
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

    pub(super) fn tcp(&self, number: u16, name: &str) -> Option<&Arc<RouteRule>> {
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
        exact.chain(below).chain(std::iter::once(&self.any))
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
        let holds = |ranked: &&RankedRule| {
            let condition = ranked.condition.as_deref();
            ranked.ports.accepts(number, name)
                && condition.is_some_and(|c| conditions::hold_beside_path(c, request))
        };
        let exact = self.exact.get(path).into_iter();
        let others = self.others.iter().filter(|ranked| {
            let condition = ranked.condition.as_deref();
            condition.is_some_and(|condition| conditions::path_holds(&condition.path, path))
        });
        let mut found = exact.chain(self.prefixes_of(path)).flatten().chain(others);
        found.find(holds).map(|ranked| &ranked.rule)
    }

    /// The rules with a prefix of the path, the longest prefix first.
    fn prefixes_of<'s, 'p>(
        &'s self,
        path: &'p str,
    ) -> impl Iterator<Item = &'s Vec<RankedRule>> + use<'s, 'p> {
        self.lengths.iter().filter_map(move |length| {
            let (prefix, rest) = path.split_at_checked(*length)?;
            let is_whole = rest.is_empty() || rest.starts_with('/');
            is_whole.then(|| self.prefixes.get(prefix))?
        })
    }

    fn first(&self, number: u16, name: &str) -> Option<&Arc<RouteRule>> {
        let mut acting = self.others.iter().filter(|ranked| ranked.ports.accepts(number, name));
        acting.next().map(|ranked| &ranked.rule)
    }

    fn add(&mut self, ranked: RankedRule) {
        let list = match path_key(ranked.condition.as_deref()) {
            PathKey::Exact(path) => self.exact.entry(path).or_default(),
            PathKey::Prefix(prefix) => self.prefixes.entry(prefix).or_default(),
            PathKey::Other => &mut self.others,
        };
        list.push(ranked);
    }

    fn sort(&mut self) {
        let lists = self.exact.values_mut().chain(self.prefixes.values_mut());
        for list in lists.chain([&mut self.others]) {
            list.sort_by(|a, b| a.precedence.cmp(&b.precedence));
            list.shrink_to_fit();
        }
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

/// A set while routes are added.
#[derive(Debug)]
pub(super) struct RouteSetBuilder(RouteSet);

impl RouteSetBuilder {
    pub(super) fn new(kind: RouteKind) -> Self {
        Self(RouteSet {
            kind,
            scopes: Vec::new(),
            exact: HashMap::new(),
            below: HashMap::new(),
            any: HostRules::default(),
        })
    }

    /// Adds a route's rules, each as `resolve` makes it.
    pub(super) fn add(
        &mut self,
        route: &Route,
        ports: PortScope,
        resolve: impl Fn(&Arc<RouteRule>) -> Arc<RouteRule>,
    ) {
        let age = RouteAge::of(route);
        for definition in &route.rules {
            let rule = resolve(&definition.rule);
            for ranked in ranked(definition, &rule, &age, &ports) {
                self.under_hosts(route, &ranked);
            }
        }
        if !self.0.scopes.contains(&ports) {
            self.0.scopes.push(ports);
        }
    }

    fn under_hosts(&mut self, route: &Route, ranked: &RankedRule) {
        if route.hosts.is_empty() {
            self.0.any.add(ranked.clone());
        }
        for host in &route.hosts {
            let rules = match host {
                RouteHost::Exact(host) => self.0.exact.entry(Arc::clone(host)),
                RouteHost::Below(host) => self.0.below.entry(Arc::clone(host)),
            };
            rules.or_default().add(ranked.clone());
        }
    }

    pub(super) fn finish(self) -> RouteSet {
        let mut set = self.0;
        let named = set.exact.values_mut().chain(set.below.values_mut());
        named.chain([&mut set.any]).for_each(HostRules::sort);
        set
    }
}

/// The rule under each of its matches; one of connections has none.
fn ranked(
    definition: &RuleDefinition,
    rule: &Arc<RouteRule>,
    age: &RouteAge,
    ports: &PortScope,
) -> Vec<RankedRule> {
    let ranked = |precedence, condition| RankedRule {
        precedence,
        ports: ports.clone(),
        condition,
        rule: Arc::clone(rule),
    };
    if definition.matches.is_empty() {
        return vec![ranked(Precedence::of_connections(age, rule.index), None)];
    }
    let matches = definition.matches.iter().enumerate();
    let each = matches.map(|(at, condition)| {
        let precedence = Precedence::new(condition, age, rule.index, at);
        ranked(precedence, Some(Arc::clone(condition)))
    });
    each.collect()
}
