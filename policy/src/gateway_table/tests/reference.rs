//! The same answers, found slowly and plainly: every listener of every Gateway is looked at, then every route.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

/// A listener: its port, protocol and host (empty: every one), and whether routes of all namespaces may attach.
#[derive(Debug, Clone)]
struct WrittenListener {
    port: u16,
    protocol: &'static str,
    host: &'static str,
    takes_all: bool,
}

#[derive(Debug, Clone)]
struct WrittenGateway {
    name: String,
    namespace: &'static str,
    created: &'static str,
    listeners: Vec<WrittenListener>,
}

#[derive(Debug, Clone)]
struct WrittenRoute {
    name: String,
    namespace: &'static str,
    created: &'static str,
    /// The place of the Gateway, the name of a listener (or empty) and a port (or 0).
    parents: Vec<(usize, String, u16)>,
    hosts: Vec<&'static str>,
    prefixes: Vec<&'static str>,
}

const HOSTS: &[&str] = &["", "a.example", "*.example", "b.a.example", "*.a.example"];
const TIMES: &[&str] = &["", OLD, YOUNG];
const NAMESPACES: &[&str] = &["shop", "web"];

prop_compose! {
    fn any_listener()(
        port in prop::sample::select(&[80_u16, 80, 81][..]),
        protocol in prop::sample::select(&["HTTP", "HTTP", "HTTP", "HTTP", "TCP"][..]),
        host in prop::sample::select(HOSTS),
        takes_all in any::<bool>(),
    ) -> WrittenListener {
        WrittenListener { port, protocol, host: if protocol == "TCP" { "" } else { host }, takes_all }
    }
}

prop_compose! {
    fn any_gateway()(
        namespace in prop::sample::select(NAMESPACES),
        created in prop::sample::select(TIMES),
        mut listeners in prop::collection::vec(any_listener(), 1..5),
    ) -> WrittenGateway {
        // What the standard refuses at once is no question here.
        let mut seen = Vec::new();
        listeners.retain(|l| {
            let key = (l.port, l.protocol, l.host);
            !seen.contains(&key) && { seen.push(key); true }
        });
        WrittenGateway { name: String::new(), namespace, created, listeners }
    }
}

prop_compose! {
    fn any_route()(
        namespace in prop::sample::select(NAMESPACES),
        created in prop::sample::select(TIMES),
        parents in prop::collection::vec((0..3_usize, 0..6_usize, prop::sample::select(&[0_u16, 0, 80, 81][..])), 1..3),
        hosts in prop::sample::subsequence(&HOSTS[1..], 0..=2),
        prefixes in prop::collection::vec(prop::sample::select(&["/", "/a", "/a/b"][..]), 1..3),
    ) -> WrittenRoute {
        let section = |at: usize| if at < 3 { format!("l{at}") } else { String::new() };
        let mut named: Vec<_> = parents.into_iter().map(|(gateway, at, port)| (gateway, section(at), port)).collect();
        named.sort();
        named.dedup();
        WrittenRoute { name: String::new(), namespace, created, parents: named, hosts, prefixes }
    }
}

fn named(
    mut gateways: Vec<WrittenGateway>,
    mut routes: Vec<WrittenRoute>,
) -> (Vec<WrittenGateway>, Vec<WrittenRoute>) {
    // Later ones have earlier names, so that the order of names is not that of writing.
    gateways.iter_mut().enumerate().for_each(|(at, gateway)| gateway.name = format!("g{}", 9 - at));
    routes.iter_mut().enumerate().for_each(|(at, route)| {
        route.name = format!("r{}", 9 - at);
        route.parents.retain(|(gateway, ..)| *gateway < gateways.len());
    });
    routes.retain(|route| !route.parents.is_empty());
    (gateways, routes)
}

fn documents(gateways: &[WrittenGateway], routes: &[WrittenRoute]) -> Vec<String> {
    let gateway = |written: &WrittenGateway| {
        let listeners = written.listeners.iter().enumerate().map(|(at, listener)| {
            let host = if listener.host.is_empty() { String::new() } else { format!(", hostname: '{}'", listener.host) };
            let from = if listener.takes_all { "All" } else { "Same" };
            format!("{{name: l{at}, port: {}, protocol: {}{host}, allowedRoutes: {{namespaces: {{from: {from}}}}}}}", listener.port, listener.protocol)
        });
        let name = format!("{}{}", written.name, stamp(written.created));
        gateway_of(written.namespace, &name, "", &listeners.collect::<Vec<_>>().join(", "))
    };
    let route = |written: &WrittenRoute| {
        let parents = written.parents.iter().map(|(at, section, port)| {
            let parent = &gateways[*at];
            let section = if section.is_empty() {
                String::new()
            } else {
                format!(", sectionName: {section}")
            };
            let port = if *port == 0 { String::new() } else { format!(", port: {port}") };
            format!("{{name: {}, namespace: {}{section}{port}}}", parent.name, parent.namespace)
        });
        let hosts: Vec<_> = written.hosts.iter().map(|host| format!("'{host}'")).collect();
        let hosts = if hosts.is_empty() {
            String::new()
        } else {
            format!("hostnames: [{}],", hosts.join(", "))
        };
        let rules = written
            .prefixes
            .iter()
            .map(|prefix| format!("{{matches: [{{path: {{value: {prefix}}}}}]}}"));
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {}, namespace: {}{}}}\nspec: {{parentRefs: [{}], {hosts} rules: [{}]}}\n",
            written.name,
            written.namespace,
            stamp(written.created),
            parents.collect::<Vec<_>>().join(", "),
            rules.collect::<Vec<_>>().join(", ")
        )
    };
    gateways.iter().map(gateway).chain(routes.iter().map(route)).collect()
}

