//! What a gateway carries: every version of HTTP, WebSocket, gRPC, bodies within a limit; and what it says of itself.

use postern_tests::{App, grpc, websocket};
use serde_json::json;
use shop::proto::ChargeRequest;

use crate::gateway_scene::{gateway, gateway_with, object, policy, target};
use crate::scene::allow;

#[test]
fn gateway_speaks_every_version_of_http() {
    let scene = gateway();
    let secure = "https://shop.example/cart/ann";
    for (row, url, version, expect) in [
        ("1.0", "http://shop.example/cart/ann", "--http1.0", 200),
        ("1.1", "http://shop.example/cart/ann", "--http1.1", 200),
        ("2 in the clear", "http://shop.example/cart/ann", "--http2-prior-knowledge", 200),
        ("1.1 over TLS", secure, "--http1.1", 200),
        ("2 over TLS", secure, "--http2", 200),
        ("no such host", "http://other.example/", "--http1.1", 404),
    ] {
        let answer = scene.get(url, &[version]);
        assert_eq!(answer.status, expect, "{row}: {answer:?}");
    }
    // A client that offers HTTP/1.0 in the handshake alone is told so there; one that offers nothing is served.
    scene.get(secure, &["--http1.0"]).expect_nothing();
    scene.get(secure, &["--http1.0", "--no-alpn"]).expect(200);
    let log = [("kind", "request"), ("status", "200"), ("route", "HTTPRoute shop/cart")];
    scene.edge.expect_log(&log);
    scene.edge.expect_log(&[("status", "404"), ("reason", "route_not_found")]);
    scene.edge.expect_metric("postern_requests_total", &[("response_code", "404")]);
    // The cart's own proxy judged the gateway, as any caller.
    let principal = scene.edge.principal();
    scene.cart.expect_log(&[("source_principal", &principal), ("status", "200")]);
}

#[test]
fn gateway_is_one_caller_among_others_in_the_mesh() {
    let scene = gateway();
    scene.get("https://shop.example/cart/ann", &[]).expect(200);
    scene.mesh.policy("cart-for-edge", &allow("cart", "nobody"));
    postern_tests::wait::until_true("the cart to refuse", || {
        scene.get("https://shop.example/cart/ann", &[]).status == 403
    });
    let answer = scene.get("https://shop.example/cart/ann", &[]);
    answer.expect_refusal(403, "no_matching_allow");
}

#[test]
fn gateway_carries_websocket_and_grpc() {
    let payments = json!([{"backendRefs": [{"name": "payments", "port": 50051}]}]);
    let spec =
        json!({"parentRefs": [{"name": "edge"}], "hostnames": ["payments"], "rules": payments});
    let scene = gateway_with(&[("payments-route", &object("GRPCRoute", "payments", &spec))]);
    scene.mesh.policy("payments-for-edge", &allow("payments", "edge"));
    let builder = scene.mesh.pod("payments").port(50051, "grpc").app(App::new("shop-payments"));
    let _payments = builder.start();
    let at = scene.edge.at(80);
    let said = scene.client.run(async move {
        websocket::open(at, "ws://shop.example/events").await?.ask("hello").await
    });
    assert_eq!(said.as_deref(), Ok("you said: hello"));
    let refused = scene
        .client
        .run(async move { websocket::open(at, "ws://other.example/events").await.err() });
    assert_eq!(refused.as_deref(), Some("404 route_not_found"));

    let charge = || ChargeRequest { user: "ann".to_owned(), card: "4000".to_owned(), amount: 250 };
    let charged = postern_tests::wait::until("a charge", postern_tests::wait::PATIENCE, || {
        let charge = charge();
        scene.client.run(async move {
            let mut desk = grpc::payments(at).await.map_err(|error| error.to_string())?;
            let receipt = desk.charge(charge).await.map_err(|status| grpc::refusal(&status))?;
            Ok::<_, String>(receipt.into_inner())
        })
    });
    assert!(!charged.id.is_empty());
    scene.edge.expect_log(&[("route", "GRPCRoute shop/payments")]);
}

