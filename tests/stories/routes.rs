//! Routes of the Gateway API in sidecars: which requests to a service go where, and what is changed on the way.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use postern_tests::{Answer, Mesh, Pod, wait};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::scene::allow;

/// Two versions of a store, and their caller. Each version answers with its own name and with what it was asked.
struct Scene {
    mesh: Mesh,
    /// They serve for as long as they are held.
    _stores: [Pod; 2],
    frontend: Pod,
    /// Requests that each version has seen.
    seen: [Arc<AtomicUsize>; 2],
}

const NAMES: [&str; 2] = ["store", "canary"];

fn scene() -> Scene {
    let mesh = Mesh::start();
    for name in NAMES {
        mesh.policy(name, &allow(name, "frontend"));
    }
    let seen = [Arc::default(), Arc::default()];
    let stores = [0, 1].map(|number| {
        let pod = mesh.pod(NAMES[number]).port(8080, "http").start();
        serve(&pod, NAMES[number], Arc::clone(&seen[number]));
        pod
    });
    let frontend = mesh.pod("frontend").start();
    let scene = Scene { mesh, _stores: stores, frontend, seen };
    wait::until_true("the store to answer", || scene.get("/").status == 200);
    scene
}

/// An app that answers with its name, the path, the host and a header of the request. `/busy` is 503 the first time of
/// each; `/slow` takes two seconds.
fn serve(pod: &Pod, name: &'static str, seen: Arc<AtomicUsize>) {
    let busy = Arc::new(AtomicUsize::new(0));
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, busy) = (Arc::clone(&seen), Arc::clone(&busy));
                let answer = service_fn(move |request| {
                    answer(name, request, Arc::clone(&seen), Arc::clone(&busy))
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
    });
}

async fn answer(
    name: &'static str,
    request: Request<Incoming>,
    seen: Arc<AtomicUsize>,
    busy: Arc<AtomicUsize>,
) -> Result<Response<String>, Infallible> {
    let field = |name: &str| {
        let value = request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        value.unwrap_or_default()
    };
    let what = json!({
        "name": name,
        "target": request.uri().to_string(),
        "host": field("host"),
        "version": field("x-version"),
        "secret": field("x-secret"),
    });
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    seen.fetch_add(1, SeqCst);
    if path == "/slow" {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let mut response = Response::new(format!("{what} {}", String::from_utf8_lossy(&body)));
    response.headers_mut().insert("x-internal", "yes".parse().unwrap());
    if path == "/busy" && busy.fetch_add(1, SeqCst) == 0 {
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

impl Scene {
    /// An HTTPRoute of the store, in this namespace, with these rules.
    fn route(&self, name: &str, namespace: &str, rules: Value) {
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "parentRefs": [{"group": "", "kind": "Service", "name": "store", "namespace": "shop"}],
                "rules": rules,
            },
        });
        self.mesh.policy(name, &route.to_string());
    }

    fn get(&self, path: &str) -> Answer {
        self.frontend.curl(&format!("http://store:8080{path}"))
    }

    fn get_with(&self, header: &str, path: &str) -> Answer {
        self.frontend.curl_with(&["-H", header, &format!("http://store:8080{path}")])
    }

    fn seen(&self, number: usize) -> usize {
        self.seen[number].load(SeqCst)
    }
}

/// What the app answered.
#[track_caller]
fn told(answer: Answer) -> Value {
    let body = answer.expect(200).body;
    serde_json::Deserializer::from_str(&body).into_iter().next().unwrap().unwrap()
}

fn backend(name: &str, weight: u32) -> Value {
    json!({"name": name, "port": 8080, "weight": weight})
}

