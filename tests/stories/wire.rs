//! What crosses the cable between two pods.

use postern_tests::{Capture, raw, websocket};

use crate::scene;

#[test]
fn p16_no_mesh_byte_in_plaintext() {
    let scene = scene::shop();
    let intruder = scene.mesh.pod("intruder").outside().start();
    let capture = Capture::start(&scene.cart);
    let (http, orders) = (scene.cart.at(8080), scene.cart.at(9000));
    scene
        .frontend
        .curl_with(&["-d", "canary-in-a-body", "http://cart:8080/cart/canary-in-a-path"])
        .expect(201);
    scene.frontend.curl("http://cart:8080/cart/canary-in-a-path").expect(200);
    scene.frontend.run(async move {
        let mut socket = websocket::open(http, "ws://cart:8080/events").await.unwrap();
        assert_eq!(socket.ask("canary-in-a-socket").await.unwrap(), "you said: canary-in-a-socket");
        let heard = raw::say_and_half_close(orders, b"ADD ann canary-in-a-line\n").await;
        assert_eq!(heard.text(), "OK 1\nBYE 1\n");
    });
    scene.cart.with_proxy(|proxy| proxy.kill());
    let while_down = scene.frontend.curl("http://cart:8080/cart/canary-while-down");
    assert_ne!(while_down.status, 200, "{while_down:?}");
    scene.cart.start_proxy();
    scene.cart.ready();
    // That the capture sees anything at all: an intruder's words do cross the cable, and find nobody.
    intruder.curl("http://cart:8080/cart/canary-of-the-intruder").expect_nothing();
    let seen = capture.finish();
    assert!(
        seen.shows(b"canary-of-the-intruder"),
        "the capture saw {} bytes, but not what it must see",
        seen.len()
    );
    for word in ["canary-in-", "canary-while-down"] {
        assert!(!seen.shows(word.as_bytes()), "{word} crossed the cable in plaintext");
    }
}

#[test]
fn the_mesh_hop_is_multiplexed() {
    let scene = scene::shop();
    let load = postern_tests::Load::start(
        &scene.frontend,
        scene.cart.at(8080),
        "cart:8080",
        "/cart/ann",
        16,
    );
    scene.cart.expect_metric("postern_connections_open", &[("direction", "inbound")]);
    postern_tests::wait::until_true("requests to flow", || {
        scene.cart.metrics().sum("postern_requests_total", &[("direction", "inbound")]) > 200.0
    });
    let connections =
        scene.cart.metrics().sum("postern_connections_open", &[("direction", "inbound")]);
    let report = load.finish();
    report.expect_all_good();
    assert!(connections <= 4.0, "16 callers' connections became {connections} between the proxies");
}
