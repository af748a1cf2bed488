//! How a set is made: host by host, so that what has not changed may stay.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::attach::PortScope;
use super::super::order::{ObjectAge, Precedence};
use super::{ConditionalRule, HostRules, RouteSet};
use crate::route::{Route, RouteHost, RouteKind, RouteMatch, RouteRule, RuleDefinition};

/// A set while routes are added.
#[derive(Debug)]
pub(in crate::route_table) struct RouteSetBuilder {
    kind: RouteKind,
    scopes: Vec<PortScope>,
    rules: HashMap<Option<RouteHost>, Vec<RankedRule>>,
}

/// A rule under one of its matches.
#[derive(Debug, Clone)]
struct RankedRule {
    precedence: Precedence,
    rule: ConditionalRule,
}

impl RouteSetBuilder {
    pub(in crate::route_table) fn new(kind: RouteKind) -> Self {
        Self { kind, scopes: Vec::new(), rules: HashMap::new() }
    }

    /// Adds a route's rules, each as `resolve` makes it.
    pub(in crate::route_table) fn add(
        &mut self,
        route: &Route,
        ports: &PortScope,
        resolve: impl Fn(&Arc<RouteRule>) -> Arc<RouteRule>,
    ) {
        let ranked = ranked_rules(route, ports, resolve);
        if route.hosts.is_empty() {
            self.rules.entry(None).or_default().extend(ranked.iter().cloned());
        }
        for host in &route.hosts {
            self.rules.entry(Some(host.clone())).or_default().extend(ranked.iter().cloned());
        }
        if !self.scopes.contains(ports) {
            self.scopes.push(ports.clone());
        }
    }

    pub(in crate::route_table) fn finish(self) -> RouteSet {
        let mut set = RouteSet::empty(self.kind, self.scopes);
        for (host, rules) in self.rules {
            set.put(host.as_ref(), Arc::new(HostRules::of(rules, Box::default())));
        }
        set
    }
}

/// The rules of a route, each under each of its matches.
fn ranked_rules(
    route: &Route,
    ports: &PortScope,
    mut resolve: impl FnMut(&Arc<RouteRule>) -> Arc<RouteRule>,
) -> Vec<RankedRule> {
    let age = Arc::new(ObjectAge::of(route));
    let mut ranked = Vec::new();
    for definition in &route.rules {
        let rule = resolve(&definition.rule);
        ranked.extend(matches(definition, &age).into_iter().map(|(precedence, condition)| {
            let rule = ConditionalRule { ports: ports.clone(), condition, rule: Arc::clone(&rule) };
            RankedRule { precedence, rule }
        }));
    }
    ranked
}

impl RouteSet {
    fn empty(kind: RouteKind, scopes: Vec<PortScope>) -> Self {
        let (exact, below) = (HashMap::new(), HashMap::new());
        Self { kind, scopes, exact, below, any: Arc::default() }
    }

    fn put(&mut self, host: Option<&RouteHost>, rules: Arc<HostRules>) {
        match host {
            Some(RouteHost::Exact(host)) => drop(self.exact.insert(Arc::clone(host), rules)),
            Some(RouteHost::Below(host)) => drop(self.below.insert(Arc::clone(host), rules)),
            None => self.any = rules,
        }
    }

    /// The set of these routes on every port, each by its place, with their rules as `resolve` makes them. What `before` has
    /// for a host of the very same routes stays what it is, so that a change costs the hosts that it is about: `resolve` must
    /// make of a rule what it made of it then.
    pub(crate) fn of_routes<'r>(
        kind: RouteKind,
        routes: impl IntoIterator<Item = (usize, &'r Arc<Route>)>,
        before: Option<&Self>,
        mut resolve: impl FnMut(usize, &Arc<RouteRule>) -> Arc<RouteRule>,
    ) -> Self {
        let mut hosts: HashMap<Option<&RouteHost>, Vec<(usize, &Arc<Route>)>> = HashMap::new();
        for (place, route) in routes {
            if route.hosts.is_empty() {
                hosts.entry(None).or_default().push((place, route));
            }
            for host in &route.hosts {
                hosts.entry(Some(host)).or_default().push((place, route));
            }
        }
        let mut set = Self::empty(kind, vec![PortScope::All]);
        for (host, routes) in hosts {
            let known = before.and_then(|before| before.under(host));
            let same = known.filter(|known| known.is_of(&routes)).map(Arc::clone);
            let rules = same.unwrap_or_else(|| {
                let ranked = routes.iter().flat_map(|(place, route)| {
                    ranked_rules(route, &PortScope::All, |rule| resolve(*place, rule))
                });
                let ranked = ranked.collect();
                let routes = routes.iter().map(|(_, route)| Arc::clone(route)).collect();
                Arc::new(HostRules::of(ranked, routes))
            });
            set.put(host, rules);
        }
        set
    }
}

impl HostRules {
    fn of(mut ranked: Vec<RankedRule>, routes: Box<[Arc<Route>]>) -> Self {
        ranked.sort_by(|a, b| a.precedence.cmp(&b.precedence));
        let mut rules = Self { routes, ..Self::default() };
        ranked.into_iter().for_each(|ranked| rules.push(ranked.rule));
        rules.finish();
        rules
    }

    /// Whether it was made of these very routes.
    fn is_of(&self, routes: &[(usize, &Arc<Route>)]) -> bool {
        let mut pairs = self.routes.iter().zip(routes);
        self.routes.len() == routes.len() && pairs.all(|(own, (_, other))| Arc::ptr_eq(own, other))
    }
}

/// Each match of a rule with its precedence; a rule of connections has none.
fn matches(
    definition: &RuleDefinition,
    age: &Arc<ObjectAge>,
) -> Vec<(Precedence, Option<Arc<RouteMatch>>)> {
    let index = definition.rule.index;
    if definition.matches.is_empty() {
        return vec![(Precedence::of_connections(age, index), None)];
    }
    let matches = definition.matches.iter().enumerate();
    let ranked = |(at, condition): (usize, &Arc<RouteMatch>)| {
        (Precedence::new(condition, age, index, at), Some(Arc::clone(condition)))
    };
    matches.map(ranked).collect()
}