#[test]
fn requests_go_where_the_first_rule_that_takes_them_says() {
    let scene = scene();
    scene.route(
        "store-routes",
        "shop",
        json!([
            {
                "matches": [{"headers": [{"name": "x-version", "value": "next"}]}],
                "backendRefs": [backend("canary", 1)],
            },
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}],
                "filters": [
                    {"type": "URLRewrite", "urlRewrite": {
                        "hostname": "canary.example",
                        "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"},
                    }},
                    {"type": "RequestHeaderModifier", "requestHeaderModifier": {
                        "set": [{"name": "x-version", "value": "2"}], "remove": ["x-secret"],
                    }},
                    {"type": "ResponseHeaderModifier", "responseHeaderModifier": {
                        "add": [{"name": "x-served-by", "value": "route"}], "remove": ["x-internal"],
                    }},
                ],
                "backendRefs": [backend("canary", 1)],
            },
            {
                "matches": [{"path": {"type": "Exact", "value": "/old"}}],
                "filters": [{"type": "RequestRedirect", "requestRedirect": {
                    "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}, "statusCode": 301,
                }}],
            },
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/shop"}}],
                "backendRefs": [backend("store", 1)],
            },
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/nowhere"}}],
                "backendRefs": [backend("nobody", 1)],
            },
        ]),
    );
    wait::until_true("the routes to be in force", || scene.get("/else").status == 404);

    assert_eq!(told(scene.get("/shop/cart"))["name"], "store");
    assert_eq!(told(scene.get_with("x-version: next", "/else"))["name"], "canary");
    // The longer prefix comes before the header (Gateway API, precedence of rules).
    assert_eq!(told(scene.get_with("x-version: next", "/shop/cart"))["name"], "store");

    let answer = scene.get_with("x-secret: s", "/v2/a%2Fb/../c?q=1").expect(200);
    assert_eq!(answer.header("x-served-by"), Some("route"));
    assert_eq!(answer.header("x-internal"), None);
    let what = told(answer);
    assert_eq!(what["name"], "canary");
    assert_eq!((&what["target"], &what["host"]), (&json!("/c?q=1"), &json!("canary.example")));
    assert_eq!((&what["version"], &what["secret"]), (&json!("2"), &json!("")));

    let answer = scene.get("/old?q=1").expect(301);
    assert_eq!(answer.header("location"), Some("http://store:8080/new?q=1"));

    // A prefix ends where a segment does, and what no rule takes is not sent on all the same.
    scene.get("/v2example").expect_refusal(404, "route_not_found");
    scene.get("/shopping").expect_refusal(404, "route_not_found");
    scene.get("/nowhere").expect_refusal(500, "backend_invalid");
    scene
        .frontend
        .expect_log(&[("reason", "backend_invalid"), ("route", "HTTPRoute shop/store-routes")]);
    scene.frontend.expect_metric(
        "postern_route_requests_total",
        &[("route", "HTTPRoute shop/store-routes 3")],
    );
    // What is refused behind the route is refused as ever.
    scene.mesh.policy("canary", &allow("canary", "nobody"));
    wait::until_true("the canary to refuse", || scene.get("/v2/").status == 403);
    assert_eq!(told(scene.get("/shop"))["name"], "store");
}

#[test]
fn weights_share_requests_and_an_invalid_backend_takes_its_share_down() {
    let scene = scene();
    scene.route(
        "store-split",
        "shop",
        json!([{"backendRefs": [backend("store", 1), backend("canary", 1), backend("nobody", 1), backend("store", 0)]}]),
    );
    wait::until_true("the route to be in force", || scene.get("/").status == 500);
    let mut counts = [0; 3];
    for _ in 0..60 {
        let answer = scene.get("/");
        match answer.status {
            500 => {
                answer.expect_refusal(500, "backend_invalid");
                counts[2] += 1;
            }
            _ => counts[usize::from(told(answer)["name"] == "canary")] += 1,
        }
    }
    // One in three each; that one of them is below 5 of 60 happens once in 200,000 runs.
    assert!(counts.iter().all(|count| *count >= 5), "{counts:?}");
}

