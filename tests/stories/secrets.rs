//! What a request carries in confidence is found nowhere afterwards: not in the log, the metrics or the admin pages,
//! however much is logged.

use postern_tests::Pod;
use serde_json::json;

use crate::scene::{self, allow};

/// Told to the mesh in every place where callers put secrets.
const CANARY: &str = "canary-7f3a9c";

/// Every place where something said in confidence could be kept.
fn kept(pod: &Pod) -> Vec<(String, String)> {
    let mut places = vec![("the metrics".to_owned(), pod.metrics().text)];
    for path in ["/config", "/connections", "/certificates", "/decisions", "/services"] {
        places.push((path.to_owned(), pod.admin(path).body));
    }
    places.push(("the log".to_owned(), pod.with_proxy(|proxy| proxy.stdout())));
    places.push(("standard error".to_owned(), pod.with_proxy(|proxy| proxy.stderr())));
    places
}

#[test]
fn s52_logs_hold_no_secret() {
    let mesh = postern_tests::Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let everything = json!({"logs": {"level": "trace"}});
    let store = mesh.pod("store").port(8080, "http").config(everything.clone()).start();
    let frontend = mesh.pod("frontend").config(everything.clone()).start();
    let secret = |name: &str| format!("{name}: {CANARY}");
    let headers = [
        secret("authorization: Bearer"),
        secret("cookie: session=1; token"),
        secret("proxy-authorization: Basic"),
        secret("x-api-key"),
        secret("dpop"),
    ];
    let mut call = vec!["-X", "POST", "--data", CANARY];
    for header in &headers {
        call.extend(["-H", header]);
    }
    let url = format!("http://store:8080/a?access_token={CANARY}");
    call.push(&url);
    // Nobody listens at the store: the refusal is recorded like any answer.
    frontend.curl_with(&call).expect_refusal(503, "app_unreachable");
    // A caller that is refused by policy is written down in more places.
    let stranger = mesh.pod("stranger").config(everything).start();
    stranger.curl_with(&call).expect_refusal(403, "no_matching_allow");
    store.expect_log(&[("kind", "request"), ("status", "403")]);
    store.expect_log(&[("kind", "request"), ("status", "503")]);
    for pod in [&store, &frontend, &stranger] {
        let key = std::fs::read_to_string(pod.directory().join("key.pem")).unwrap();
        let key = key.lines().nth(1).unwrap();
        for (place, text) in kept(pod) {
            assert!(!text.contains(CANARY), "{place} of {} holds the canary:\n{text}", pod.name());
            assert!(!text.contains(key), "{place} of {} holds the key", pod.name());
        }
    }
}

#[test]
fn s52_logs_of_hostile_text_stay_whole() {
    let scene = scene::shop();
    // Line ends, terminal controls and quotes, in all that curl can be made to send.
    let path = "http://cart:8080/%0d%0a%1b[31m%22?q=%0d%0a{\"fake\":true}";
    let agent = "user-agent: \u{1b}]0;owned\u{7}\"}{\"status\":200";
    let answer = scene.frontend.curl_with(&["-g", "-H", agent, path]);
    assert!(answer.status >= 400, "{answer:?}");
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    scene.cart.expect_log(&[("kind", "request"), ("path", "/cart/ann")]);
    for pod in [&scene.cart, &scene.frontend] {
        let log = pod.with_proxy(|proxy| proxy.stdout());
        for line in log.lines() {
            let read: Result<serde_json::Value, _> = serde_json::from_str(line);
            assert!(read.is_ok_and(|line| line.get("fake").is_none()), "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
