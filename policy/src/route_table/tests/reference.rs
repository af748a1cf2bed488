//! The same choice, made slowly and plainly: every match of every route is looked at, and the best one sorted out.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::route::{
    HeaderMatch, ParentKind, ParentRef, PathMatch, QueryMatch, Route, RouteHost, RouteId,
    RouteMatch, RouteTimeouts, RuleDefinition, TextMatch,
};

/// One match of a rule, under one host.
struct Candidate<'r> {
    route: &'r Route,
    host: Option<&'r RouteHost>,
    definition: &'r RuleDefinition,
    condition: &'r RouteMatch,
}

fn choose<'r>(
    routes: &'r [Arc<Route>],
    client: &str,
    port: (u16, &str),
    asked: &Asked,
) -> Option<&'r Arc<RouteRule>> {
    let attached = |route: &&Arc<Route>| route.parents.iter().any(|p| is_of_cart(p, port));
    let consumer = |route: &&Arc<Route>| *route.id.namespace == *client && client != "shop";
    let producer = |route: &&Arc<Route>| *route.id.namespace == *"shop";
    let consumers: Vec<_> = routes.iter().filter(attached).filter(consumer).collect();
    let producers: Vec<_> = routes.iter().filter(attached).filter(producer).collect();
    let acting = if consumers.is_empty() { producers } else { consumers };
    let kind = acting.iter().map(|route| route.id.kind).min()?;
    // None of these requests is one of gRPC.
    if kind != RouteKind::Http {
        return None;
    }
    let acting = acting.into_iter().filter(|route| route.id.kind == kind);
    let mut candidates: Vec<Candidate<'_>> = acting.flat_map(|route| candidates(route)).collect();
    candidates.retain(|candidate| holds(candidate, asked));
    candidates.sort_by(compare);
    candidates.first().map(|candidate| &candidate.definition.rule)
}

fn is_of_cart(parent: &ParentRef, port: (u16, &str)) -> bool {
    let number = match parent.port {
        Some(number) => number == port.0,
        None => true,
    };
    let name = match &parent.section {
        Some(name) => **name == *port.1,
        None => true,
    };
    parent.kind == ParentKind::Service && &*parent.name == "cart" && number && name
}

fn candidates(route: &Route) -> Vec<Candidate<'_>> {
    let hosts: Vec<Option<&RouteHost>> = match route.hosts.is_empty() {
        true => vec![None],
        false => route.hosts.iter().map(Some).collect(),
    };
    let mut found = Vec::new();
    for host in hosts {
        for definition in &route.rules {
            for condition in &definition.matches {
                found.push(Candidate { route, host, definition, condition });
            }
        }
    }
    found
}

fn holds(candidate: &Candidate<'_>, asked: &Asked) -> bool {
    let host = match candidate.host {
        None => true,
        Some(RouteHost::Exact(host)) => asked.host.name() == &**host,
        Some(RouteHost::Below(host)) => asked.host.name().ends_with(&format!(".{host}")),
    };
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let segments = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let path = match &candidate.condition.path {
        PathMatch::Exact(exact) => path == &**exact,
        PathMatch::Prefix(prefix) => segments(path).starts_with(&segments(prefix)),
        PathMatch::Pattern(pattern) => pattern.matches(path.as_bytes()),
        PathMatch::Grpc { .. } => false,
    };
    let value = |text: &TextMatch, value: &str| text.matches(value.as_bytes());
    let headers = candidate.condition.headers.iter().all(|wanted| {
        asked.headers.iter().any(|(name, text)| *name == *wanted.name && value(&wanted.value, text))
    });
    let query = candidate.condition.query.iter().all(|wanted| {
        let first = query.split('&').find(|part| part.split('=').next() == Some(&wanted.name));
        first.is_some_and(|part| value(&wanted.value, part.split_once('=').map_or("", |p| p.1)))
    });
    let method = candidate.condition.method.as_ref().is_none_or(|method| **method == asked.method);
    host && path && headers && query && method
}

