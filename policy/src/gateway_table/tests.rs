//! Which listener, and which rule.
#![allow(clippy::unwrap_used, clippy::panic)]

mod attach;
mod conflicts;
mod connections;
mod reference;
mod references;
mod renewed;

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

/// `created` is `metadata.creationTimestamp`, or empty.
fn gateway_at(created: &str, name: &str, more: &str, listeners: &str) -> String {
    gateway_of("shop", &format!("{name}{}", stamp(created)), more, listeners)
}

fn stamp(created: &str) -> String {
    match created {
        "" => String::new(),
        created => format!(", creationTimestamp: '{created}'"),
    }
}

const OLD: &str = "2026-01-01T00:00:00Z";
const YOUNG: &str = "2026-02-01T00:00:00Z";

fn gateway_of(namespace: &str, name: &str, more: &str, listeners: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{gatewayClassName: postern, {more} listeners: [{listeners}]}}\n"
    )
}

/// A ListenerSet of Gateway `shop/edge`.
fn listener_set(namespace: &str, name: &str, created: &str, listeners: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: {name}, namespace: {namespace}{}}}\nspec: {{parentRef: {{name: edge, namespace: shop}}, listeners: [{listeners}]}}\n",
        stamp(created)
    )
}

fn namespace(name: &str, labels: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n"
    )
}

fn secret(namespace: &str, name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: kubernetes.io/tls\nstringData: {{tls.crt: c, tls.key: k}}\n"
    )
}

fn grant(namespace: &str, from: (&str, &str), to: &str) -> String {
    let (kind, of) = from;
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: {namespace}}}\nspec: {{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: {of}}}], to: [{{group: '', kind: {to}}}]}}\n"
    )
}

/// What is said of each listener, in order: `label` and why it is not programmed, where it is not.
fn said(text: &str) -> Vec<String> {
    let resources = resources(text);
    let plan = GatewayPlan::build(&resources, &GatewaySelection::default());
    let said = plan.listeners().iter().map(|planned| {
        let mut words = vec![planned.label()];
        words.extend(planned.not_accepted.iter().map(|why| why.reason.to_string()));
        words.extend(planned.conflict.iter().map(ToString::to_string));
        words.extend(planned.unresolved.iter().map(|why| why.reason.to_string()));
        if !planned.is_programmed() {
            words.push("off".to_owned());
        }
        words.join(" ")
    });
    said.collect()
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
