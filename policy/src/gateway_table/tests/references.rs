//! Certificates, authorities, kinds of routes and classes.

use super::*;
use crate::core_group::TEST_AUTHORITY;
use crate::gateway::ClientValidationMode;

fn https(more: &str, refs: &str) -> String {
    let listener =
        format!("{{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{refs}]}}}}");
    gateway_of("shop", "edge", more, &listener)
}

/// What is said of the only listener, and its certificates.
fn resolved(text: &str) -> (String, String) {
    let found = table(text);
    let listener = found.port(None, 443).and_then(|port| port.by_server_name(None));
    let tls = listener.unwrap().tls.clone().unwrap();
    let names: Vec<_> = tls.certificates.iter().map(ToString::to_string).collect();
    (said(text).join("; "), names.join(" "))
}

#[test]
fn certificates() {
    let near = "{name: c}";
    let far = "{name: c, namespace: certs}";
    let opaque = secret("shop", "c").replace("kubernetes.io/tls", "Opaque");
    let half = secret("shop", "c").replace("tls.crt: c, ", "");
    let there = secret("certs", "c");
    for (row, text, why, names) in [
        ("there", https("", near) + &secret("shop", "c"), "", "shop/c"),
        ("gone", https("", near), "InvalidCertificateRef off", ""),
        (
            "another group",
            https("", "{group: x.y, name: c}") + &secret("shop", "c"),
            "InvalidCertificateRef off",
            "",
        ),
        ("another kind", https("", "{kind: ConfigMap, name: c}"), "InvalidCertificateRef off", ""),
        ("another type", https("", near) + &opaque, "InvalidCertificateRef off", ""),
        ("no certificate in it", https("", near) + &half, "InvalidCertificateRef off", ""),
        ("not granted", https("", far) + &there, "RefNotPermitted off", ""),
        ("not granted, and not there", https("", far), "RefNotPermitted off", ""),
        (
            "granted",
            https("", far) + &there + &grant("certs", ("Gateway", "shop"), "Secret"),
            "",
            "certs/c",
        ),
        (
            "granted by name",
            https("", far) + &there + &grant("certs", ("Gateway", "shop"), "Secret, name: c"),
            "",
            "certs/c",
        ),
        (
            "another is granted",
            https("", far) + &there + &grant("certs", ("Gateway", "shop"), "Secret, name: d"),
            "RefNotPermitted off",
            "",
        ),
        (
            "granted to routes",
            https("", far) + &there + &grant("certs", ("HTTPRoute", "shop"), "Secret"),
            "RefNotPermitted off",
            "",
        ),
        (
            "granted to ListenerSets",
            https("", far) + &there + &grant("certs", ("ListenerSet", "shop"), "Secret"),
            "RefNotPermitted off",
            "",
        ),
        (
            "granted to another namespace",
            https("", far) + &there + &grant("certs", ("Gateway", "web"), "Secret"),
            "RefNotPermitted off",
            "",
        ),
        (
            "ConfigMaps are granted",
            https("", far) + &there + &grant("certs", ("Gateway", "shop"), "ConfigMap"),
            "RefNotPermitted off",
            "",
        ),
        (
            "one of two is there",
            https("", "{name: gone}, {name: c}, {name: c}") + &secret("shop", "c"),
            "InvalidCertificateRef",
            "shop/c",
        ),
    ] {
        let expect = format!("shop/edge:https {why}").trim_end().to_owned();
        assert_eq!(resolved(&text), (expect, names.to_owned()), "{row}\n{text}");
    }
}

#[test]
fn certificates_of_listener_sets_are_granted_to_them() {
    let listener = |refs: &str| {
        format!("{{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{refs}]}}}}")
    };
    let far = listener("{name: c, namespace: certs}");
    let text = gateway_of(
        "shop",
        "edge",
        "allowedListeners: {namespaces: {from: All}},",
        "{name: http, port: 80, protocol: HTTP}",
    ) + &listener_set("web", "more", "", &far)
        + &secret("certs", "c");
    for (from, expect) in [
        (("Gateway", "shop"), "shop/edge:web/more:https RefNotPermitted off"),
        (("ListenerSet", "shop"), "shop/edge:web/more:https RefNotPermitted off"),
        (("ListenerSet", "web"), "shop/edge:web/more:https"),
    ] {
        let text = text.clone() + &grant("certs", from, "Secret");
        assert_eq!(said(&text), ["shop/edge:http", expect], "{from:?}");
    }
}