/// The order of the standard, step by step: `Less` comes first.
fn compare(a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    let host = |candidate: &Candidate<'_>| match candidate.host {
        Some(RouteHost::Exact(_)) => 1000,
        Some(RouteHost::Below(host)) => host.len() + 2,
        None => 0,
    };
    let path = |candidate: &Candidate<'_>| match &candidate.condition.path {
        PathMatch::Exact(_) => 20_000,
        PathMatch::Prefix(prefix) => 10_000 + prefix.len(),
        PathMatch::Pattern(pattern) => pattern.as_str().len(),
        PathMatch::Grpc { .. } => 0,
    };
    let more = |measure: &dyn Fn(&Candidate<'_>) -> usize| measure(b).cmp(&measure(a));
    let age = |candidate: &Candidate<'_>| {
        candidate.route.created.as_deref().unwrap_or("9999-12-31T23:59:59Z").to_owned()
    };
    let name = |candidate: &Candidate<'_>| {
        (candidate.route.id.namespace.to_string(), candidate.route.id.name.to_string())
    };
    more(&host)
        .then_with(|| more(&path))
        .then_with(|| more(&|c| usize::from(c.condition.method.is_some())))
        .then_with(|| more(&|c| c.condition.headers.len()))
        .then_with(|| more(&|c| c.condition.query.len()))
        .then_with(|| age(a).cmp(&age(b)))
        .then_with(|| name(a).cmp(&name(b)))
        .then_with(|| a.definition.rule.index.cmp(&b.definition.rule.index))
}

fn some<T: std::fmt::Debug + Clone + 'static>(
    values: &'static [T],
) -> impl Strategy<Value = Option<T>> {
    prop::option::of(prop::sample::select(values))
}

const HOSTS: &[&str] = &["a.example", "*.example", "b.a.example", "*.a.example"];
const PATHS: &[&str] = &["", "/a", "/a/b", "/ab", "/b"];
const PATTERNS: &[&str] = &["/a.*", "/[ab]", "/a/[bc]"];
const NAMES: &[&str] = &["x", "y"];
const TIMES: &[&str] = &["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"];

prop_compose! {
    fn any_match()(
        kind in 0..3,
        path in prop::sample::select(PATHS),
        pattern in prop::sample::select(PATTERNS),
        method in some(&["GET", "POST"]),
        headers in prop::sample::subsequence(NAMES, 0..=2),
        query in prop::sample::subsequence(NAMES, 0..=2),
    ) -> RouteMatch {
        let path = match kind {
            0 => PathMatch::Exact(if path.is_empty() { "/".into() } else { path.into() }),
            1 => PathMatch::Prefix(path.into()),
            _ => PathMatch::Pattern(crate::route::RegularExpression::parse(pattern).unwrap()),
        };
        let one = || TextMatch::Exact("1".into());
        RouteMatch {
            path,
            method: method.map(Into::into),
            headers: headers.into_iter().map(|name| HeaderMatch { name: name.into(), value: one() }).collect(),
            query: query.into_iter().map(|name| QueryMatch { name: name.into(), value: one() }).collect(),
        }
    }
}

prop_compose! {
    fn any_route()(
        kind in prop::sample::select(&[RouteKind::Http, RouteKind::Http, RouteKind::Http, RouteKind::Grpc][..]),
        namespace in prop::sample::select(&["shop", "shop", "web"][..]),
        created in some(TIMES),
        port in some(&[80, 81]),
        section in some(&["http", "other"]),
        hosts in prop::sample::subsequence(HOSTS, 0..=2),
        rules in prop::collection::vec(prop::collection::vec(any_match(), 1..3), 1..3),
    ) -> Route {
        let id = RouteId { kind, namespace: namespace.into(), name: "".into() };
        let parent = ParentRef {
            kind: ParentKind::Service,
            namespace: "shop".into(),
            name: "cart".into(),
            port,
            section: section.map(Into::into),
        };
        let hosts = hosts.into_iter().map(|host| match host.strip_prefix("*.") {
            Some(parent) => RouteHost::Below(parent.into()),
            None => RouteHost::Exact(host.into()),
        });
        let rules = rules.into_iter().enumerate().map(|(index, matches)| RuleDefinition {
            matches: matches.into_iter().map(Arc::new).collect(),
            rule: Arc::new(rule(&id, index)),
        });
        Route { created: created.map(Into::into), parents: vec![parent], hosts: hosts.collect(), rules: rules.collect(), id }
    }
}

