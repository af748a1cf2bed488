//! What stays of a table when something changes, and what must not.

use super::*;
use crate::ReadFile;

fn read(text: &str) -> ReadFile {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    ReadFile::read(&file, "postern-system").unwrap()
}

fn route(name: &str, host: &str, backend: &str) -> ReadFile {
    let rules = format!("[{{backendRefs: [{{name: b, port: 80{backend}}}]}}]");
    read(&http(name, "name: edge", &format!("hostnames: [{host}],"), &rules))
}

/// The rule for a host, and whether its backend is permitted.
fn rule(table: &GatewayTable, host: &str) -> (Arc<RouteRule>, bool) {
    let host = HostName::parse(host, Some(80)).unwrap();
    let path = CanonicalPath::parse("/", PathNormalization::default()).unwrap();
    let request =
        RouteRequest { method: "GET", host: &host, path: &path, headers: &(), is_grpc: false };
    let listener = table.port(None, 80).unwrap().by_host(host.name()).unwrap();
    let rule = Arc::clone(listener.choose(&request).unwrap());
    let permitted = rule.backends.iter().all(|backend| backend.invalid.is_none());
    (rule, permitted)
}

#[test]
fn a_change_costs_the_hosts_that_it_is_about() {
    let edge = read(&gateway("{name: http, port: 80, protocol: HTTP}"));
    let far = ", namespace: other";
    let (a, b, c) = (route("a", "a.example", ""), route("b", "b.example", far), "a.example");
    let (b2, a2) = (route("b", "b.example", ""), route("a2", c, ""));
    let grants = read(&grant("other", ("HTTPRoute", "shop"), "Service"));
    let none = read("# nothing\n");
    let mut table = GatewayTable::default();
    let mut before = None;
    for (name, files, a_stays, b_stays, b_is_permitted) in [
        ("at first", [&a, &b, &none], false, false, false),
        ("nothing", [&a, &b, &none], true, true, false),
        ("a grant", [&a, &b, &grants], false, false, true),
        ("the grant goes", [&a, &b, &none], false, false, false),
        ("a route", [&a, &b2, &none], true, false, true),
        ("one more of the same host", [&a, &b2, &a2], false, true, true),
        ("it goes", [&a, &b2, &none], false, true, true),
    ] {
        let resources = Resources::join([&edge].into_iter().chain(files), "postern-system");
        table = table.renewed(&resources.unwrap(), &GatewaySelection::default());
        let listener = table.port(None, 80).unwrap().by_host("a.example").unwrap();
        let set = listener.set(RouteKind::Http).unwrap();
        let rules = ["a.example", "b.example"].map(|host| set.rules_of(host).unwrap());
        let stay = before.map(|before: [Arc<_>; 2]| {
            [Arc::ptr_eq(&before[0], &rules[0]), Arc::ptr_eq(&before[1], &rules[1])]
        });
        assert_eq!(stay.unwrap_or_default(), [a_stays, b_stays], "{name}");
        assert_eq!(&*rule(&table, "a.example").0.route.name, "a", "{name}");
        assert_eq!(rule(&table, "b.example").1, b_is_permitted, "{name}");
        before = Some(rules);
    }
}