#[test]
fn certificates_from_elsewhere() {
    let selection = GatewaySelection {
        certificates: [ObjectName::new("shop", "c"), ObjectName::new("certs", "c")].into(),
        ..GatewaySelection::default()
    };
    let certificates = |refs: &str| {
        let resources = resources(&https("", refs));
        let table = GatewayTable::build(&resources, &selection);
        let listener = table.port(None, 443).unwrap().by_host("a.b").unwrap();
        listener.tls.as_ref().unwrap().certificates.clone()
    };
    assert_eq!(certificates("{name: c}"), [ObjectName::new("shop", "c")]);
    assert_eq!(certificates("{name: c, namespace: certs}"), []);
}

#[test]
fn a_listener_without_a_certificate_keeps_its_host() {
    let text = gateway(
        "{name: any, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}, {name: own, hostname: pay.example, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: gone}]}}, {name: set, hostname: old.example, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}], options: {example.com/x: y}}}",
    ) + &secret("shop", "c")
        + &super::http("r", "name: edge", "", "[{}]");
    assert_eq!(
        said(&text),
        [
            "shop/edge:any",
            "shop/edge:own InvalidCertificateRef off",
            "shop/edge:set UnsupportedValue off"
        ]
    );
    let table = table(&text);
    let port = table.port(None, 443).unwrap();
    for (name, section, certificates) in
        [("pay.example", "own", 0), ("old.example", "set", 0), ("a.example", "any", 1)]
    {
        let listener = port.by_server_name(Some(name)).unwrap();
        assert_eq!(&*listener.section, section);
        assert_eq!(listener.tls.as_ref().unwrap().certificates.len(), certificates, "{name}");
    }
    // Nor is it asked for requests, whose routes act at a listener that is accepted alone.
    assert_eq!(asked(&table, 443, "old.example", "/"), "set 404");
    assert_eq!(asked(&table, 443, "a.example", "/"), "any r/0");
}

fn config_map(namespace: &str, pem: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca, namespace: {namespace}}}\ndata: {{ca.crt: {pem:?}}}\n"
    )
}

#[test]
fn clients_that_must_show_a_certificate() {
    let with = |validation: &str| {
        let frontend = format!("tls: {{frontend: {{default: {{validation: {{{validation}}}}}}}}},");
        https(&frontend, "{name: c}") + &secret("shop", "c")
    };
    let near = "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]";
    let far = "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca, namespace: certs}]";
    let other = "caCertificateRefs: [{group: x.y, kind: Ca, name: ca}]";
    let two = "caCertificateRefs: [{group: '', kind: ConfigMap, name: gone}, {group: '', kind: ConfigMap, name: ca}], mode: AllowInsecureFallback";
    let there = config_map("shop", TEST_AUTHORITY);
    let off = |why: &str| format!("shop/edge:https NoValidCACertificate {why} off");
    for (row, text, expect) in [
        ("there", with(near) + &there, "shop/edge:https".to_owned()),
        ("gone", with(near), off("InvalidCACertificateRef")),
        ("no certificate", with(near) + &config_map("shop", "x"), off("InvalidCACertificateRef")),
        ("another kind", with(other), off("InvalidCACertificateKind")),
        ("not granted", with(far) + &config_map("certs", TEST_AUTHORITY), off("RefNotPermitted")),
        (
            "granted",
            with(far)
                + &config_map("certs", TEST_AUTHORITY)
                + &grant("certs", ("Gateway", "shop"), "ConfigMap"),
            "shop/edge:https".to_owned(),
        ),
        ("one of two", with(two) + &there, "shop/edge:https InvalidCACertificateRef".to_owned()),
    ] {
        assert_eq!(said(&text), [expect], "{row}");
    }
    let table = table(&(with(two) + &there));
    let listener = table.port(None, 443).unwrap().by_server_name(None).unwrap();
    let validation = listener.tls.as_ref().unwrap().client_certificates.clone().unwrap();
    assert_eq!(validation.mode, ClientValidationMode::AllowInsecureFallback);
    assert_eq!(validation.authorities.trim_ascii(), TEST_AUTHORITY.trim().as_bytes());
    // Without an authority nobody is let in, and nobody falls through to where none is asked for.
    let broken = super::table(&with(near));
    let listener = broken.port(None, 443).unwrap().by_server_name(None).unwrap();
    assert_eq!(listener.tls.as_ref().unwrap().certificates, []);
}

