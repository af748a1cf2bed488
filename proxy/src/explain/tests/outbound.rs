//! Where calls of this workload go.

use crate::explain::tests::*;

const ROUTES: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cart, namespace: shop}
spec: {hosts: [cart.shop.svc.cluster.local], ports: [{number: 8080, name: http}, {number: 9000, name: named}], location: MESH_INTERNAL, resolution: STATIC, endpoints: [{address: 10.0.0.1}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backends, namespace: shop}
spec: {hosts: [cart-v2.shop.svc.cluster.local, x.shop.svc.cluster.local], ports: [{number: 8080, name: http}, {number: 1, name: other}], location: MESH_INTERNAL, resolution: STATIC, endpoints: [{address: 10.0.0.2}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: split, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: cart, sectionName: http}]
  rules:
  - name: new
    matches: [{path: {value: /v2}}]
    filters:
    - {type: URLRewrite, urlRewrite: {hostname: new.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: shadow, port: 1}}}
    backendRefs: [{name: cart-v2, port: 8080, weight: 9}, {name: pay, namespace: bank, port: 80, weight: 1}]
  - matches: [{path: {value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}}]
  - matches: [{path: {value: /nowhere}}]
    backendRefs: [{name: pay, namespace: bank, port: 80}]
  - matches: [{path: {value: /grpc}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: tls, namespace: shop}
spec: {parentRefs: [{group: '', kind: Service, name: cart, sectionName: named}], hostnames: [a.example], rules: [{backendRefs: [{name: x, port: 1}]}]}
";

#[track_caller]
fn check(service: &str, port: u16, path: Option<&str>, sni: &str, expect: Value) {
    let config = Config::parse("c", LEAST.as_bytes()).unwrap_or_else(|m| panic!("{m}"));
    let files = [SourceFile { name: "r".into(), bytes: ROUTES.as_bytes().to_vec() }];
    let request = path.map(|path| json!({"method": "GET", "host": "cart", "path": path}));
    let line = json!({"destination": {"service": service, "port": port}, "connection": {"sni": sni}, "request": request});
    let (found, outcome) = answers_of(&config, &files, &line.to_string());
    assert_eq!((found, outcome), (vec![expect], ExplainOutcome::AllUnderstood), "{line}");
}

fn answer(decision: &str, reason: &str, path: Option<&str>, route: Value) -> Value {
    json!({"decision": decision, "policy": null, "rule": null, "reason": reason, "path": path, "route": route})
}

fn backend(name: &str, port: u16, weight: u32) -> Value {
    json!({"service": format!("{name}.svc.cluster.local"), "port": port, "weight": weight})
}

#[test]
fn the_rule_the_path_and_the_backends() {
    let mut refused = backend("pay.bank", 80, 1);
    refused["invalid"] = json!("RefNotPermitted");
    let new = json!({
        "kind": "HTTPRoute", "name": "shop/split", "rule": 0, "rule_name": "new", "host": "new.example",
        "backends": [backend("cart-v2.shop", 8080, 9), refused.clone()], "mirrors": [{"service": "shadow.shop.svc.cluster.local", "port": 1, "fraction": "1/1", "invalid": "BackendNotFound"}],
    });
    for service in ["cart.shop.svc.cluster.local", "cart.shop.svc", "cart.shop", "cart", "Cart."] {
        check(
            service,
            8080,
            Some("/%762/./a?q"),
            "",
            answer("allow", "ok", Some("/a"), new.clone()),
        );
    }
    let old = json!({
        "kind": "HTTPRoute", "name": "shop/split", "rule": 1, "backends": [],
        "redirect": {"status": 302, "location": "http://cart:8080/v2/a?q"},
    });
    check("cart", 8080, Some("/old/a?q"), "", answer("allow", "ok", Some("/old/a"), old));
    let nowhere =
        json!({"kind": "HTTPRoute", "name": "shop/split", "rule": 2, "backends": [refused]});
    check(
        "cart",
        8080,
        Some("/nowhere"),
        "",
        answer("deny", "backend_invalid", Some("/nowhere"), nowhere),
    );
    check(
        "cart",
        8080,
        Some("/other"),
        "",
        answer("deny", "route_not_found", Some("/other"), Value::Null),
    );
}

#[test]
fn where_no_route_acts() {
    check("cart", 1, Some("/v2"), "", answer("allow", "ok", Some("/v2"), Value::Null));
    check("pay.bank", 8080, None, "", answer("allow", "ok", None, Value::Null));
}

#[test]
fn connections() {
    let tls = json!({"kind": "TLSRoute", "name": "shop/tls", "rule": 0, "backends": [backend("x.shop", 1, 1)]});
    check("cart", 9000, None, "A.example", answer("allow", "ok", None, tls));
    check("cart", 9000, None, "b.example", answer("deny", "route_not_found", None, Value::Null));
    let mut unsure = answer("allow", "ok", None, Value::Null);
    unsure["note"] = json!("the routes of this port are about requests; name a `request`");
    check("cart", 8080, None, "", unsure);
}

#[test]
fn what_names_no_service() {
    let line = json!({"destination": {"service": "a b", "port": 1}}).to_string();
    let (found, _) = answers("", &[], &line);
    assert_eq!(found[0]["reason"], "bad_input");
}
