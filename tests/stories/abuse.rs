//! A caller that looks for what is not there is told first, then blocked for a while; nobody else is, and nobody else can
//! be made to be.

use postern_tests::{Answer, Mesh, Pod, wait};
use serde_json::{Value, json};

use crate::gateway_scene::{GatewayScene, gateway_with, policy, target};
use crate::scene::{allow, cart};

const SHOP: &str = "https://shop.example";
const URL: &str = "https://shop.example/cart/ann";

/// As many object ids as are too many, asked for one after the other: none of them is there.
const IDS: &str = "/objects/[1-24]";

fn at_gateway(mode: &str, block_for: &str) -> Value {
    let spec = json!({
        "targetRefs": target(None), "mode": mode, "key": "clientAddress", "blockFor": block_for,
    });
    policy("AbusePolicy", "scanners", &spec)
}

fn blocks(pod: &Pod) -> Vec<Value> {
    let found: Value = serde_json::from_str(&pod.admin("/blocks").body).unwrap();
    found.as_array().unwrap().clone()
}

fn ask_for_ids(scene: &GatewayScene, client: &Pod, more: &[&str]) {
    let answer = scene.get_as(client, &format!("{SHOP}{IDS}"), more);
    assert!([404, 429].contains(&answer.status), "{answer:?}");
}

fn expect_blocked(answer: Answer) {
    let refused = answer.expect_refusal(429, "caller_blocked");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    let problem: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!((&problem["status"], &problem["reason"]), (&json!(429), &json!("caller_blocked")));
}

#[test]
fn abuse_at_a_gateway_is_detected_then_blocked_and_ends() {
    let scene = gateway_with(&[("scanners", &at_gateway("detect", "1h"))]);
    let other = scene.mesh.pod("other").outside().start();
    postern_tests::certificates::replace(&other.directory().join("web.pem"), &scene.web.pem());
    ask_for_ids(&scene, &scene.client, &[]);
    let by = ("policy", "shop/scanners");
    scene.edge.expect_metric("postern_abuse_total", &[by, ("action", "detected")]);
    scene.get(URL, &[]).expect(200);
    let found = blocks(&scene.edge);
    assert_eq!(found.len(), 1, "{found:?}");
    let address = scene.client.ipv4().to_string();
    for (key, expect) in [
        ("policy", json!("shop/scanners")),
        ("enforced", json!(false)),
        ("key", json!("clientAddress")),
        ("caller", json!(address)),
        ("cause", json!("refusals")),
        ("repeated", json!(0)),
    ] {
        assert_eq!(found[0][key], expect, "{key}: {found:?}");
    }

    let edit = |what: &str, edited: Value| {
        scene.change(what, |mesh| mesh.policy("scanners", &edited.to_string()));
    };
    edit("the policy to block", at_gateway("block", "1h"));
    expect_blocked(scene.get(URL, &[]));
    assert_eq!(blocks(&scene.edge)[0]["enforced"], json!(true));
    scene.get_as(&other, URL, &[]).expect(200);
    scene.edge.expect_log(&[("status", "429"), ("reason", "caller_blocked")]);
    scene.edge.expect_metric("postern_abuse_total", &[by, ("action", "refused")]);

    edit("other numbers", at_gateway("block", "1s"));
    scene.get(URL, &[]).expect(200);
    ask_for_ids(&scene, &scene.client, &[]);
    scene.edge.expect_metric("postern_abuse_total", &[by, ("action", "blocked")]);
    wait::until_true("the block to end", || scene.get(URL, &[]).status == 200);
    scene.edge.expect_metric("postern_abuse_total", &[by, ("action", "ended")]);
    assert!(blocks(&scene.edge).is_empty());
}

#[test]
fn abuse_of_a_sidecars_app_blocks_the_identity_that_did_it() {
    let mesh = Mesh::start();
    mesh.policy("frontend", &allow("cart", "frontend"));
    mesh.policy("reports", &allow("cart", "reports"));
    let spec = json!({
        "selector": {"matchLabels": {"app": "cart"}}, "mode": "block", "key": "principal", "blockFor": "1h",
    });
    mesh.policy("scanners", &policy("AbusePolicy", "scanners", &spec).to_string());
    let cart = cart(&mesh);
    let [frontend, reports, stranger] =
        ["frontend", "reports", "stranger"].map(|name| mesh.pod(name).start());
    let url = "http://cart:8080/cart/ann";
    frontend.curl(url).expect(200);
    let _ = frontend.curl(&format!("http://cart:8080{IDS}"));
    expect_blocked(frontend.curl(url));
    reports.curl(url).expect(200);
    // Whom policy refuses has it against them, too.
    let _ = stranger.curl("http://cart:8080/cart/[1-24]");
    expect_blocked(stranger.curl(url));
    let mut found: Vec<_> = blocks(&cart).iter().map(|block| block["caller"].clone()).collect();
    found.sort_by_key(ToString::to_string);
    assert_eq!(found, [json!(frontend.principal()), json!(stranger.principal())]);
    mesh.remove_policy("scanners");
    wait::until_true("the block to end with its policy", || frontend.curl(url).status == 200);
    assert!(blocks(&cart).is_empty());
}

/// The client is listed as a proxy, and tells whom it speaks for.
#[test]
fn s48_nobody_gets_another_blocked() {
    let scene = gateway_with(&[("scanners", &at_gateway("block", "1h"))]);
    let stranger = scene.mesh.pod("stranger").outside().start();
    postern_tests::certificates::replace(&stranger.directory().join("web.pem"), &scene.web.pem());
    let trusted = json!({"trustedProxies": [scene.client.ipv4()], "hops": 1});
    let spec = json!({"targetRefs": target(None), "clientAddress": {"xForwardedFor": trusted}});
    let clients = policy("ClientTrafficPolicy", "clients", &spec);
    scene.change("the trusted proxy", |mesh| mesh.policy("clients", &clients.to_string()));
    let [abuser, victim, honest] =
        ["198.51.100.1", "198.51.100.2", "198.51.100.3"].map(|ip| format!("x-forwarded-for: {ip}"));

    ask_for_ids(&scene, &scene.client, &["-H", &abuser]);
    expect_blocked(scene.get(URL, &["-H", &abuser]));
    let ahead = "x-forwarded-for: 198.51.100.2, 198.51.100.1";
    expect_blocked(scene.get(URL, &["-H", ahead]));
    scene.get(URL, &["-H", &honest]).expect(200);

    ask_for_ids(&scene, &stranger, &["-H", &victim]);
    expect_blocked(scene.get_as(&stranger, URL, &["-H", &honest]));
    scene.get(URL, &["-H", &victim]).expect(200);
    assert_eq!(blocks(&scene.edge).len(), 2);
}
