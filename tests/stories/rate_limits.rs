//! A caller that asks too often is refused, told when to come back, and takes nothing from others.

use std::fs;
use std::time::{Duration, Instant};

use postern_tests::certificates::replace;
use postern_tests::{Answer, App, Mesh, Pod, Redis, wait};
use serde_json::{Value, json};

use crate::scene::{allow, cart};

/// The shop's cart, and two callers that may call it.
struct Scene {
    mesh: Mesh,
    cart: Pod,
    frontend: Pod,
    reports: Pod,
}

fn scene(limits: &Value) -> Scene {
    let mesh = Mesh::start();
    mesh.policy("frontend", &allow("cart", "frontend"));
    mesh.policy("reports", &allow("cart", "reports"));
    mesh.policy("limits", &policy(limits));
    let cart = cart(&mesh);
    let frontend = mesh.pod("frontend").start();
    let reports = mesh.pod("reports").start();
    Scene { mesh, cart, frontend, reports }
}

fn policy(spec: &Value) -> String {
    named("limits", spec)
}

fn named(name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "policy.postern.dev/v1alpha1",
        "kind": "RateLimitPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    })
    .to_string()
}

const URL: &str = "http://cart:8080/cart/ann";

/// The fields of an answer that speak of limits, in the order of their names.
fn fields(answer: &Answer) -> [&str; 3] {
    ["ratelimit-policy", "ratelimit", "retry-after"].map(|name| answer.header(name).unwrap_or(""))
}

#[test]
fn a_caller_that_asks_too_often_is_refused_and_another_is_not() {
    let scene = scene(&json!({
        "selector": {"matchLabels": {"app": "cart"}},
        "limits": [{"name": "per-caller", "key": "principal", "requests": 3, "per": "1h"}],
    }));
    let policy = "\"per-caller\";q=3;w=3600";
    for (left, reset) in [(2, 1200), (1, 2400), (0, 3600)] {
        let answer = scene.frontend.curl(URL).expect(200);
        let [told, limit, _] = fields(&answer);
        assert_eq!(told, policy);
        // A busy machine takes a moment from one to the next.
        let near = |t: u64| (reset - 60..=reset).contains(&t);
        let t = limit.strip_prefix(&format!("\"per-caller\";r={left};t=")).map(str::parse);
        assert!(matches!(t, Some(Ok(t)) if near(t)), "{limit}");
    }
    let refused = scene.frontend.curl(URL).expect_refusal(429, "rate_limited");
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let [told, limit, retry] = fields(&refused);
    assert_eq!((told, limit), (policy, &*format!("\"per-caller\";r=0;t={retry}")));
    let seconds: u64 = retry.parse().unwrap();
    assert!((1140..=1200).contains(&seconds), "{retry}");
    let problem: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(
        (&problem["status"], &problem["violated-policies"]),
        (&json!(429), &json!(["per-caller"]))
    );

    let grpc =
        ["-X", "POST", "-H", "content-type: application/grpc", "--http2-prior-knowledge", URL];
    let answer = scene.frontend.curl_with(&grpc);
    assert_eq!(answer.header("grpc-status"), Some("8"), "RESOURCE_EXHAUSTED: {answer:?}");

    scene.reports.curl(URL).expect(200);
    let caller = scene.frontend.principal();
    scene.cart.expect_log(&[
        ("kind", "request"),
        ("status", "429"),
        ("reason", "rate_limited"),
        ("source_principal", &caller),
    ]);
    let limit = ("limit", "shop/limits/per-caller");
    let metric = "postern_rate_limit_decisions_total";
    scene.cart.expect_metric(metric, &[limit, ("decision", "allow"), ("store", "local")]);
    scene.cart.expect_metric(metric, &[limit, ("decision", "deny"), ("store", "local")]);
    wait::until_true("both callers to be counted", || {
        scene.cart.metrics().sum("postern_rate_limit_keys", &[]) == 2.0
    });
}

