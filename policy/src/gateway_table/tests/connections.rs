//! What belongs to a listener by its server name, and what its rules say of whole connections and of backends.

use super::*;
use crate::route::InvalidBackend;

fn route(kind: &str, name: &str, parent: &str, more: &str, backend: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{parentRefs: [{{name: edge{parent}}}], {more} rules: [{{backendRefs: [{backend}]}}]}}\n"
    )
}

const HERE: &str = "{name: db, port: 5432}";

#[test]
fn server_names() {
    let text = gateway(
        "{name: web, hostname: '*.example', port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}, {name: db, hostname: db.example, port: 443, protocol: TLS, tls: {mode: Passthrough}}, {name: all, port: 443, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: c}]}}, {name: strict, hostname: a.example, port: 444, protocol: TLS, tls: {mode: Passthrough}}",
    ) + &secret("shop", "c")
        + &route("TLSRoute", "db", ", sectionName: db", "hostnames: [db.example],", HERE)
        + &route("TLSRoute", "below", ", sectionName: all", "hostnames: ['*.org', a.org],", HERE)
        + &route("TLSRoute", "exact", ", sectionName: all", "hostnames: [a.org],", HERE);
    let table = table(&text);
    let found = |port, name: Option<&str>| {
        let Some(listener) = table.port(None, port).unwrap().by_server_name(name) else {
            return "nobody".to_owned();
        };
        let rule = listener.tls_route(name).map_or("-", |rule| &*rule.route.name);
        format!("{} {rule}", listener.section)
    };
    for (port, name, expect) in [
        (443, Some("a.example"), "web -"),
        (443, Some("db.example"), "db db"),
        (443, Some("DB.Example"), "db db"),
        (443, Some("x.org"), "all below"),
        // Of two routes for one host the one with the name first holds, whatever else they are about.
        (443, Some("a.org"), "all below"),
        (443, Some("example"), "all -"),
        (443, None, "all -"),
        (444, Some("a.example"), "strict -"),
        (444, Some("b.example"), "nobody"),
        (444, None, "nobody"),
    ] {
        assert_eq!(found(port, name), expect, "{port} {name:?}");
    }
    assert!(table.port(None, 443).unwrap().only().is_none());
}

#[test]
fn bytes() {
    let text = gateway("{name: a, port: 1, protocol: TCP}, {name: b, port: 2, protocol: TCP}")
        + &route("TCPRoute", "z", ", sectionName: a", "", HERE)
        + &route("TCPRoute", "y", ", sectionName: a", "", HERE);
    let table = table(&text);
    let rule = |port| {
        let listener = table.port(None, port).unwrap().only().unwrap();
        listener.tcp_route().map(|rule| rule.route.name.to_string())
    };
    assert_eq!((rule(1), rule(2)), (Some("y".to_owned()), None));
}

/// A request of gRPC, and one of HTTP, for the same path.
#[test]
fn routes_of_grpc_are_asked_first() {
    let text = gateway("{name: http, port: 80, protocol: HTTP}")
        + &http("h", "name: edge", "", "[{}]")
        + "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: g, namespace: shop}\nspec: {parentRefs: [{name: edge}], rules: [{matches: [{method: {service: shop.Cart}}]}]}\n";
    let table = table(&text);
    let listener = table.port(None, 80).unwrap().by_host("a.b").unwrap();
    let host = HostName::parse("a.b", Some(80)).unwrap();
    let chosen = |path: &str, is_grpc: bool| {
        let path = CanonicalPath::parse(path, PathNormalization::default()).unwrap();
        let request =
            RouteRequest { method: "POST", host: &host, path: &path, headers: &(), is_grpc };
        listener.choose(&request).unwrap().route.name.to_string()
    };
    assert_eq!(chosen("/shop.Cart/Get", true), "g");
    assert_eq!(chosen("/shop.Cart/Get", false), "h");
    assert_eq!(chosen("/shop.Other/Get", true), "h");
}

#[test]
fn a_route_of_two_hosts_is_found_by_its_own_in_order() {
    let text = gateway("{name: http, hostname: a.b.example, port: 80, protocol: HTTP}")
        + &http("any", "name: edge", "", "[{}]")
        + &http("far", "name: edge", "hostnames: ['*.example'],", "[{}]")
        + &http(
            "near",
            "name: edge",
            "hostnames: ['*.b.example'],",
            "[{matches: [{path: {value: /near}}]}]",
        );
    let table = table(&text);
    // All three mean the one host of the listener: the one that names it most closely comes first (gateway-api#5120).
    for (path, expect) in [("/near", "http near/0"), ("/", "http far/0")] {
        assert_eq!(asked(&table, 80, "a.b.example", path), expect);
    }
    assert_eq!(asked(&table, 80, "b.b.example", "/"), "no listener");
}

#[test]
fn backends_of_other_namespaces() {
    let far = "{name: pay, namespace: bank, port: 80}";
    let text = gateway("{name: a, port: 80, protocol: HTTP}, {name: b, port: 81, protocol: HTTP}")
        + &route("HTTPRoute", "r", "", "", far);
    let invalid = |text: &str| {
        let table = table(text);
        [80, 81].map(|port| {
            let listener = table.port(None, port).unwrap().by_host("a").unwrap().clone();
            let host = HostName::parse("a", Some(80)).unwrap();
            let path = CanonicalPath::parse("/", PathNormalization::default()).unwrap();
            let request = RouteRequest {
                method: "GET",
                host: &host,
                path: &path,
                headers: &(),
                is_grpc: false,
            };
            Arc::clone(listener.choose(&request).unwrap())
        })
    };
    let refused = invalid(&text);
    assert_eq!(refused[0].backends[0].invalid, Some(InvalidBackend::RefNotPermitted));
    assert!(Arc::ptr_eq(&refused[0], &refused[1]), "one value, however many listeners have it");
    let granted = invalid(&(text + &grant("bank", ("HTTPRoute", "shop"), "Service")));
    assert_eq!(granted[0].backends[0].invalid, None);
}
