//! API keys, made by the command and asked for by a sidecar: whose they are, what they are for, and their end.

use std::process::Command;

use postern_tests::{Answer, App, Mesh, Pod, wait, websocket};
use serde_json::{Value, json};

/// A key that nobody has yet, and its entry in a policy.
pub(crate) fn new_key(client: &str, scopes: &str) -> (String, Value) {
    let command = ["api-key", "new", "--client", client, "--scopes", scopes];
    let made = Command::new(postern_tests::binary("postern-proxy")).args(command).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    (made["key"].as_str().unwrap().to_owned(), made["entry"].clone())
}

/// Keys in the header, and in the parameter `key` for clients that can send none; reading and writing apart.
fn policies(mesh: &Mesh, entries: &[&Value]) {
    let keys = |name: &str, from: Value| {
        json!({
            "apiVersion": "policy.postern.dev/v1alpha1",
            "kind": "ApiKeyPolicy",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"from": from, "keys": entries},
        })
    };
    let rule = |method: &str, scope: &str| {
        json!({
            "from": [{"source": {"principals": ["cluster.local/ns/shop/sa/frontend"]}}],
            "to": [{"operation": {"methods": [method]}}],
            "when": [{"key": "request.auth.apiKey[scopes]", "values": [scope]}],
        })
    };
    let allow = json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "partners", "namespace": "shop"},
        "spec": {"rules": [rule("GET", "read"), rule("POST", "write")]},
    });
    let header = keys("in-headers", json!({"header": "x-api-key"}));
    let query = keys("in-queries", json!({"query": "key"}));
    mesh.policy("partners", &format!("{header}\n---\n{query}\n---\n{allow}\n"));
}

fn call(from: &Pod, arguments: &[&str], keys: &[&str], path: &str) -> Answer {
    let headers: Vec<_> = keys.iter().map(|key| format!("x-api-key: {key}")).collect();
    let url = format!("http://cart:8080{path}");
    let mut all = [arguments, &[&*url]].concat();
    for header in &headers {
        all.extend(["-H", header]);
    }
    from.curl_with(&all)
}

#[test]
fn a_key_says_whose_it_is_and_what_it_is_for_until_it_is_replaced() {
    let mesh = Mesh::start();
    let (reads, reading) = new_key("acme", "read");
    let (writes, writing) = new_key("acme", "read,write");
    policies(&mesh, &[&reading, &writing]);
    let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
    let frontend = mesh.pod("frontend").start();
    let post = ["-d", "tea"];

    let missing = call(&frontend, &[], &[], "/cart/ann");
    assert_eq!((missing.status, missing.reason()), (401, "api_key_missing"));
    assert_eq!(missing.header("www-authenticate"), Some("ApiKey"));
    call(&frontend, &[], &["pk_of_nobody"], "/cart/ann").expect_refusal(401, "api_key_invalid");
    call(&frontend, &[], &[&reads, &writes], "/cart/ann").expect_refusal(401, "api_key_invalid");
    call(&frontend, &[], &[&reads], "/cart/ann").expect(200);
    call(&frontend, &[], &[], &format!("/cart/ann?key={reads}")).expect(200);
    call(&frontend, &post, &[&reads], "/cart/ann").expect_refusal(403, "no_matching_allow");
    call(&frontend, &post, &[&writes], "/cart/ann").expect(201);
    let seen = call(&frontend, &[], &[&reads], "/headers");
    assert_eq!(seen.status, 200, "{seen:?}");
    assert!(!seen.body.contains("x-api-key") && !seen.body.contains(&reads), "{}", seen.body);

    // The next key of the client takes the place of the first one, which has a stream open.
    let (http, url) = (cart.at(8080), format!("ws://cart:8080/events?key={reads}"));
    let mut socket = frontend.run(async move {
        let mut socket = websocket::open(http, &url).await.unwrap();
        assert_eq!(socket.ask("a").await.unwrap(), "you said: a");
        socket
    });
    let (next, replacing) = new_key("acme", "read");
    policies(&mesh, &[&replacing, &writing]);
    let end = frontend.run(async move { socket.next().await });
    assert!(end.is_err(), "{end:?}");
    wait::until_true("the next key", || call(&frontend, &[], &[&next], "/cart/ann").status == 200);
    call(&frontend, &[], &[&reads], "/cart/ann").expect_refusal(401, "api_key_invalid");
    call(&frontend, &[], &[&writes], "/cart/ann").expect(200);

    cart.expect_metric(
        "postern_requests_total",
        &[("response_code", "401"), ("reason", "api_key_missing")],
    );
    for pod in [&cart, &frontend] {
        let log = std::fs::read_to_string(pod.directory().join("proxy.out")).unwrap();
        for key in [&reads, &writes, &next] {
            assert!(!log.contains(&**key), "a key is in the log of {}", pod.name());
        }
    }
}