#[test]
fn a_route_limits_time_and_repeats_what_it_lists() {
    let scene = scene();
    scene.route(
        "store-times",
        "shop",
        json!([
            {
                "matches": [{"path": {"type": "Exact", "value": "/slow"}}],
                "timeouts": {"request": "200ms"},
                "backendRefs": [backend("store", 1)],
            },
            {
                "matches": [{"path": {"type": "Exact", "value": "/busy"}}],
                "retry": {"codes": [503], "attempts": 2, "backoff": "10ms"},
                "backendRefs": [backend("store", 1)],
            },
        ]),
    );
    wait::until_true("the routes to be in force", || scene.get("/").status == 404);
    let began = Instant::now();
    scene.get("/slow").expect_refusal(504, "request_timeout");
    assert!(began.elapsed() < Duration::from_secs(2));

    let before = scene.seen(0);
    scene.get("/busy").expect(200);
    assert_eq!(scene.seen(0) - before, 2);
    scene.frontend.expect_log(&[("retried", "listed_status"), ("status", "200")]);
    scene.frontend.expect_metric(
        "postern_retries_total",
        &[("reason", "listed_status"), ("result", "success")],
    );
}

#[test]
fn a_mirror_gets_a_copy_and_the_caller_waits_for_nothing() {
    let scene = scene();
    let mirror = json!({"backendRef": {"name": "canary", "port": 8080}});
    scene.route(
        "store-mirror",
        "shop",
        json!([{
            "matches": [{"path": {"type": "Exact", "value": "/slow"}}],
            "filters": [{"type": "RequestMirror", "requestMirror": mirror}],
            "backendRefs": [backend("store", 1)],
        }]),
    );
    wait::until_true("the route to be in force", || scene.get("/").status == 404);
    let answer = scene.frontend.curl_with(&["-d", "an order", "http://store:8080/slow"]);
    assert!(answer.expect(200).body.ends_with("an order"));
    wait::until_true("the copy of the order", || scene.seen(1) == 1);
    wait::until_true("its answer to be counted", || {
        scene.frontend.metrics().sum("postern_mirror_total", &[("result", "answered")]) >= 1.0
    });
}

#[test]
fn a_route_of_another_namespace_does_not_act_on_the_clients_of_this_one() {
    let scene = scene();
    let elsewhere =
        json!([{"backendRefs": [{"name": "canary", "namespace": "shop", "port": 8080}]}]);
    scene.route("store-bank", "bank", elsewhere);
    scene.route(
        "store-shop",
        "shop",
        json!([{"matches": [{"path": {"type": "Exact", "value": "/own"}}], "backendRefs": [backend("store", 1)]}]),
    );
    wait::until_true("the own route to be in force", || scene.get("/").status == 404);
    assert_eq!(told(scene.get("/own"))["name"], "store");
    scene.mesh.remove_policy("store-shop");
    wait::until_true("the own route to be gone", || scene.get("/").status == 200);
    assert_eq!(told(scene.get("/"))["name"], "store");
}

#[test]
fn faults_meet_the_requests_that_ask_for_them() {
    let scene = scene();
    let fault = json!({
        "apiVersion": "policy.postern.dev/v1alpha1",
        "kind": "FaultInjection",
        "metadata": {"name": "store-faults", "namespace": "shop"},
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": "store"}],
            "match": {"headers": [{"name": "x-test", "value": "outage"}]},
            "delay": {"duration": "300ms"},
            "abort": {"httpStatus": 418},
        },
    });
    scene.mesh.policy("store-faults", &fault.to_string());
    wait::until_true("the fault to be in force", || {
        scene.get_with("x-test: outage", "/").status == 418
    });
    let began = Instant::now();
    scene.get_with("x-test: outage", "/").expect_refusal(418, "fault_injected");
    assert!(began.elapsed() >= Duration::from_millis(300));
    scene.get("/").expect(200);
}

#[test]
fn a_service_takes_as_many_requests_as_its_rule_allows() {
    let scene = scene();
    let rule = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "store", "namespace": "shop"},
        "spec": {"host": "store", "trafficPolicy": {"connectionPool": {"http": {"http2MaxRequests": 1}}}},
    });
    scene.mesh.policy("store-limit", &rule.to_string());
    let upgrade = ["-H", "connection: upgrade", "-H", "upgrade: echo", "http://store:8080/"];
    wait::until_true("the limit to act", || {
        std::thread::scope(|scope| {
            let before = scene.seen(0);
            let slow = scope.spawn(|| scene.get("/slow"));
            wait::until_true("the slow one to arrive", || scene.seen(0) > before);
            let (beside, switching) = (scene.get("/"), scene.frontend.curl_with(&upgrade));
            slow.join().unwrap().expect(200);
            let acts = beside.status == 503;
            if acts {
                beside.expect_refusal(503, "overloaded");
                switching.expect_refusal(503, "overloaded");
            }
            acts
        })
    });
    scene.get("/").expect(200);
}