#[test]
fn an_edit_of_a_limit_acts_on_the_next_request_and_a_broken_one_on_none() {
    let limit = |requests: u32| {
        json!({"limits": [{"name": "l", "key": "principal", "requests": requests, "per": "1h",
                           "match": {"paths": ["/cart/*"]}}]})
    };
    let scene = scene(&limit(1));
    scene.frontend.curl(URL).expect(200);
    scene.frontend.curl(URL).expect_refusal(429, "rate_limited");

    scene.mesh.policy("limits", &policy(&limit(2)));
    let edited = Instant::now();
    wait::until_true("the wider limit to act", || scene.frontend.curl(URL).status == 200);
    assert!(edited.elapsed() < Duration::from_secs(10));

    let path = scene.mesh.resource_path("limits");
    let broken = policy(&limit(2)).replace("requests", "request");
    fs::write(&path, broken).unwrap();
    scene.cart.expect_metric("postern_config_stale", &[]);
    scene.frontend.curl(URL).expect(200);
    scene.frontend.curl(URL).expect_refusal(429, "rate_limited");

    scene.mesh.remove_policy("limits");
    wait::until_true("no limit to be left", || scene.frontend.curl(URL).status == 200);
    let free = scene.frontend.curl(URL).expect(200);
    assert_eq!(fields(&free), ["", "", ""], "nothing is told where nothing is limited");
}

/// Two apps that count in one Redis, and their caller.
struct Shared {
    redis: Redis,
    apps: [Pod; 2],
    frontend: Pod,
}

fn shared(limits: &Value) -> Shared {
    let mesh = Mesh::start();
    let redis = Redis::start(&mesh);
    let apps = ["cart", "basket"].map(|name| {
        mesh.policy(name, &allow(name, "frontend"));
        let pod = mesh.pod(name).port(8080, "http").app(App::new("shop-cart"));
        pod.config(redis.config()).start()
    });
    mesh.policy("limits", &policy(limits));
    let frontend = mesh.pod("frontend").start();
    for app in &apps {
        wait::until_true("the proxy to reach Redis", || {
            app.metrics().sum("postern_rate_limit_store_up", &[]) == 1.0
        });
        wait::until_true("the limit to be in force", || {
            let probe = frontend.curl_with(&["-X", "POST", &url(app)]);
            probe.header("ratelimit-policy").is_some()
        });
    }
    Shared { redis, apps, frontend }
}

fn url(app: &Pod) -> String {
    format!("http://{}:8080/cart/ann", app.name())
}