#[test]
fn client_certificates_are_asked_for_on_ports_of_https_alone() {
    let frontend = "tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}, perPort: [{port: 8443, tls: {}}]}},";
    let text = gateway_of(
        "shop",
        "edge",
        frontend,
        "{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}, {name: b, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}, {name: c, port: 9443, protocol: TLS, tls: {mode: Passthrough}}, {name: d, port: 80, protocol: HTTP}",
    ) + &secret("shop", "c")
        + &config_map("shop", TEST_AUTHORITY);
    let table = table(&text);
    let asks = |port| {
        let listener = table.port(None, port).unwrap().by_server_name(None).unwrap();
        listener.tls.as_ref().map(|tls| tls.client_certificates.is_some())
    };
    assert_eq!([443, 8443, 9443, 80].map(asks), [Some(true), Some(false), Some(false), None]);
}

#[test]
fn the_certificate_for_backends() {
    let with = |reference: &str| {
        let tls = format!("tls: {{backend: {{clientCertificateRef: {reference}}}}},");
        https(&tls, "{name: c}") + &secret("shop", "c")
    };
    for (reference, expect) in [
        ("{name: c}", Ok("shop/c".to_owned())),
        ("{name: gone}", Err("InvalidClientCertificateRef")),
        ("{name: c, namespace: certs}", Err("RefNotPermitted")),
    ] {
        let text = with(reference);
        let resources = resources(&text);
        let plan = GatewayPlan::build(&resources, &GatewaySelection::default());
        let found = plan.gateways()[0].client_certificate.clone().unwrap();
        let found = found.map(|name| name.to_string()).map_err(|why| why.reason.as_str());
        assert_eq!(found, expect, "{reference}");
        assert!(plan.listeners()[0].is_programmed(), "{reference}");
    }
}

#[test]
fn kinds_of_routes() {
    let said_of = |protocol: &str, kinds: &str| {
        let tls = if protocol == "TLS" { ", tls: {mode: Passthrough}" } else { "" };
        let text = gateway(&format!(
            "{{name: l, port: 80, protocol: {protocol}{tls}, allowedRoutes: {{kinds: [{kinds}]}}}}"
        ));
        let resources = resources(&text);
        let plan = GatewayPlan::build(&resources, &GatewaySelection::default());
        let planned = &plan.listeners()[0];
        let kinds: Vec<_> = planned.kinds.iter().map(|kind| kind.as_str()).collect();
        let why: Vec<_> = planned.unresolved.iter().map(|why| why.reason.as_str()).collect();
        (kinds.join(" "), why.join(" "))
    };
    for (protocol, kinds, supported, why) in [
        ("HTTP", "", "GRPCRoute HTTPRoute", ""),
        ("HTTP", "{kind: HTTPRoute}, {kind: HTTPRoute}", "HTTPRoute", ""),
        ("HTTP", "{kind: HTTPRoute}, {kind: GRPCRoute}", "GRPCRoute HTTPRoute", ""),
        ("HTTP", "{kind: InvalidRoute}", "", "InvalidRouteKinds"),
        ("HTTP", "{kind: InvalidRoute}, {kind: HTTPRoute}", "HTTPRoute", "InvalidRouteKinds"),
        ("HTTP", "{group: x.y, kind: HTTPRoute}", "", "InvalidRouteKinds"),
        ("HTTP", "{kind: TLSRoute}", "", "InvalidRouteKinds"),
        ("TLS", "", "TLSRoute", ""),
        ("TCP", "", "TCPRoute", ""),
        ("UDP", "", "", ""),
    ] {
        assert_eq!(
            said_of(protocol, kinds),
            (supported.to_owned(), why.to_owned()),
            "{protocol} {kinds}"
        );
    }
}

#[test]
fn whose_a_gateway_is() {
    let class = |name: &str, controller: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: {name}}}\nspec: {{controllerName: {controller}}}\n"
        )
    };
    let ours = gateway("{name: http, port: 80, protocol: HTTP}");
    let other = ours.replace("gatewayClassName: postern", "gatewayClassName: edge");
    for (row, text, expect) in [
        ("by name", ours.clone(), 1),
        ("by name and controller", ours.clone() + &class("postern", "postern.dev/gateway"), 1),
        ("the name is another's", ours.clone() + &class("postern", "example.com/g"), 0),
        ("another name", other.clone(), 0),
        ("another name, ours", other.clone() + &class("edge", "postern.dev/gateway"), 1),
        ("another name, another's", other + &class("edge", "example.com/g"), 0),
    ] {
        assert_eq!(table(&text).ports().count(), expect, "{row}");
    }
    let elsewhere = GatewaySelection {
        gateway: Some(ObjectName::new("web", "edge")),
        ..GatewaySelection::default()
    };
    assert!(GatewayTable::build(&resources(&ours), &elsewhere).is_empty());
    assert!(GatewayTable::default().is_empty());
}
