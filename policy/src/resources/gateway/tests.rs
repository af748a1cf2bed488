//! What is read of a Gateway, a ListenerSet and a GatewayClass, and what is refused by name.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::gateway::{
    AllowedRoutes, ClientValidationMode, LabelOperator, ListenerProtocol, ListenerSet,
    NamespaceScope, ObjectName, TlsMode,
};
use crate::route::{RouteHost, RouteKind};
use crate::{Resources, SourceFile};

fn read_text(text: &str) -> Result<Resources, Vec<String>> {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    Resources::parse(&[file], "postern-system")
        .map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
}

fn gateway(spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: shop}}\nspec: {{gatewayClassName: postern, {spec}}}\n"
    )
}

#[track_caller]
fn read_gateway(spec: &str) -> Gateway {
    let resources = read_text(&gateway(spec)).unwrap_or_else(|wrong| panic!("{spec}: {wrong:#?}"));
    resources.gateways()[0].clone()
}

/// Exactly these diagnostics, each by a part of it.
#[track_caller]
fn refused(text: &str, expect: &[&str]) {
    let wrong = read_text(text).err().unwrap_or_default();
    let told = wrong.len() == expect.len()
        && wrong.iter().zip(expect).all(|(wrong, expect)| wrong.contains(expect));
    assert!(told, "{text}\n{wrong:#?}\nexpected {expect:#?}");
}

const HTTP: &str = "listeners: [{name: http, port: 80, protocol: HTTP}]";

#[test]
fn a_whole_gateway() {
    let read = read_gateway(
        "addresses: [{value: 192.0.2.1}, {type: IPAddress, value: '::ffff:192.0.2.2'}, {type: Hostname, value: edge.example}, {type: IPAddress}], \
         allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {team: web}, matchExpressions: [{key: tier, operator: In, values: [a, b]}, {key: old, operator: DoesNotExist}]}}}, \
         infrastructure: {labels: {a: b}, annotations: {example.com/c: 'd e'}, parametersRef: {group: '', kind: ConfigMap, name: p}}, \
         tls: {backend: {clientCertificateRef: {name: own}}, frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca, namespace: certs}]}}, perPort: [{port: 8443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: other}], mode: AllowInsecureFallback}}}, {port: 9443, tls: {}}]}}, \
         listeners: [{name: https, hostname: '*.shop.example', port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: one}, {group: '', kind: Secret, name: two, namespace: certs}]}, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: HTTPRoute}, {group: example.com, kind: MyRoute}]}}, \
                     {name: pass, hostname: db.example, port: 5432, protocol: TLS, tls: {mode: Passthrough}}, \
                     {name: tcp, port: 9000, protocol: TCP}, {name: udp, port: 53, protocol: UDP}, {name: own, port: 54, protocol: example.com/x}]",
    );
    assert_eq!(read.id.to_string(), "shop/edge");
    assert_eq!(
        read.addresses,
        [
            GatewayAddress::Ip("192.0.2.1".parse().unwrap()),
            GatewayAddress::Ip("192.0.2.2".parse().unwrap()),
            GatewayAddress::Unsupported { kind: "Hostname".into(), value: "edge.example".into() },
            GatewayAddress::Any,
        ]
    );
    let NamespaceScope::Selector(selector) = &read.allowed_listeners else { panic!("{read:?}") };
    assert_eq!(selector.labels.get("team").map(String::as_str), Some("web"));
    assert_eq!(selector.expressions[1].operator, LabelOperator::DoesNotExist);
    assert_eq!(read.infrastructure.annotations.get("example.com/c").unwrap(), "d e");
    assert_eq!(read.infrastructure.parameters.unwrap().to_string(), "ConfigMap shop/p");
    assert_eq!(read.client_certificate.unwrap().to_string(), "Secret shop/own");
    let validation = |port| {
        let found = read.frontend.on(port);
        found.map(|found| (found.authorities[0].to_string(), found.mode))
    };
    let valid_only = ClientValidationMode::AllowValidOnly;
    let fallback = ClientValidationMode::AllowInsecureFallback;
    assert_eq!(validation(443), Some(("ConfigMap certs/ca".to_owned(), valid_only)));
    assert_eq!(validation(8443), Some(("ConfigMap shop/other".to_owned(), fallback)));
    assert_eq!(validation(9443), None);
    let [https, pass, tcp, udp, own] = read.listeners.as_slice() else { panic!() };
    assert_eq!(https.host, Some(RouteHost::Below("shop.example".into())));
    let tls = https.tls.as_ref().unwrap();
    let names: Vec<_> = tls.certificates.iter().map(ToString::to_string).collect();
    assert_eq!(
        (tls.mode, names),
        (TlsMode::Terminate, vec!["Secret shop/one".to_owned(), "Secret certs/two".to_owned()])
    );
    assert_eq!(https.allowed_routes.namespaces, NamespaceScope::All);
    let kinds: Vec<_> = https.allowed_routes.kinds.iter().map(|kind| kind.route()).collect();
    assert_eq!(kinds, [Some(RouteKind::Http), None]);
    assert_eq!(pass.tls.as_ref().unwrap().mode, TlsMode::Passthrough);
    assert_eq!(
        (&tcp.protocol, &tcp.allowed_routes),
        (&ListenerProtocol::Tcp, &AllowedRoutes::default())
    );
    assert_eq!(udp.protocol, ListenerProtocol::Other("UDP".into()));
    assert_eq!(own.protocol.as_str(), "example.com/x");
}

