//! What changes while a gateway serves: listeners and ports, certificates, routes, and the gateway itself.

use std::time::Duration;

use postern_tests::web::secret;
use postern_tests::{Load, wait};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::gateway_scene::{cart_route, gateway, gateway_of, http, https, object};

const URL: &str = "https://shop.example/cart/ann";

#[test]
fn gateway_ports_and_listeners_come_and_go() {
    let scene = gateway();
    scene.get(URL, &[]).expect(200);
    scene.get("http://shop.example:8081/cart/ann", &[]).expect_nothing();
    let (shop, admin) = (https("shop", "shop-cert"), https("admin", "admin-cert"));
    scene.mesh.policy("admin-cert", &scene.web.server(&["admin.example"]).secret("admin-cert"));
    let spec = json!({
        "parentRefs": [{"name": "edge", "sectionName": "admin"}],
        "rules": [{"backendRefs": [{"name": "cart", "port": 8080}]}],
    });
    scene.mesh.policy("admin-route", &object("HTTPRoute", "admin", &spec).to_string());
    scene.mesh.policy("gateway", &gateway_of(&[http(80), http(8081), shop.clone(), admin]));
    wait::until_true("the new port", || {
        scene.get("http://shop.example:8081/cart/ann", &[]).status == 200
    });
    scene.get("https://admin.example/cart/ann", &[]).expect(200);
    // Each shows its own certificate, and is no other's.
    scene.get(URL, &["-H", "Host: admin.example"]).expect_refusal(421, "misdirected_request");

    scene.mesh.policy("gateway", &gateway_of(&[http(80), shop]));
    wait::until_true("the port to be closed", || {
        scene.get("http://shop.example:8081/cart/ann", &[]).exit == 7
    });
    scene.get("https://admin.example/cart/ann", &[]).expect_nothing();
    scene.get(URL, &["-H", "Host: admin.example"]).expect_refusal(404, "route_not_found");
    scene.get(URL, &[]).expect(200);
}

#[test]
fn gateway_secrets_are_rotated_under_load_and_one_that_does_not_fit_is_refused() {
    let scene = gateway();
    let shown = || {
        let (config, at) = (scene.web.believer(None, &[]), scene.edge.at(443));
        scene.client.run(async move { postern_tests::web::shown(config, at, "shop.example").await })
    };
    let config = scene.web.believer(None, &["http/1.1"]);
    let target = ("shop.example", "/cart/ann");
    let load = Load::start_https(&scene.client, scene.edge.at(443), &config, target, 2);
    let first = shown();
    scene.mesh.policy("shop-cert", &scene.web.server(&["shop.example"]).secret("shop-cert"));
    wait::until_true("the new certificate", || shown() != first);
    let second = shown();

    let (one, other) = (scene.web.server(&["shop.example"]), scene.web.server(&["shop.example"]));
    scene.mesh.policy("shop-cert", &secret("shop-cert", &one.pem, &other.key_pem));
    let failure = [("result", "failure")];
    scene.edge.expect_metric("postern_listener_certificate_updates_total", &failure);
    let refused = scene.edge.log().into_iter().any(|line| {
        let text = line.0.to_string();
        text.contains("shop/shop-cert") && text.contains("is not the key of the certificate")
    });
    assert!(refused, "{:?}", scene.edge.log());
    assert_eq!(shown(), second);
    load.finish().expect_all_good();
}

#[test]
fn gateway_keeps_the_last_good_routes() {
    let scene = gateway();
    scene.get(URL, &[]).expect(200);
    let mut broken = cart_route();
    broken["spec"]["rules"][0]["backendRef"] = json!([]);
    scene.mesh.policy("cart-route", &broken.to_string());
    scene.edge.expect_metric("postern_config_stale", &[]);
    scene.edge.expect_metric("postern_config_updates_total", &[("result", "failure")]);
    scene.get(URL, &[]).expect(200);
    // A correct one takes its place.
    scene.mesh.policy("cart-route", &only_below("/other").to_string());
    wait::until_true("the repaired route", || scene.get(URL, &[]).status == 404);
    scene.get(URL, &[]).expect_refusal(404, "route_not_found");
}

fn only_below(path: &str) -> Value {
    let mut route = cart_route();
    route["spec"]["rules"][0]["matches"] = json!([{"path": {"value": path}}]);
    route
}

#[test]
fn gateway_is_upgraded_in_place_without_a_request_that_fails() {
    let scene = gateway();
    let config = scene.web.believer(None, &["http/1.1"]);
    let target = ("shop.example", "/cart/ann");
    let secure = Load::start_https(&scene.client, scene.edge.at(443), &config, target, 2);
    let plain = Load::start_http2(&scene.client, scene.edge.at(80), "shop.example", "/cart/ann", 2);
    let mut before = scene.edge.upgrade_proxy("newer");
    assert_eq!(before.exit_code(Duration::from_secs(30)), 0);
    secure.finish().expect_all_good();
    plain.finish().expect_all_good();
    // The newer one listens on ports that come later, too.
    scene.mesh.policy("gateway", &gateway_of(&[http(80), http(8081), https("shop", "shop-cert")]));
    wait::until_true("the new port", || {
        scene.get("http://shop.example:8081/cart/ann", &[]).status == 200
    });
}

/// A connection in the clear has proved nothing of what its port asks for by now.
#[test]
fn gateway_carries_nothing_in_the_clear_once_a_port_speaks_tls() {
    let scene = gateway();
    scene.mesh.policy("gateway", &gateway_of(&[http(8081), https("shop", "shop-cert")]));
    let url = "http://shop.example:8081/cart/ann";
    wait::until_true("the port", || scene.get(url, &[]).status == 200);
    let at = scene.edge.at(8081);
    let kept = scene.client.run(async move { TcpStream::connect(at).await.unwrap() });
    let ask = |mut kept: TcpStream| {
        scene.client.run(async move {
            let request = b"GET /cart/ann HTTP/1.1\r\nhost: shop.example\r\n\r\n";
            kept.write_all(request).await.unwrap();
            let mut answer = vec![0; 4096];
            let read = kept.read(&mut answer).await.unwrap_or(0);
            (String::from_utf8_lossy(&answer[..read]).into_owned(), kept)
        })
    };
    let (first, kept) = ask(kept);
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    let mut secure = https("shop", "shop-cert");
    secure["port"] = json!(8081);
    scene.change("TLS on the port", |mesh| mesh.policy("gateway", &gateway_of(&[secure])));
    let (second, _) = ask(kept);
    assert!(second.starts_with("HTTP/1.1 421"), "{second}");
}