/// Exact hosts before wildcards, long ones before short ones, and nothing last.
fn specificity(host: &str) -> usize {
    match host.strip_prefix('*') {
        _ if host.is_empty() => 0,
        Some(parent) => parent.len(),
        None => 1_000,
    }
}

fn means(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        _ if pattern.is_empty() => true,
        Some(parent) => host.ends_with(parent) && host.len() > parent.len(),
        None => pattern == host,
    }
}

fn age<'w>(
    created: &'w str,
    namespace: &'w str,
    name: &'w str,
) -> (bool, &'w str, &'w str, &'w str) {
    (created.is_empty(), created, namespace, name)
}

/// The listeners that have their port, as places of Gateway and listener.
fn accepted(gateways: &[WrittenGateway]) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..gateways.len()).collect();
    order.sort_by_key(|at| {
        let gateway = &gateways[*at];
        age(gateway.created, gateway.namespace, &gateway.name)
    });
    let mut accepted: Vec<(usize, usize)> = Vec::new();
    for gateway in order {
        let own = &gateways[gateway].listeners;
        let clash = |a: &WrittenListener, b: &WrittenListener| {
            a.port == b.port && (a.protocol != b.protocol || a.host == b.host)
        };
        let before = |at: &usize| {
            accepted.iter().any(|(g, l)| clash(&gateways[*g].listeners[*l], &own[*at]))
        };
        let left: Vec<usize> = (0..own.len()).filter(|at| !before(at)).collect();
        let within =
            |at: usize| left.iter().any(|other| *other != at && clash(&own[*other], &own[at]));
        let found: Vec<_> =
            left.iter().filter(|at| !within(**at)).map(|at| (gateway, *at)).collect();
        accepted.extend(found);
    }
    accepted
}

fn answer(
    gateways: &[WrittenGateway],
    routes: &[WrittenRoute],
    port: u16,
    host: &str,
    path: &str,
) -> String {
    let listener = |(gateway, at): &(usize, usize)| &gateways[*gateway].listeners[*at];
    let on_port = accepted(gateways).into_iter().filter(|place| listener(place).port == port);
    let on_port: Vec<_> = on_port.collect();
    if on_port.is_empty() {
        return "no port".to_owned();
    }
    let meant = on_port.iter().filter(|place| means(listener(place).host, host));
    let Some(place) = meant.max_by_key(|place| specificity(listener(place).host)) else {
        return "no listener".to_owned();
    };
    let chosen = listener(place);
    let gateway = &gateways[place.0];
    let label = format!("{}:l{}", gateway.name, place.1);
    if chosen.protocol != "HTTP" {
        return format!("{label} 404");
    }
    let mut candidates = Vec::new();
    for route in routes {
        let names = |(at, section, port): &(usize, String, u16)| {
            *at == place.0
                && (section.is_empty() || *section == format!("l{}", place.1))
                && (*port == 0 || *port == chosen.port)
        };
        let allowed = chosen.takes_all || route.namespace == gateway.namespace;
        if !allowed || !route.parents.iter().any(names) {
            continue;
        }
        let hosts = if route.hosts.is_empty() { vec![""] } else { route.hosts.clone() };
        for own in hosts.into_iter().filter(|own| means(own, host)) {
            for (rule, prefix) in route.prefixes.iter().enumerate() {
                let whole = prefix.trim_end_matches('/');
                let below = path.strip_prefix(whole);
                if !below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                    continue;
                }
                let age = age(route.created, route.namespace, &route.name);
                let key = (Reverse(specificity(own)), Reverse(whole.len()), age, rule);
                candidates.push((key, format!("{}/{rule}", route.name)));
            }
        }
    }
    candidates.sort();
    let rule = candidates.first().map_or("404", |(_, rule)| rule);
    format!("{label} {rule}")
}

/// As [`asked`], with the name of the Gateway before that of the listener.
fn found(table: &GatewayTable, port: u16, host: &str, path: &str) -> String {
    let answer = asked(table, port, host, path);
    let listener = table.port(None, port).and_then(|port| port.by_host(host));
    match listener {
        Some(listener) => format!("{}:{answer}", listener.gateway.name),
        None => answer,
    }
}

fn every_request() -> Vec<(u16, &'static str, &'static str)> {
    let mut all = Vec::new();
    for port in [80, 81, 82] {
        for host in ["a.example", "b.example", "b.a.example", "c.b.a.example", "example", "org"] {
            all.extend(["/", "/a", "/a/b/c", "/ab"].map(|path| (port, host, path)));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_table_answers_as_the_plain_way_does(
        gateways in prop::collection::vec(any_gateway(), 1..4),
        routes in prop::collection::vec(any_route(), 0..6),
    ) {
        let (gateways, routes) = named(gateways, routes);
        let table = table(&documents(&gateways, &routes).concat());
        for (port, host, path) in every_request() {
            let expect = answer(&gateways, &routes, port, host, path);
            prop_assert_eq!(found(&table, port, host, path), expect, "{} {} {}", port, host, path);
        }
    }

    #[test]
    fn the_order_of_documents_does_not_matter(
        (first, second) in (prop::collection::vec(any_gateway(), 1..4), prop::collection::vec(any_route(), 0..6))
            .prop_flat_map(|(gateways, routes)| {
                let (gateways, routes) = named(gateways, routes);
                let written = documents(&gateways, &routes);
                (Just(written.concat()), Just(written).prop_shuffle().prop_map(|shuffled| shuffled.concat()))
            }),
    ) {
        prop_assert_eq!(said(&first), said(&second));
        let (first, second) = (table(&first), table(&second));
        for (port, host, path) in every_request() {
            prop_assert_eq!(found(&first, port, host, path), found(&second, port, host, path));
        }
    }
}