#[test]
fn defaults_and_the_older_version() {
    let read = read_gateway(HTTP);
    assert_eq!(read.allowed_listeners, NamespaceScope::None);
    assert_eq!((read.addresses.len(), read.created), (0, None));
    assert_eq!(read.frontend, FrontendTls::default());
    let older = gateway(HTTP).replace("k8s.io/v1", "k8s.io/v1beta1");
    assert_eq!(read_text(&older).unwrap().gateways().len(), 1);
}

#[test]
fn what_no_gateway_has_is_refused_by_name() {
    let spec = |spec: &str, expect: &[&str]| refused(&gateway(spec), expect);
    let listener = |listener: &str, expect: &str| {
        refused(&gateway(&format!("listeners: [{listener}]")), &[expect]);
    };
    spec("listeners: []", &["an empty list for `listeners`"]);
    spec("a: 1", &["no `listeners`", "the unknown key `a` in `spec`"]);
    spec(&format!("{HTTP}, defaultScope: All"), &["name the Gateway in `parentRefs`"]);
    spec(&format!("{HTTP}, addresses: [{{value: edge}}]"), &["an IP address"]);
    spec(&format!("{HTTP}, addresses: [{{value: 224.0.0.1}}]"), &["nobody can listen on it"]);
    spec(
        &format!("{HTTP}, addresses: [{{value: 1.2.3.4}}, {{value: '::ffff:1.2.3.4'}}]"),
        &["an address again"],
    );
    spec(
        &format!("{HTTP}, allowedListeners: {{namespaces: {{from: Selector}}}}"),
        &["no `selector`"],
    );
    spec(
        &format!("{HTTP}, allowedListeners: {{namespaces: {{from: All, selector: {{}}}}}}"),
        &["`selector` that is not asked"],
    );
    spec(&format!("{HTTP}, tls: {{frontend: {{}}}}"), &["no `default`"]);
    spec(
        &format!(
            "{HTTP}, tls: {{frontend: {{default: {{validation: {{caCertificateRefs: [{{name: ca}}]}}}}}}}}"
        ),
        &["no `group`", "no `kind`"],
    );
    spec(
        &format!(
            "{HTTP}, tls: {{frontend: {{default: {{}}, perPort: [{{port: 1, tls: {{}}}}, {{port: 1, tls: {{}}}}]}}}}"
        ),
        &["port 1 again"],
    );
    listener("{name: a, port: 80}", "no `protocol`");
    listener("{name: A, port: 80, protocol: HTTP}", "a listener's name");
    listener("{name: a, port: 0, protocol: HTTP}", "a whole number from 1 to 65535");
    listener("{name: a, port: 80, protocol: 'a b'}", "write HTTP, HTTPS, TLS or TCP");
    listener("{name: a, port: 80, protocol: HTTP, hostname: 10.0.0.1}", "an address is none");
    listener("{name: a, port: 80, protocol: HTTP, hostname: Shop.example}", "write shop.example");
    listener(
        "{name: a, port: 80, protocol: TCP, hostname: a.b}",
        "`hostname` of a listener of TCP",
    );
    listener(
        "{name: a, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: c}]}}",
        "`tls` of a listener of HTTP",
    );
    listener("{name: a, port: 443, protocol: HTTPS, tls: {}}", "without a certificate");
    listener(
        "{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}",
        "mode Passthrough of a listener of HTTPS",
    );
    listener("{name: a, port: 443, protocol: TLS}", "no `tls` of a listener of TLS");
    listener(
        "{name: a, port: 443, protocol: TLS, tls: {certificateRefs: [{name: c}]}}",
        "no `mode` in `tls`",
    );
    listener(
        "{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}}",
        "one of All, Selector, Same",
    );
    listener(
        "{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespace: {from: All}}}",
        "did you mean `namespaces`?",
    );
    listener(
        "{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}",
        "a second listener with the name a",
    );
    listener(
        "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}",
        "a second listener of port 80, protocol HTTP and the same host",
    );
    let many = (0..65).map(|at| format!("{{name: l{at}, port: {}, protocol: HTTP}}", at + 1));
    listener(&many.collect::<Vec<_>>().join(", "), "at most 64");
}

