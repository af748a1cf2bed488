//! Which requests are sent once more, and which must not be.

use std::time::Duration;

use postern_tests::{Answer, App, Mesh, Pod, wait};
use serde_json::{Value, json};

use crate::scene::allow;

/// A service of two pods, and its caller; what it dials is a listener of its own proxy.
struct Scene {
    mesh: Mesh,
    stores: [Pod; 2],
    frontend: Pod,
}

const SERVICE: &str = "http://127.0.0.1:9001";

/// The proxy of the caller has these limits.
fn scene(limits: Value) -> Scene {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = |name: &str| {
        let labels = json!({"workload": {"labels": {"app": "store"}}});
        let pod = mesh.pod(name).service_account("store").port(8080, "http").config(labels);
        let pod = pod.known_by_files().app(App::new("shop-cart")).start();
        pod.wait_for_app(8080);
        pod
    };
    let stores = [store("store-1"), store("store-2")];
    let listener = json!({
        "bind": "127.0.0.1:9001", "service": "store.shop.svc.cluster.local", "port": 8080,
    });
    let frontend = mesh.pod("frontend").config(json!({"limits": limits}));
    let frontend = frontend.config(json!({"outbound": {"listeners": [listener]}})).start();
    let scene = Scene { mesh, stores, frontend };
    scene.endpoints(&[0, 1]);
    wait::until_true("the service to be known", || scene.get().status == 200);
    scene
}

impl Scene {
    /// Says which of the pods are the service's.
    fn endpoints(&self, numbers: &[usize]) {
        let addresses: Vec<Value> =
            numbers.iter().map(|n| json!({"address": self.stores[*n].ipv4()})).collect();
        let entry = json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "store", "namespace": "shop"},
            "spec": {
                "hosts": ["store.shop.svc.cluster.local"],
                "location": "MESH_INTERNAL",
                "resolution": "STATIC",
                "ports": [{"number": 8080, "name": "http", "protocol": "HTTP"}],
                "endpoints": addresses,
                "subjectAltNames": ["spiffe://cluster.local/ns/shop/sa/store"],
            },
        });
        self.mesh.policy("service-store", &entry.to_string());
    }

    fn get(&self) -> Answer {
        self.frontend.curl(&format!("{SERVICE}/headers"))
    }

    fn post(&self) -> Answer {
        self.frontend.curl_with(&["-d", "a pear", &format!("{SERVICE}/cart/ann")])
    }

    /// Ends the app of a pod, whose proxy goes on.
    fn end_app(&self, number: usize) {
        self.stores[number].app().as_mut().unwrap().kill();
    }

    fn retries(&self, reason: &str) -> f64 {
        self.frontend.metrics().sum("postern_retries_total", &[("reason", reason)])
    }

    /// Requests that were answered by the proxy of a pod, for want of its app.
    fn turned_away(&self, number: usize) -> f64 {
        let labels = [("direction", "inbound"), ("reason", "app_unreachable")];
        self.stores[number].metrics().sum("postern_requests_total", &labels)
    }
}

#[test]
fn f13_upstream_dead_or_refused_another_endpoint_answers() {
    let scene = scene(json!({"endpointRest": "0s"}));
    scene.end_app(1);
    wait::until_true("a request to meet the dead one", || {
        let seen = scene.get().expect(200).body;
        assert!(!seen.contains("x-postern"), "the app sees none of our own fields: {seen}");
        scene.turned_away(1) >= 1.0
    });
    assert!((scene.retries("app_unreachable") - scene.turned_away(1)).abs() < 0.5);
    let address = scene.stores[0].at(8080).to_string();
    scene.frontend.expect_log(&[
        ("direction", "outbound"),
        ("status", "200"),
        ("retried", "app_unreachable"),
        ("upstream", &address),
    ]);
}

#[test]
fn a_request_with_a_small_body_is_sent_again_with_all_of_it() {
    let scene = scene(json!({"endpointRest": "0s"}));
    scene.end_app(1);
    wait::until_true("a request to meet the dead one", || {
        scene.post().expect(201);
        scene.turned_away(1) >= 1.0
    });
    let cart = scene.frontend.curl(&format!("{SERVICE}/cart/ann")).expect(200).body;
    assert!(cart.contains("a pear"), "{cart}");
    assert!((scene.retries("app_unreachable") - scene.turned_away(1)).abs() < 0.5);
}

#[test]
fn a_request_with_a_large_body_is_sent_once() {
    let scene = scene(json!({"endpointRest": "0s"}));
    scene.end_app(1);
    scene.endpoints(&[1]);
    let pear = "pear".repeat(20 << 10);
    wait::until_true("only the dead endpoint to be known", || {
        let answer = scene.frontend.curl_with(&["-d", &pear, &format!("{SERVICE}/cart/ann")]);
        answer.status == 503
    });
    assert_eq!(scene.retries("app_unreachable"), 0.0);
}

#[test]
fn an_endpoint_without_its_app_is_passed_over() {
    let scene = scene(json!({"endpointRest": "60s"}));
    scene.end_app(1);
    wait::until_true("a request to meet the dead one", || {
        scene.get().expect(200);
        scene.turned_away(1) > 0.0
    });
    for _ in 0..6 {
        scene.post().expect(201);
    }
}

#[test]
fn a_request_waits_for_the_endpoint_that_takes_over() {
    let scene = scene(json!({"endpointWait": "20s"}));
    scene.endpoints(&[0]);
    wait::until_true("only one endpoint to be known", || {
        scene.get().expect(200);
        let services = scene.frontend.admin("/services").body;
        !services.contains(&scene.stores[1].ipv4().to_string())
    });
    scene.end_app(0);
    let (get, post) = std::thread::scope(|scope| {
        let get = scope.spawn(|| scene.get());
        wait::until_true("a request to find the app gone", || scene.turned_away(0) > 0.0);
        // Nothing has been sent of this one when it begins to wait, so it may have a body.
        let post = scope.spawn(|| scene.post());
        wait::until_true("both to wait", || {
            let listing = scene.frontend.admin("/connections").body;
            listing.matches("127.0.0.1:9001").count() >= 2
        });
        scene.endpoints(&[1]);
        (get.join().unwrap(), post.join().unwrap())
    });
    get.expect(200);
    post.expect(201);
    assert!(scene.turned_away(0) < 1.5, "the one that has gone was not asked again");
}

#[test]
fn a_service_that_stays_away_is_refused_at_once() {
    let scene = scene(json!({"endpointWait": "1s"}));
    scene.endpoints(&[0]);
    scene.end_app(0);
    scene.end_app(1);
    wait::until("the wait to be over", Duration::from_secs(20), || {
        let begun = std::time::Instant::now();
        scene.get().expect_refusal(503, "app_unreachable");
        let took = begun.elapsed();
        if took < Duration::from_millis(700) { Ok(()) } else { Err(format!("{took:?}")) }
    });
    scene.post().expect_refusal(503, "app_unreachable");
}
