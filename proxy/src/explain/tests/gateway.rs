//! What becomes of a client's request at a gateway.

use crate::explain::tests::*;

const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cart, namespace: shop}
spec: {hosts: [cart.shop.svc.cluster.local], ports: [{number: 8080, name: http}], location: MESH_INTERNAL, resolution: STATIC, endpoints: [{address: 10.0.0.1}]}
---
apiVersion: v1
kind: Secret
metadata: {name: cert, namespace: shop}
type: kubernetes.io/tls
stringData: {tls.crt: c, tls.key: k}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: postern
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: pay, port: 443, hostname: pay.example, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: broken, port: 443, hostname: old.example, protocol: HTTPS, tls: {certificateRefs: [{name: gone}]}}
  - {name: db, port: 443, hostname: db.example, protocol: TLS, tls: {mode: Passthrough}}
  - {name: strict, port: 8443, hostname: a.example, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: bytes, port: 9000, protocol: TCP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec:
  parentRefs: [{name: edge, port: 80}, {name: edge, sectionName: https}, {name: edge, sectionName: pay}]
  rules:
  - matches: [{path: {value: /cart}}]
    backendRefs: [{name: cart, port: 8080}]
  - matches: [{path: {value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /cart}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: db, namespace: shop}
spec: {parentRefs: [{name: edge, sectionName: db}], hostnames: [db.example], rules: [{backendRefs: [{name: cart, port: 8080}]}]}
";

/// `decision reason listener route/rule or location` of a line; `asked` is host and path.
fn answered(gateway: &str, port: u16, sni: Option<&str>, asked: Option<(&str, &str)>) -> String {
    let config = Config::parse("c", LEAST.as_bytes()).unwrap_or_else(|m| panic!("{m}"));
    let files = [SourceFile { name: "r".into(), bytes: GATEWAY.as_bytes().to_vec() }];
    let request = asked.map(|(host, path)| json!({"method": "GET", "host": host, "path": path}));
    let line = json!({"destination": {"gateway": gateway, "port": port}, "connection": {"sni": sni}, "request": request});
    let (found, _) = answers_of(&config, &files, &line.to_string());
    let found = &found[0];
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let route = match (&found["route"]["redirect"]["location"], &found["route"]["name"]) {
        (Value::String(location), _) => location.clone(),
        (_, Value::String(name)) => format!("{name}/{}", found["route"]["rule"]),
        _ => "-".to_owned(),
    };
    [text(&found["decision"]), text(&found["reason"]), text(&found["listener"]), route].join(" ")
}

#[test]
fn the_listener_and_the_rule() {
    for (port, sni, asked, expect) in [
        (80, None, Some(("a.example", "/cart/x")), "allow ok shop/edge:http shop/cart/0"),
        (80, None, Some(("a.example", "/other")), "deny route_not_found shop/edge:http -"),
        (80, None, Some(("a.example", "/old")), "allow ok shop/edge:http http://a.example/cart"),
        (443, None, Some(("a.example", "/cart")), "allow ok shop/edge:https shop/cart/0"),
        (
            443,
            None,
            Some(("a.example:443", "/old")),
            "allow ok shop/edge:https https://a.example/cart",
        ),
        (
            443,
            Some("pay.example"),
            Some(("pay.example", "/cart")),
            "allow ok shop/edge:pay shop/cart/0",
        ),
        (443, None, Some(("pay.example", "/cart")), "allow ok shop/edge:pay shop/cart/0"),
        (
            443,
            Some("a.example"),
            Some(("pay.example", "/cart")),
            "deny misdirected_request shop/edge:pay -",
        ),
        (
            443,
            Some("pay.example"),
            Some(("a.example", "/cart")),
            "deny misdirected_request shop/edge:https -",
        ),
        (443, None, Some(("old.example", "/cart")), "deny no_certificate shop/edge:broken -"),
        (443, Some("DB.example"), None, "allow ok shop/edge:db shop/db/0"),
        (443, Some("a.example"), None, "deny route_not_found shop/edge:https -"),
        (8443, None, Some(("a.example", "/cart")), "deny route_not_found shop/edge:strict -"),
        (8443, None, Some(("b.example", "/cart")), "deny route_not_found - -"),
        (
            8443,
            Some("a.example"),
            Some(("b.example", "/cart")),
            "deny route_not_found shop/edge:strict -",
        ),
        (9000, None, None, "deny route_not_found shop/edge:bytes -"),
        (81, None, None, "deny bad_input - -"),
    ] {
        assert_eq!(answered("shop/edge", port, sni, asked), expect, "{port} {sni:?} {asked:?}");
    }
    assert_eq!(answered("shop/other", 80, None, None), "deny bad_input - -");
}

#[test]
fn one_destination_a_line() {
    let line = json!({"destination": {"gateway": "shop/edge", "service": "cart", "port": 80}});
    let (found, _) = answers("", &[], &line.to_string());
    assert_eq!(found[0]["error"], "destination names a service and a gateway; name one");
}
