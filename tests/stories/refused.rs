//! What policy does not allow is refused, counted, logged, and explained to the caller.

use postern_tests::{App, Mesh, raw};

use crate::scene;

#[test]
fn a_caller_that_is_not_on_the_list() {
    let scene = scene::shop();
    let reports = scene.mesh.pod("reports").start();
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    reports.curl("http://cart:8080/cart/ann").expect_refusal(403, "no_matching_allow");
    let caller = reports.principal();
    scene.cart.expect_metric(
        "postern_requests_total",
        &[("source_principal", &caller), ("response_code", "403"), ("reason", "no_matching_allow")],
    );
    scene.cart.expect_metric("postern_authorization_decisions_total", &[("decision", "deny")]);
    scene.cart.expect_log(&[
        ("kind", "request"),
        ("source_principal", &caller),
        ("status", "403"),
        ("reason", "no_matching_allow"),
    ]);
}

#[test]
fn methods_and_paths_that_are_not_on_the_list() {
    let scene = scene::shop();
    let check = |arguments: &[&str], reason: &str| {
        let answer = scene.frontend.curl_with(arguments);
        assert_eq!((answer.status, answer.reason()), (403, reason), "{arguments:?}");
    };
    check(&["-X", "DELETE", "http://cart:8080/cart/ann"], "no_matching_allow");
    check(&["-X", "PUT", "-d", "x", "http://cart:8080/cart/ann"], "no_matching_allow");
    check(&["http://cart:8080/metrics"], "no_matching_allow");
    check(&["http://cart:8080/cartoon"], "no_matching_allow");
    check(&["http://cart:8080/cart/internal"], "policy_denied");
    check(&["http://cart:8080/cart/internal/dump?x=1"], "policy_denied");
    // The path is judged in one spelling, whatever the caller wrote.
    check(&["--path-as-is", "http://cart:8080/cart/./internal"], "policy_denied");
    check(&["--path-as-is", "http://cart:8080//cart//internal"], "policy_denied");
    check(&["--path-as-is", "http://cart:8080/cart/%69nternal"], "policy_denied");
    check(&["--path-as-is", "http://cart:8080/cart/ann/../../metrics"], "no_matching_allow");
    scene.cart.expect_metric(
        "postern_authorization_decisions_total",
        &[("decision", "deny"), ("policy", "shop/cart-no-internals"), ("rule", "0")],
    );
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
}

#[test]
fn tcp_from_a_caller_that_is_not_on_the_list() {
    let scene = scene::shop();
    let reports = scene.mesh.pod("reports").start();
    let orders = scene.cart.at(9000);
    let allowed =
        scene.frontend.run(async move { raw::say_and_half_close(orders, b"COUNT ann\n").await });
    assert_eq!(allowed.text(), "0\nBYE 1\n");
    let refused = reports.run(async move { raw::say_and_half_close(orders, b"COUNT ann\n").await });
    assert_eq!(refused.text(), "");
    scene.cart.expect_metric("postern_authorization_decisions_total", &[("decision", "deny")]);
    scene
        .cart
        .expect_log(&[("reason", "no_matching_allow"), ("source_principal", &reports.principal())]);
}

#[test]
fn a_workload_without_a_policy_is_closed() {
    let mesh = Mesh::start();
    let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
    let frontend = mesh.pod("frontend").start();
    frontend.curl("http://cart:8080/cart/ann").expect_refusal(403, "default_deny");
    cart.expect_log(&[("reason", "default_deny")]);
    mesh.policy("cart", &scene::allow("cart", "frontend"));
    postern_tests::wait::until_true("the first policy to act", || {
        frontend.curl("http://cart:8080/cart/ann").status == 200
    });
}

#[test]
fn a_policy_of_another_namespace_opens_nothing() {
    let mesh = Mesh::start();
    let foreign =
        scene::allow("cart", "frontend").replace(r#""namespace":"shop""#, r#""namespace":"attic""#);
    mesh.policy("cart", &foreign);
    let _cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
    let frontend = mesh.pod("frontend").start();
    frontend.curl("http://cart:8080/cart/ann").expect_refusal(403, "default_deny");
}

#[test]
fn an_unknown_destination_is_refused_by_name() {
    let scene = scene::shop();
    let stranger = scene.mesh.pod("stranger").outside().start();
    let url = format!("http://{}/", stranger.at(8080));
    scene.frontend.curl(&url).expect_refusal(403, "egress_denied");
    scene.frontend.expect_log(&[("direction", "outbound"), ("reason", "egress_denied")]);
}