#[test]
fn listener_sets() {
    let text = |spec: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: more, namespace: web}}\nspec: {{{spec}}}\n"
        )
    };
    let read =
        |spec: &str| -> ListenerSet { read_text(&text(spec)).unwrap().listener_sets()[0].clone() };
    let near = read(&format!("parentRef: {{name: edge}}, {HTTP}"));
    assert_eq!(near.parent, ObjectName::new("web", "edge"));
    let far = read(&format!(
        "parentRef: {{group: gateway.networking.k8s.io, kind: Gateway, name: edge, namespace: shop}}, {HTTP}"
    ));
    assert_eq!((far.parent, far.listeners.len()), (ObjectName::new("shop", "edge"), 1));
    refused(&text(HTTP), &["no `parentRef`"]);
    refused(
        &text(&format!("parentRef: {{kind: Service, name: a}}, {HTTP}")),
        &["and to nothing else"],
    );
    refused(
        &text("parentRef: {name: edge}, listeners: [{name: a, protocol: HTTP}]"),
        &["no `port`"],
    );
}

#[test]
fn objects_of_the_whole_cluster() {
    let class = |metadata: &str, spec: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: postern{metadata}}}\nspec: {{{spec}}}\n"
        )
    };
    let right = "controllerName: postern.dev/gateway, description: '', parametersRef: {group: g, kind: K, name: n, namespace: x}";
    let read = read_text(&class("", right)).unwrap();
    assert_eq!(&*read.gateway_classes()[0].controller, "postern.dev/gateway");
    refused(&class(", namespace: shop", right), &["the object is one of the whole cluster"]);
    refused(&class("", "controllerName: postern"), &["a domain and a path"]);
    refused(&class("", "x: y"), &["no `controllerName`", "the unknown key `x`"]);
    let again = class("", right) + "---\n" + &class("", right);
    refused(&again, &["GatewayClass postern again"]);
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {team: x}, annotations: {postern.dev/inject: 'true'}}\nspec: {finalizers: [kubernetes]}\nstatus: {phase: Active}\n";
    let read = read_text(namespace).unwrap();
    assert_eq!(read.namespace_labels("web").unwrap().get("team").unwrap(), "x");
    assert!(read.namespace_labels("shop").is_none());
    refused(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: Web}\n",
        &["names are lower-case letters"],
    );
}
