//! What `check` says of Gateways in files.
#![allow(clippy::unwrap_used)]

use policy::SourceFile;
use policy::gateway::ObjectName;
use policy::resources::{DEFAULT_ROOT_NAMESPACE, ReadOptions, survey};

use super::*;

fn judged(text: &str) -> GatewayFindings {
    judged_for(text, &GatewaySelection::default())
}

fn judged_for(text: &str, selection: &GatewaySelection) -> GatewayFindings {
    let file = SourceFile { name: "edge.yaml".into(), bytes: text.as_bytes().to_vec() };
    let survey = survey(&[file], &ReadOptions::strict(DEFAULT_ROOT_NAMESPACE));
    assert!(survey.diagnostics.is_empty(), "{:#?}", survey.diagnostics);
    judge(&survey, selection, Some(false))
}

fn object(version: &str, kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n---\n"
    )
}

const GROUP: &str = "gateway.networking.k8s.io/v1";

fn gateway(more: &str, listeners: &str) -> String {
    object(GROUP, "Gateway", "edge", &format!("{more} listeners: [{listeners}]"))
}

fn route(parent: &str, backend: &str) -> String {
    let spec = format!("parentRefs: [{{{parent}}}], rules: [{{backendRefs: [{{{backend}}}]}}]");
    object(GROUP, "HTTPRoute", "cart", &spec)
}

/// The Service `shop/cart` of files.
fn cart() -> String {
    let spec = "hosts: [cart.shop.svc.cluster.local], ports: [{number: 8080, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.1, serviceAccount: cart}]";
    object("networking.istio.io/v1", "ServiceEntry", "cart", spec)
}

const OURS: &str = "gatewayClassName: postern,";
const HTTP: &str = "{name: http, port: 80, protocol: HTTP}";
const CART: &str = "name: cart, port: 8080";

#[test]
fn warnings_say_where_and_why() {
    let with_bad_certificate = gateway(
        OURS,
        "{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}",
    ) + "apiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: shop}\ntype: kubernetes.io/tls\nstringData: {tls.crt: Hello, tls.key: world}\n";
    for (name, text, expect) in [
        ("all is well", gateway(OURS, HTTP) + &route("name: edge", CART) + &cart(), &[][..]),
        (
            "a section that is not there",
            gateway(OURS, HTTP) + &route("name: edge, sectionName: https", CART) + &cart(),
            &[
                "edge.yaml:6:1: warning: HTTPRoute shop/cart: at Gateway shop/edge: not accepted: NoMatchingParent: Gateway shop/edge has no listener named https",
            ],
        ),
        (
            "a Service that is not there",
            gateway(OURS, HTTP) + &route("name: edge", CART),
            &[
                "edge.yaml:6:1: warning: HTTPRoute shop/cart: at Gateway shop/edge: not resolved: BackendNotFound: rule 0: there is no Service shop/cart with port 8080",
            ],
        ),
        (
            "a Gateway that is not there",
            gateway(OURS, HTTP) + &route("name: egde", CART) + &cart(),
            &["edge.yaml:6:1: warning: HTTPRoute shop/cart: there is no Gateway shop/egde"],
        ),
        (
            "somebody else's class",
            gateway("gatewayClassName: nginx,", HTTP),
            &[
                "edge.yaml:1:1: warning: Gateway shop/edge: its class nginx is not postern: nobody here serves it",
            ],
        ),
        (
            "a certificate that is none",
            with_bad_certificate,
            &[
                "edge.yaml:1:1: warning: Gateway shop/edge: listener https: not resolved: InvalidCertificateRef: Secret shop/c: certificate tls.crt: no PEM certificate: expected `-----BEGIN CERTIFICATE-----` blocks",
            ],
        ),
        (
            "listeners in each other's way",
            gateway(OURS, &format!("{HTTP}, {{name: bytes, port: 80, protocol: TCP}}")),
            &[
                "edge.yaml:1:1: warning: Gateway shop/edge: listener http: in another one's way: ProtocolConflict: another listener of port 80 speaks another protocol",
                "edge.yaml:1:1: warning: Gateway shop/edge: listener bytes: in another one's way: ProtocolConflict: another listener of port 80 speaks another protocol",
            ],
        ),
        ("no Gateway at all", route("name: edge", CART), &[]),
    ] {
        let told: Vec<String> = judged(&text).warnings.iter().map(ToString::to_string).collect();
        assert_eq!(told, expect, "{name}");
    }
}