#[test]
fn a_page_of_an_allowed_origin_may_read_the_answers() {
    let scene = scene();
    scene.route(
        "store-cors",
        "shop",
        json!([{
            "filters": [{"type": "CORS", "cors": {
                "allowOrigins": ["https://shop.example"], "allowMethods": ["GET", "PUT"], "allowHeaders": ["x-version"],
            }}],
            "backendRefs": [backend("store", 1)],
        }]),
    );
    wait::until_true("the route to be in force", || {
        scene
            .get_with("origin: https://shop.example", "/")
            .header("access-control-allow-origin")
            .is_some()
    });
    let preflight = |origin: &str| {
        scene.frontend.curl_with(&[
            "-X",
            "OPTIONS",
            "-H",
            &format!("origin: {origin}"),
            "-H",
            "access-control-request-method: PUT",
            "http://store:8080/",
        ])
    };
    let before = scene.seen(0);
    let answer = preflight("https://shop.example").expect(204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(answer.header("access-control-max-age"), Some("5"));
    assert_eq!(preflight("https://evil.example").header("access-control-allow-origin"), None);
    assert_eq!(scene.seen(0), before, "the app sees no preflight");
}

#[test]
fn an_endpoint_that_fails_fast_is_ejected_and_the_last_one_never() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let labels = json!({"workload": {"labels": {"app": "store"}}});
    let stores = ["store-1", "store-2"].map(|name| {
        let pod = mesh.pod(name).service_account("store").port(8080, "http");
        pod.config(labels.clone()).known_by_files().start()
    });
    serve(&stores[0], "store-1", Arc::default());
    fail(&stores[1]);
    let listener = json!({
        "bind": "127.0.0.1:9001", "service": "stores.shop.svc.cluster.local", "port": 8080,
    });
    let frontend = mesh.pod("frontend").config(json!({"outbound": {"listeners": [listener]}}));
    let frontend = frontend.start();
    let entry = |pods: &[&Pod]| {
        let endpoints: Vec<_> = pods.iter().map(|pod| json!({"address": pod.ipv4()})).collect();
        json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "stores", "namespace": "shop"},
            "spec": {
                "hosts": ["stores.shop.svc.cluster.local"],
                "location": "MESH_INTERNAL",
                "resolution": "STATIC",
                "ports": [{"number": 8080, "name": "http", "protocol": "HTTP"}],
                "endpoints": endpoints,
                "subjectAltNames": ["spiffe://cluster.local/ns/shop/sa/store"],
            },
        })
        .to_string()
    };
    mesh.policy("service-stores", &entry(&[&stores[0], &stores[1]]));
    // By load, the failing one would hardly be asked often enough to be ejected.
    let rule = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "stores", "namespace": "shop"},
        "spec": {
            "host": "stores.shop.svc.cluster.local",
            "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}},
        },
    });
    mesh.policy("stores-in-turn", &rule.to_string());
    let get = || frontend.curl("http://127.0.0.1:9001/");
    wait::until_true("the failing one to be ejected", || {
        get();
        frontend.metrics().sum("postern_endpoint_ejections_total", &[]) >= 1.0
    });
    for _ in 0..10 {
        get().expect(200);
    }
    frontend.expect_log(&[("message", "endpoint ejected")]);
    wait::until_true("the gauge to say so", || {
        frontend.metrics().sum("postern_endpoints", &[("state", "ejected")]) >= 1.0
    });
    // Alone, it is asked all the same: its 503 is the app's own.
    mesh.policy("service-stores", &entry(&[&stores[1]]));
    wait::until_true("only the failing one to be known", || get().status == 503);
    let answer = get().expect(503);
    assert_eq!(answer.reason(), "", "the app's own answer");
}

/// An app that answers 503 at once.
fn fail(pod: &Pod) {
    pod.run(async {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = service_fn(|_| async {
                    let mut response = Response::new(String::new());
                    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                    Ok::<_, Infallible>(response)
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
    });
}
