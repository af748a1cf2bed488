//! Which listener, and which rule.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::{CanonicalPath, HostName, PathNormalization, RouteRequest, SourceFile};

fn resources(text: &str) -> Resources {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    Resources::parse(&[file], "postern-system").unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

fn table(text: &str) -> GatewayTable {
    GatewayTable::build(&resources(text), &GatewaySelection::default())
}

/// A Gateway `shop/edge` of our class.
fn gateway(listeners: &str) -> String {
    gateway_of("shop", "edge", "", listeners)
}

fn gateway_of(namespace: &str, name: &str, more: &str, listeners: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{gatewayClassName: postern, {more} listeners: [{listeners}]}}\n"
    )
}

/// An HTTPRoute of a Gateway.
fn http(name: &str, parent: &str, more: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{parentRefs: [{{{parent}}}], {more} rules: {rules}}}\n"
    )
}

/// `listener route/rule` of a request to a port, `404` where nobody takes it.
fn asked(table: &GatewayTable, port: u16, host: &str, path: &str) -> String {
    let Some(port) = table.port(None, port) else { return "no port".to_owned() };
    let host = HostName::parse(host, Some(80)).unwrap();
    let Some(listener) = port.by_host(host.name()) else { return "no listener".to_owned() };
    let path = CanonicalPath::parse(path, PathNormalization::default()).unwrap();
    let request =
        RouteRequest { method: "GET", host: &host, path: &path, headers: &(), is_grpc: false };
    let rule = listener.choose(&request);
    let rule =
        rule.map_or_else(|| "404".to_owned(), |rule| format!("{}/{}", rule.route.name, rule.index));
    format!("{} {rule}", listener.section)
}

#[test]
fn a_request_belongs_to_the_most_specific_listener_alone() {
    let listener =
        |name: &str, host: &str| format!("{{name: {name}, port: 80, protocol: HTTP{host}}}");
    let text = gateway(
        &[
            listener("any", ""),
            listener("below", ", hostname: '*.example.com'"),
            listener("far", ", hostname: '*.foo.example.com'"),
            listener("exact", ", hostname: abc.foo.example.com"),
        ]
        .join(", "),
    );
    let route = |section: &str| {
        http(
            section,
            &format!("name: edge, sectionName: {section}"),
            "hostnames: [bar.com, '*.example.com', '*.foo.example.com', abc.foo.example.com],",
            &format!("[{{matches: [{{path: {{value: /{section}}}}}]}}]"),
        )
    };
    let text = text + &route("any") + &route("below") + &route("far") + &route("exact");
    let table = table(&text);
    for (host, path, expect) in [
        ("bar.com", "/any", "any any/0"),
        ("bar.com", "/below", "any 404"),
        ("bar.example.com", "/any", "below 404"),
        ("bar.example.com", "/below", "below below/0"),
        ("bar.foo.example.com", "/below", "far 404"),
        ("bar.foo.example.com", "/far", "far far/0"),
        ("abc.foo.example.com", "/far", "exact 404"),
        ("abc.foo.example.com", "/exact", "exact exact/0"),
        ("ABC.foo.example.com.", "/exact", "exact exact/0"),
        ("other.org", "/any", "any 404"),
    ] {
        assert_eq!(asked(&table, 80, host, path), expect, "{host} {path}");
    }
    assert_eq!(asked(&table, 81, "bar.com", "/"), "no port");
}
