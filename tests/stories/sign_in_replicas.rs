//! Two replicas of a gateway: whoever signs in at one is signed in at the other, and signed out as well.

use std::time::{Duration, Instant};

use postern_tests::web::WebAuthority;
use postern_tests::{Mesh, Pod, Redis, wait};
use serde_json::json;

use crate::gateway_scene::edge;
use crate::sign_in_scene::{
    HEADERS, SESSION, SHOP, SIGN_IN_PAGE, SignInScene, Wanted, sign_in, sign_in_on,
};

/// Two replicas that share a Redis.
struct Replicas {
    other: Pod,
    scene: SignInScene,
    redis: Redis,
}

fn replicas(store: &str) -> Replicas {
    let mesh = Mesh::start();
    let redis = Redis::start(&mesh);
    let wanted = Wanted {
        spec: json!({"session": {"store": store}}),
        config: json!({"sessions": {"redis": redis.settings()}}),
        access_token_seconds: 5,
        ..Wanted::default()
    };
    let scene = sign_in_on(mesh, WebAuthority::new("the web"), &wanted, &[]);
    let other = edge(&scene.gateway.mesh, "edge-2", &scene.gateway.web, |edge| wanted.edge(edge));
    Replicas { other, scene, redis }
}

/// Both replicas get requests with one session whose tokens are old: one asks the provider.
fn refresh_at_both(Replicas { other, scene, .. }: &Replicas, cookies: &str) {
    wait::pass(Instant::now() + Duration::from_secs(5));
    std::thread::scope(|threads| {
        for replica in [scene.edge(), other, scene.edge(), other] {
            threads.spawn(move || scene.ask_at(replica, HEADERS, cookies, &[]).expect(200));
        }
    });
    assert_eq!(scene.provider.count("refresh_token"), 1);
    assert_eq!(scene.provider.count("error: invalid_grant"), 0);
    let success = [("result", "success")];
    let refreshes = |pod: &Pod| pod.metrics().sum("postern_session_refresh_total", &success);
    assert_eq!(refreshes(scene.edge()) + refreshes(other), 1.0);
}

/// A logout at one of them is known at the other within two seconds.
fn sign_out(Replicas { other, scene, .. }: &Replicas, cookies: &str) {
    let post = ["-X", "POST", "-H", "origin: https://shop.example"];
    scene.ask(&format!("{SHOP}/.postern/logout"), cookies, &post).expect(303);
    scene.ask(HEADERS, cookies, &[]).expect_refusal(401, "sign_in_required");
    let seen = || scene.ask_at(other, HEADERS, cookies, &[]).reason() == "sign_in_required";
    assert!(wait::holds_within(Duration::from_secs(2), seen), "two seconds after the logout");
}

#[test]
fn s41_two_replicas_share_sessions_in_a_store() {
    let mut replicas = replicas("redis");
    let scene = &replicas.scene;
    let browser = scene.browser();
    let ann = browser.person();
    let page = ann.page();
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    page.sign_in("ann").expect(200, HEADERS);
    let cookies = ann.cookie_header(HEADERS);
    assert!(cookies.contains(SESSION) && cookies.len() < 300, "a name, and no session: {cookies}");
    scene.ask_at(&replicas.other, HEADERS, &cookies, &[]).expect(200);

    refresh_at_both(&replicas, &cookies);
    sign_out(&replicas, &cookies);
    // At the provider she is still signed in, so that she is here again after one round.
    let again = page.open(HEADERS).expect(200, HEADERS);
    assert_eq!(again.steps[0].0, 302, "{again:#?}");

    // Without the store nobody is known, and nobody comes in.
    let bob = browser.person();
    let page = bob.page();
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    page.sign_in("bob").expect(200, HEADERS);
    replicas.redis.kill();
    page.fetch(HEADERS).expect_refusal(503, "session_store_unavailable");
    replicas.scene.edge().expect_log(&[("reason", "session_store_unavailable"), ("status", "503")]);
}

#[test]
fn s41_two_replicas_share_logouts_of_sessions_in_cookies() {
    let mut replicas = replicas("cookie");
    let scene = &replicas.scene;
    let ann = scene.by_hand("ann");
    ann.sign_in(HEADERS, "ann").expect(303);
    let cookies = ann.cookies("shop.example");
    scene.ask_at(&replicas.other, HEADERS, &cookies, &[]).expect(200);
    refresh_at_both(&replicas, &cookies);
    sign_out(&replicas, &cookies);

    // A session lies in the browser: without the store it is as good as before.
    let bob = scene.by_hand("bob");
    bob.sign_in(HEADERS, "bob").expect(303);
    replicas.redis.kill();
    bob.go(HEADERS, &[]).expect(200);
}

/// Without a store as well: a flow and a session are sealed with keys that both have.
#[test]
fn s41_a_sign_in_begun_at_one_replica_ends_at_the_other() {
    let scene = sign_in();
    let other = edge(&scene.gateway.mesh, "edge-2", &scene.gateway.web, |edge| {
        Wanted::default().edge(edge)
    });
    let ann = scene.by_hand("ann");
    let callback = ann.callback(HEADERS, "ann");
    let to = format!("shop.example:443:{}", other.ipv4());
    let at_other = ["--resolve", &*to];
    let answer = ann.go(&callback, &at_other).expect(303);
    assert_eq!(answer.header("location"), Some("/headers"));
    ann.go(HEADERS, &at_other).expect(200);
    ann.go(HEADERS, &[]).expect(200);
    let counted = |pod: &Pod, result: &str| -> f64 {
        pod.metrics().sum("postern_sign_in_total", &[("result", result)])
    };
    assert_eq!((counted(scene.edge(), "started"), counted(&other, "success")), (1.0, 1.0));
}