/// A SignIn with its Secrets, which heeds every advice.
fn sign_in(target: &str) -> String {
    let spec = format!(
        "targetRefs: [{{group: gateway.networking.k8s.io, {target}}}], issuer: 'https://id.example', clientId: shop, \
         clientSecretRef: {{name: oidc}}, backChannelLogoutPath: /back, session: {{keysSecretRef: {{name: keys}}}}"
    );
    let secret = |name: &str, data: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: shop}}\n{data}\n---\n"
        )
    };
    object("policy.postern.dev/v1alpha1", "SignIn", "staff", &spec)
        + &secret("oidc", "stringData: {client-secret: hunter2}")
        + &secret("keys", "data: {current: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=}")
}

#[test]
fn sign_ins_that_nobody_could_use() {
    let edge = "kind: Gateway, name: edge";
    let listeners = "{name: http, port: 80, protocol: HTTP}, {name: tcp, port: 81, protocol: TCP}, {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}";
    let gateway = gateway("gatewayClassName: postern,", listeners);
    let https = format!("{edge}, sectionName: https");
    for (row, target, (from, to), expect) in [
        ("all is well", &*https, ("hunter2", "hunter2"), &[][..]),
        (
            "the whole",
            edge,
            ("hunter2", "hunter2"),
            &[
                "listener http of Gateway shop/edge has no TLS",
                "listener tcp of Gateway shop/edge carries bytes",
            ],
        ),
        (
            "a section that is not there",
            "kind: Gateway, name: edge, sectionName: x",
            ("hunter2", "hunter2"),
            &["has no listener named x"],
        ),
        (
            "no Gateway",
            "kind: Gateway, name: egde",
            ("hunter2", "hunter2"),
            &["there is no Gateway shop/egde"],
        ),
        (
            "no ListenerSet",
            "kind: ListenerSet, name: more",
            ("hunter2", "hunter2"),
            &["there is no ListenerSet shop/more"],
        ),
        (
            "no route",
            "kind: HTTPRoute, name: cart",
            ("hunter2", "hunter2"),
            &["there is no HTTPRoute shop/cart"],
        ),
        (
            "logouts unheard",
            &https,
            (" backChannelLogoutPath: /back,", ""),
            &["it has no backChannelLogoutPath"],
        ),
        (
            "no store",
            &https,
            ("keysSecretRef: {name: keys}", "store: redis, keysSecretRef: {name: keys}"),
            &["the configuration has no `sessions.redis`"],
        ),
        (
            "no Secret",
            &https,
            ("name: oidc, namespace", "name: other, namespace"),
            &["Secret shop/oidc: it is not there: nobody passes"],
        ),
    ] {
        let text = gateway.clone() + &sign_in(target).replace(from, to);
        let told = judged(&text).warnings.into_iter().map(|told| told.to_string());
        let told: Vec<_> = told.filter(|told| told.contains("SignIn shop/staff")).collect();
        assert_eq!(told.len(), expect.len(), "{row}: {told:#?}");
        let all = told.iter().zip(expect).all(|(told, expect)| told.contains(expect));
        assert!(all, "{row}: {told:#?}");
    }
}

#[test]
fn the_one_gateway_that_is_served() {
    let text = gateway(OURS, HTTP) + &route("name: edge", CART);
    let told = |name: &str| {
        let gateway = Some(ObjectName::new("shop", name));
        let selection = GatewaySelection { gateway, ..GatewaySelection::default() };
        let warnings = judged_for(&text, &selection).warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(told("edge").iter().all(|line| line.contains("BackendNotFound")));
    let missing = "(resources): warning: Gateway shop/inner: `gateway.name` asks for it, and it is not there: nothing is served";
    assert_eq!(told("inner"), [missing]);
}

#[test]
fn the_report_has_every_status() {
    let findings = judged(&(gateway(OURS, HTTP) + &route("name: edge", CART) + &cart()));
    let report = serde_json::to_value(findings.report().unwrap()).unwrap();
    let gateway = &report["gateways"][0];
    assert_eq!(gateway["namespace"], "shop");
    assert_eq!(gateway["name"], "edge");
    assert_eq!(gateway["status"]["listeners"][0]["attachedRoutes"], 1);
    let route = &report["routes"][0];
    assert_eq!(route["kind"], "HTTPRoute");
    let conditions = &route["status"]["parents"][0]["conditions"];
    assert_eq!(conditions[0]["type"], "Accepted");
    assert_eq!(conditions[0]["status"], "True");
    assert!(judged(&route_alone()).report().is_none());
}

fn route_alone() -> String {
    route("name: edge", CART)
}