fn rule(id: &RouteId, index: usize) -> RouteRule {
    RouteRule {
        route: Arc::new(id.clone()),
        label: id.to_string().into(),
        index,
        name: None,
        request_fields: Default::default(),
        response_fields: Default::default(),
        rewrite: None,
        redirect: None,
        mirrors: Vec::new(),
        cors: None,
        timeouts: RouteTimeouts::default(),
        retry: None,
        backends: Vec::new(),
    }
}

/// Routes with names of their own.
fn named(routes: Vec<Route>) -> Vec<Arc<Route>> {
    let named = routes.into_iter().enumerate().map(|(at, mut route)| {
        route.id.name = format!("r{at}").into();
        for definition in &mut route.rules {
            definition.rule = Arc::new(rule(&route.id, definition.rule.index));
        }
        Arc::new(route)
    });
    named.collect()
}

prop_compose! {
    fn any_request()(
        method in prop::sample::select(&["GET", "POST"][..]),
        host in prop::sample::select(&["a.example", "b.a.example", "c.b.a.example", "b.example", "cart"][..]),
        path in prop::sample::select(&["/", "/a", "/a/b", "/a/b/c", "/ab", "/b", "/c"][..]),
        headers in prop::sample::subsequence(NAMES, 0..=2),
        query in prop::sample::subsequence(NAMES, 0..=2),
    ) -> Asked {
        let query: Vec<_> = query.iter().map(|name| format!("{name}=1")).collect();
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) };
        Asked {
            method: method.to_owned(),
            host: HostName::parse(host, Some(80)).unwrap(),
            path,
            headers: headers.into_iter().map(|name| (name.to_owned(), "1".to_owned())).collect(),
        }
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {:?}", self.method, self.host, self.path, self.headers)
    }
}

fn of_routes(routes: &[Arc<Route>], client: &str) -> RouteTable {
    RouteTable { services: Arc::new(attach::by_service(routes, &[], client)) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_table_chooses_as_the_plain_way_does(
        routes in prop::collection::vec(any_route(), 1..6),
        asked in prop::collection::vec(any_request(), 16),
        client in prop::sample::select(&["shop", "web"][..]),
        number in prop::sample::select(&[80, 81][..]),
    ) {
        let routes = named(routes);
        let table = of_routes(&routes, client);
        let acting = table.of_port(CART, number, "http");
        for asked in &asked {
            let expect = choose(&routes, client, (number, "http"), asked);
            let found = acting.as_ref().map_or_else(|| "404".to_owned(), |acting| asked.of(acting));
            prop_assert_eq!(found, shown(expect), "{:?}", asked);
        }
    }

    #[test]
    fn the_order_of_routes_in_files_does_not_matter(
        (routes, shuffled) in prop::collection::vec(any_route(), 1..6).prop_flat_map(|routes| {
            let routes = named(routes);
            (Just(routes.clone()), Just(routes).prop_shuffle())
        }),
        asked in prop::collection::vec(any_request(), 16),
    ) {
        let [first, second] = [routes, shuffled].map(|routes| of_routes(&routes, "web").of_port(CART, 80, "http"));
        prop_assert_eq!(first.is_some(), second.is_some());
        for asked in &asked {
            prop_assert_eq!(first.as_ref().map(|acting| asked.of(acting)), second.as_ref().map(|acting| asked.of(acting)));
        }
    }
}
