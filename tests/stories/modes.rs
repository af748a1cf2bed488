//! STRICT, PERMISSIVE and DISABLE: what happens to plaintext on each.

use postern_tests::{App, Mesh, Pod, raw, tls};
use serde_json::json;

/// Anybody may look at the headers, only the front end at carts.
const POLICY: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cart-allow, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  rules:
    - to: [{operation: {paths: [/headers]}}]
    - from: [{source: {principals: [cluster.local/ns/shop/sa/frontend]}}]
";

fn cart_in_mode(mesh: &Mesh, mode: &str) -> Pod {
    mesh.policy("cart", POLICY);
    let pod = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart"));
    pod.config(json!({"inbound": {"ports": {"8080": {"mtls": mode}}}})).start()
}

#[test]
fn strict_refuses_plaintext_and_bare_tls() {
    let mesh = Mesh::start();
    let cart = cart_in_mode(&mesh, "STRICT");
    let intruder = mesh.pod("intruder").outside().start();
    intruder.curl("http://cart:8080/headers").expect_nothing();
    intruder.curl_with(&["-k", "https://cart:8080/headers"]).expect_nothing();
    let address = cart.at(8080);
    let heard = intruder.run(async move {
        raw::say(address, b"GET /headers HTTP/1.1\r\nhost: cart\r\n\r\n").await
    });
    assert_eq!(heard.text(), "");
    cart.expect_metric(
        "postern_connections_closed_total",
        &[("direction", "inbound"), ("reason", "refused")],
    );
    cart.expect_log(&[
        ("kind", "connection"),
        ("direction", "inbound"),
        ("reason", "peer_not_authenticated"),
    ]);
    let frontend = mesh.pod("frontend").start();
    frontend.curl("http://cart:8080/headers").expect(200);
}

#[test]
fn permissive_takes_plaintext_without_a_principal() {
    let mesh = Mesh::start();
    let cart = cart_in_mode(&mesh, "PERMISSIVE");
    let intruder = mesh.pod("intruder").outside().start();
    let seen = intruder.curl("http://cart:8080/headers").expect(200);
    assert!(!seen.body.contains("x-forwarded-client-cert"), "{}", seen.body);
    intruder.curl("http://cart:8080/cart/ann").expect_refusal(403, "no_matching_allow");
    let frontend = mesh.pod("frontend").start();
    frontend.curl("http://cart:8080/cart/ann").expect(200);
    cart.expect_metric("postern_requests_total", &[("direction", "inbound"), ("mtls", "none")]);
    cart.expect_metric(
        "postern_requests_total",
        &[("direction", "inbound"), ("mtls", "mutual_tls")],
    );
    // TLS is ours also here: a ClientHello without a certificate behind it is refused.
    intruder.curl_with(&["-k", "https://cart:8080/headers"]).expect_nothing();
}

#[test]
fn disable_passes_plaintext_and_still_asks_policy() {
    let mesh = Mesh::start();
    let cart = cart_in_mode(&mesh, "DISABLE");
    let intruder = mesh.pod("intruder").outside().start();
    intruder.curl("http://cart:8080/headers").expect(200);
    intruder.curl("http://cart:8080/cart/ann").expect_refusal(403, "no_matching_allow");
    // A good certificate is of no use on a port without TLS.
    let svid = mesh.test_authority().workload("shop", "frontend");
    let address = cart.at(8080);
    let answer = intruder
        .run(async move { tls::get(tls::client(Some(&svid), &[]), address, "/cart/ann").await });
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn s20_protocol_sniffing_undecided_protocol_is_denied_where_rules_speak_http() {
    let mesh = Mesh::start();
    mesh.policy(
        "cart",
        &std::fs::read_to_string(
            postern_tests::repository().join("examples/shop/policies/cart.yaml"),
        )
        .unwrap(),
    );
    // Not declared: the proxy has to find out, and rules of this port name methods and paths.
    let cart = mesh.pod("cart").port(8080, "auto").app(App::new("shop-cart")).start();
    let frontend = mesh.pod("frontend").start();
    frontend.curl("http://cart:8080/cart/ann").expect(200);
    let address = cart.at(8080);
    let heard = frontend.run(async move {
        raw::say_and_half_close(address, b"\x00\x01neither HTTP nor TLS\n").await
    });
    assert_eq!(heard.text(), "");
    let silent = frontend.run(async move { raw::say_and_half_close(address, b"").await });
    assert_eq!(silent.text(), "");
}