/// A limit in the store of so many reads, and one of each proxy that tells when the policy is in force.
fn stored(requests: u32, more: &Value) -> Value {
    let mut spec = json!({"limits": [
        {"name": "shared", "key": "principal", "requests": requests, "per": "1h", "store": "redis",
         "match": {"methods": ["GET"]}},
        {"name": "probe", "key": "principal", "requests": 1000, "per": "1h", "match": {"methods": ["POST"]}},
    ]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

#[test]
fn two_proxies_keep_one_limit() {
    let shared = shared(&stored(4, &json!({})));
    let [cart, basket] = &shared.apps;
    for (app, left) in [(cart, 3), (basket, 2), (basket, 1), (cart, 0)] {
        let answer = shared.frontend.curl(&url(app)).expect(200);
        assert!(
            answer.header("ratelimit").unwrap().starts_with(&format!("\"shared\";r={left};t="))
        );
    }
    for app in &shared.apps {
        shared.frontend.curl(&url(app)).expect_refusal(429, "rate_limited");
        let metric = "postern_rate_limit_decisions_total";
        let limit = ("limit", "shop/limits/shared");
        app.expect_metric(metric, &[limit, ("decision", "deny"), ("store", "redis")]);
    }
}

#[test]
fn without_redis_the_policy_says_what_holds() {
    let local = json!({"onStoreFailure": "local", "replicas": 2});
    for (row, more, statuses, store) in [
        ("each its part", local, [200, 200, 429], "fallback"),
        ("uncounted", json!({"onStoreFailure": "allow"}), [200, 200, 200], "none"),
        ("refused", json!({"onStoreFailure": "deny"}), [503, 503, 503], "none"),
    ] {
        let mut shared = shared(&stored(4, &more));
        shared.frontend.curl(&url(&shared.apps[0])).expect(200);
        shared.redis.kill();
        for app in &shared.apps {
            let found = statuses.map(|_| shared.frontend.curl(&url(app)).status);
            assert_eq!(found, statuses, "{row}");
            app.expect_metric("postern_rate_limit_decisions_total", &[("store", store)]);
        }
        shared.redis.start_again();
        let cart = &shared.apps[0];
        wait::until_true("Redis to count again, from nothing", || {
            let answer = shared.frontend.curl(&url(cart));
            answer.status == 200
                && answer.header("ratelimit").is_some_and(|left| left.contains("r=3"))
        });
    }
}

#[test]
fn s48_a_caller_cannot_name_another_client() {
    let scene = scene(&json!({
        "limits": [{"name": "l", "key": "clientAddress", "requests": 1, "per": "1h"}],
    }));
    scene.frontend.curl(URL).expect(200);
    for forwarded in ["203.0.113.1", "203.0.113.2"] {
        let field = format!("x-forwarded-for: {forwarded}");
        scene.frontend.curl_with(&["-H", &field, URL]).expect_refusal(429, "rate_limited");
    }
    scene.reports.curl(URL).expect(200);
}

#[test]
fn a_gateway_limits_what_comes_in_by_a_listener_and_what_a_rule_takes() {
    let mesh = Mesh::start();
    mesh.policy("edge", &allow("cart", "edge"));
    let of = "gateway.networking.k8s.io";
    let object = |kind: &str, name: &str, spec: Value| {
        let api = format!("{of}/v1");
        let metadata = json!({"name": name, "namespace": "shop"});
        json!({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}).to_string()
    };
    let listeners = json!([
        {"name": "web", "port": 8080, "protocol": "HTTP"},
        {"name": "other", "port": 8081, "protocol": "HTTP"},
    ]);
    let class = json!({"gatewayClassName": "postern", "listeners": listeners});
    mesh.policy("gateway", &object("Gateway", "edge", class));
    let backend = json!([{"name": "cart", "port": 8080}]);
    let path = |value: &str| json!([{"path": {"type": "PathPrefix", "value": value}}]);
    let rules = json!([
        {"name": "carts", "matches": path("/cart"), "backendRefs": backend},
        {"name": "rest", "matches": path("/"), "backendRefs": backend},
    ]);
    mesh.policy(
        "route",
        &object("HTTPRoute", "shop", json!({"parentRefs": [{"name": "edge"}], "rules": rules})),
    );
    let target = |kind: &str, name: &str, section: &str| json!([{"group": of, "kind": kind, "name": name, "sectionName": section}]);
    let limit = |name: &str, key: &str, requests: u32, target: Value| {
        let limits = json!([{"name": name, "key": key, "requests": requests, "per": "1h"}]);
        named(name, &json!({"targetRefs": target, "limits": limits}))
    };
    mesh.policy(
        "listener",
        &limit("listener", "clientAddress", 3, target("Gateway", "edge", "web")),
    );
    mesh.policy("rule", &limit("rule", "route", 1, target("HTTPRoute", "shop", "carts")));
    let _cart = cart(&mesh);
    let browser = mesh.pod("browser").outside().start();
    let edge = mesh.pod("edge").lay_out();
    let file = |name: &str| format!("/run/postern/{name}");
    let config = json!({
        "mode": "gateway",
        "workload": {"namespace": "shop", "serviceAccount": "edge", "labels": {"app": "edge"}},
        "identity": {"files": {
            "certificate": file("svid.pem"), "key": file("key.pem"), "bundle": file("bundle.pem"),
        }},
        "resources": {"directory": file("resources")},
        "workers": 1,
    });
    replace(&edge.directory().join("proxy.yaml"), &config.to_string());
    edge.start_proxy();
    edge.ready();
    let get = |port: u16, path: &str| browser.curl(&format!("http://{}:{port}{path}", edge.ipv4()));
    let first = get(8080, "/cart/ann").expect(200);
    let told = first.headers.iter().filter(|(name, _)| name == "ratelimit-policy");
    assert_eq!(told.count(), 2, "{first:?}");
    get(8081, "/cart/ann").expect_refusal(429, "rate_limited");
    for _ in 0..2 {
        let other = get(8080, "/nowhere");
        assert_ne!(other.status, 429, "another rule: {other:?}");
    }
    get(8080, "/nowhere").expect_refusal(429, "rate_limited");
    let free = get(8081, "/nowhere");
    assert_ne!(free.status, 429, "another listener: {free:?}");
}