#[test]
fn gateway_takes_no_more_of_a_body_than_it_was_told() {
    let spec = json!({"targetRefs": target(None), "limits": {"requestBytes": "10KiB"}});
    let scene = gateway_with(&[("clients", &policy("ClientTrafficPolicy", "public", &spec))]);
    let file = |name: &str, bytes: usize| {
        std::fs::write(scene.client.directory().join(name), vec![b'a'; bytes]).unwrap();
        format!("@/run/postern/{name}")
    };
    let (small, large) = (file("small", 10_000), file("large", 20_000));
    let chunked = ["-H", "transfer-encoding: chunked"];
    for (row, body, more, expect) in [
        ("small, announced", &small, &[][..], 201),
        ("small, chunked", &small, &chunked[..], 201),
        ("large, announced", &large, &[][..], 413),
        ("large, chunked", &large, &chunked[..], 413),
    ] {
        let all = [&["--http1.1", "--data-binary", body], more].concat();
        let answer = scene.get("https://shop.example/cart/ann", &all);
        assert_eq!(answer.status, expect, "{row}: {answer:?}");
        if expect == 413 {
            assert_eq!(answer.reason(), "body_too_large", "{row}");
        }
    }
    scene.edge.expect_log(&[("status", "413"), ("reason", "body_too_large")]);
}

/// A client that dials the gateway for something else than its listeners gets nothing: no other port, no host of the mesh
/// that is not exposed, no proxy.
#[test]
fn s45_what_is_not_exposed_is_not_there() {
    let scene = gateway();
    for port in [15000, 15001, 15006, 8080, 9000] {
        scene
            .client
            .curl(&format!("http://{}:{port}/cart/ann", scene.edge.ipv4()))
            .expect_nothing();
    }
    let at = scene.edge.at(80);
    for (row, head, expect) in [
        (
            "a service's name",
            "GET /cart/ann HTTP/1.1\r\nhost: cart.shop.svc.cluster.local\r\n",
            " 404 ",
        ),
        (
            "its port, too",
            "GET /cart/ann HTTP/1.1\r\nhost: cart.shop.svc.cluster.local:8080\r\n",
            " 404 ",
        ),
        (
            "its address",
            &format!("GET /cart/ann HTTP/1.1\r\nhost: {}:8080\r\n", scene.cart.ipv4()),
            " 404 ",
        ),
        ("as of a proxy", "GET http://cart:8080/cart/ann HTTP/1.1\r\nhost: cart:8080\r\n", " 404 "),
        ("a tunnel", "CONNECT cart:8080 HTTP/1.1\r\nhost: cart:8080\r\n", " 4"),
        ("what is exposed", "GET /cart/ann HTTP/1.1\r\nhost: shop.example\r\n", " 200 "),
    ] {
        let request = format!("{head}connection: close\r\n\r\n");
        let said = scene
            .client
            .run(async move { postern_tests::raw::say(at, request.as_bytes()).await.text() });
        let line = said.lines().next().unwrap_or("");
        assert!(line.contains(expect), "{row}: {line}");
    }
}

/// A backend that is the gateway itself is not called: a request would go round and round.
#[test]
fn s44_a_gateway_that_leads_to_itself_ends() {
    let rules = json!([{"backendRefs": [{"name": "round", "port": 80}]}]);
    let spec =
        json!({"parentRefs": [{"name": "edge"}], "hostnames": ["round.example"], "rules": rules});
    let scene = gateway_with(&[("round-route", &object("HTTPRoute", "round", &spec))]);
    let entry = json!({
        "hosts": ["round.shop.svc.cluster.local"], "location": "MESH_EXTERNAL", "resolution": "STATIC",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "endpoints": [{"address": scene.edge.ipv4()}],
    });
    let entry =
        crate::gateway_scene::of_group("networking.istio.io/v1", "ServiceEntry", "round", &entry);
    scene.change("the loop", |mesh| mesh.policy("round", &entry.to_string()));
    let start = std::time::Instant::now();
    let answer = scene.get("http://round.example/", &[]);
    answer.expect_refusal(403, "egress_denied");
    assert!(start.elapsed() < std::time::Duration::from_secs(8), "{:?}", start.elapsed());
    scene.get("http://shop.example/cart/ann", &[]).expect(200);
    scene.edge.expect_log(&[("status", "403"), ("reason", "egress_denied")]);
}
