//! `postern-proxy explain` and live traffic agree.

use postern_tests::Pod;
use serde_json::json;

use crate::scene;

#[test]
fn explain_and_live_traffic_give_the_same_verdict() {
    let scene = scene::shop();
    let reports = scene.mesh.pod("reports").start();
    let check = |caller: &Pod, method: &str, path: &str, status: u16| {
        let url = format!("http://cart:8080{path}");
        let live = caller.curl_with(&["--path-as-is", "-X", method, &url]);
        let question = json!({
            "source": {"principal": caller.principal(), "ip": caller.ipv4()},
            "destination": {"ip": scene.cart.ipv4(), "port": 8080},
            "request": {"method": method, "host": "cart:8080", "path": path},
        });
        let explained = scene.cart.explain(&question);
        assert_eq!(live.status, status, "{method} {path}: {live:?}");
        let verdict = if status == 403 || status == 400 { "deny" } else { "allow" };
        assert_eq!(explained["decision"], verdict, "{method} {path}: {explained}");
        if verdict == "deny" {
            assert_eq!(explained["reason"], live.reason(), "{method} {path}: {explained}");
        }
        explained
    };
    let allowed = check(&scene.frontend, "GET", "/cart/ann?x=1", 200);
    assert_eq!(
        (&allowed["policy"], &allowed["rule"], &allowed["path"]),
        (&json!("shop/cart-allow"), &json!(0), &json!("/cart/ann"))
    );
    check(&scene.frontend, "GET", "/headers", 200);
    check(&scene.frontend, "DELETE", "/cart/ann", 403);
    check(&scene.frontend, "GET", "/cart/%69nternal", 403);
    check(&scene.frontend, "GET", "/cart/%00", 400);
    check(&reports, "GET", "/cart/ann", 403);
    let plaintext = scene.cart.explain(&json!({"source": {"ip": "10.0.0.1"}, "destination": {"ip": scene.cart.ipv4(), "port": 8080}}));
    assert_eq!(
        (&plaintext["decision"], &plaintext["reason"]),
        (&json!("deny"), &json!("peer_not_authenticated"))
    );
    let tcp = json!({"source": {"principal": scene.frontend.principal()}, "destination": {"ip": scene.cart.ipv4(), "port": 9000}});
    let tcp = scene.cart.explain(&tcp);
    assert_eq!((&tcp["decision"], &tcp["rule"]), (&json!("allow"), &json!(1)));
}
