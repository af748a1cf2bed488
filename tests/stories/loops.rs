//! Calls to the proxy's own ports, from inside and outside: refused at once, never forwarded round and round.

use std::time::{Duration, Instant};

use crate::scene;

/// Every port the proxy has.
const OWN_PORTS: [u16; 5] = [15000, 15001, 15006, 15020, 15021];

#[test]
fn s44_self_loops_from_the_app() {
    let scene = scene::shop();
    let addresses = [
        scene.frontend.ipv4().to_string(),
        format!("[{}]", scene.frontend.ipv6()),
        "127.0.0.1".to_owned(),
        "[::1]".to_owned(),
    ];
    let before = open_files(&scene.frontend);
    for address in &addresses {
        for port in [15001, 15006] {
            let start = Instant::now();
            let family = if address.starts_with('[') { "-6" } else { "-4" };
            let answer =
                scene.frontend.curl_with(&[family, &format!("http://{address}:{port}/cart/ann")]);
            assert!(answer.status == 0 || answer.status == 403, "{address}:{port}: {answer:?}");
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{address}:{port} took {:?}",
                start.elapsed()
            );
        }
    }
    // A name that belongs to nobody else than the proxy, by Host header.
    let host = format!("Host: {}:15001", scene.frontend.ipv4());
    let answer = scene.frontend.curl_with(&["-H", &host, "http://127.0.0.1:15001/"]);
    assert!(answer.status == 0 || answer.status == 403, "{answer:?}");
    postern_tests::wait::until_true("the connections to be gone", || {
        open_files(&scene.frontend) <= before + 4
    });
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
}

#[test]
fn s44_self_loops_from_other_pods() {
    let scene = scene::shop();
    let intruder = scene.mesh.pod("intruder").outside().start();
    for caller in [&scene.frontend, &intruder] {
        for port in OWN_PORTS {
            let answer = caller.curl(&format!("http://{}:{port}/cart/ann", scene.cart.ipv4()));
            assert!(
                [0, 403, 404, 503].contains(&answer.status),
                "{} to {port}: {answer:?}",
                caller.name()
            );
        }
    }
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
}

#[test]
fn s43_admin_and_debug_is_for_the_pod_alone() {
    let scene = scene::shop();
    let intruder = scene.mesh.pod("intruder").outside().start();
    intruder.curl(&format!("http://{}:15000/config", scene.cart.ipv4())).expect_nothing();
    let config = scene.cart.admin("/config");
    assert_eq!(config.status, 200, "{}", config.body);
    let key = std::fs::read_to_string(scene.cart.directory().join("key.pem")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    for path in ["/config", "/connections", "/certificates", "/decisions", "/services", "/blocks"] {
        let answer = scene.cart.admin(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(
            !answer.body.contains(secret) && !answer.body.contains("PRIVATE KEY"),
            "{path} shows a key"
        );
    }
    // From a page in a browser on this machine, or by a name that was made to point here.
    let rebound =
        scene.cart.curl_with(&["-H", "Host: evil.example", "http://127.0.0.1:15000/config"]);
    assert!(rebound.status == 403 || rebound.status == 421, "{rebound:?}");
    let drain = scene.cart.curl_with(&["-X", "POST", "http://127.0.0.1:15000/drain"]);
    assert!(drain.status == 401 || drain.status == 403, "{drain:?}");
}

fn open_files(pod: &postern_tests::Pod) -> usize {
    pod.with_proxy(|proxy| proxy.open_files())
}
