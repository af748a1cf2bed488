//! Injected pods alive: what `postern-k8s inject` wrote, run as a kubelet runs it, identities from service-account
//! tokens.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use postern_tests::kubelet::{Cluster, InjectedPod};
use postern_tests::{Load, wait};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::scene;

/// The address of the Service `cart`.
const CART: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// Below the grace of the pods here: nothing waits for SIGKILL.
const SOON: Duration = Duration::from_secs(10);

/// A pod of one container `app`, of its own account, labelled `app`.
fn pod(name: &str, account: &str, container: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": account}, "annotations": {}},
        "spec": {
            "serviceAccountName": account,
            "terminationGracePeriodSeconds": 20,
            "containers": [{"name": "app", "image": account}],
        },
    });
    for (key, value) in container.as_object().unwrap() {
        pod["spec"]["containers"][0][key] = value.clone();
    }
    pod
}

fn cart(name: &str) -> Value {
    pod(
        name,
        "cart",
        json!({
            "command": ["shop-cart"],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"port": "http", "path": "/cart/probe"}, "periodSeconds": 1},
        }),
    )
}

/// A pod that only calls.
fn caller(name: &str) -> Value {
    pod(name, name, json!({"command": ["sleep", "3600"]}))
}

fn get(caller: &InjectedPod, path: &str) -> postern_tests::Answer {
    caller.pod().curl(&format!("http://{CART}:8080{path}"))
}

fn wait_until_allowed(caller: &InjectedPod) {
    wait::until("the service and its policy to be known", SOON, || {
        let answer = get(caller, "/cart/ann");
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}

/// Waits until the answer is the cart's refusal: before the service is known, its own proxy refuses the caller.
fn expect_refusal(call: impl Fn() -> postern_tests::Answer) {
    wait::until("the cart to refuse", SOON, || {
        let answer = call();
        let refused = answer.status == 403 && answer.reason() == "no_matching_allow";
        if refused { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}

/// Metrics on a port of the pod, as an exporter beside the app serves them.
async fn serve_metrics() {
    let listener = TcpListener::bind("[::]:9102").await.unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let body = "# TYPE app_orders_total counter\napp_orders_total 7\n";
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close";
        let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

#[test]
fn injected_pod_is_protected() {
    let cluster = Cluster::start();
    cluster.mesh().policy("cart", &scene::allow("cart", "frontend"));
    let mut manifest = cart("cart");
    manifest["metadata"]["annotations"] =
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9102"});
    let mut cart = cluster.run(&manifest);
    cart.ready();
    cluster.service("cart", CART, 8080, &[&cart]);
    let frontend = cluster.run(&caller("frontend"));
    let stranger = cluster.run(&caller("stranger"));

    wait_until_allowed(&frontend);
    let seen = get(&frontend, "/headers").expect(200).body;
    assert!(seen.contains("x-forwarded-client-cert"), "{seen}");
    assert!(seen.contains("URI=spiffe://cluster.local/ns/shop/sa/frontend"), "{seen}");
    expect_refusal(|| get(&stranger, "/cart/ann"));
    // Not in the mesh: no certificate, no answer.
    cluster.node().curl(&format!("http://{}/cart/ann", cart.pod().at(8080))).expect_nothing();

    let probe = &cart.object()["spec"]["containers"][0]["readinessProbe"]["httpGet"];
    assert_eq!(probe["port"], 15021);
    let (status, body) = cart.from_node(15021, probe["path"].as_str().unwrap()).unwrap();
    assert_eq!(status, 200);
    assert!(!body.contains("items"), "the app's answer is the app's: {body}");

    drop(cart.pod().spawn(serve_metrics()));
    wait::until("both metrics in one answer", SOON, || {
        let (_, metrics) = cart.from_node(15020, "/metrics")?;
        let both = ["app_orders_total 7", "postern_requests_total"];
        if both.iter().all(|name| metrics.contains(name)) { Ok(()) } else { Err(metrics) }
    });
}

#[test]
fn injected_job_ends() {
    let cluster = Cluster::start();
    cluster.mesh().policy("cart", &scene::allow("cart", "tally"));
    let mut cart = cluster.run(&cart("cart"));
    cart.ready();
    cluster.service("cart", CART, 8080, &[&cart]);
    // Whoever starts a job expects the first call to work: everything is there before the app is.
    let call = format!("curl -sS --fail --max-time 10 http://{CART}:8080/cart/ann");
    let mut job = pod("tally", "tally", json!({"command": ["sh", "-c", call]}));
    job["spec"]["restartPolicy"] = json!("Never");
    let job = cluster.run(&job);
    let directory = job.pod().directory().to_owned();
    let ended = job.wait_for_end(SOON);
    let names: Vec<_> = ended.codes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["app", "postern-proxy", "postern-cert-agent"]);
    assert!(ended.codes.iter().all(|(_, code)| *code == 0), "{ended:?}");
    assert!(ended.took < Duration::from_secs(5), "{ended:?}");
    let printed = std::fs::read_to_string(directory.join("app.out")).unwrap();
    assert!(printed.contains("items"), "{printed}");
}

#[test]
fn injected_classic_job_ends_when_it_says_so() {
    let cluster = Cluster::start();
    cluster.mesh().policy("cart", &scene::allow("cart", "tally"));
    let mut cart = cluster.run(&cart("cart"));
    cart.ready();
    cluster.service("cart", CART, 8080, &[&cart]);
    let call = format!(
        "curl -sS --fail --max-time 10 http://{CART}:8080/cart/ann && \
         curl -sS --fail --max-time 10 -X POST http://localhost:15000/quitquitquit"
    );
    let mut job = pod("tally", "tally", json!({"command": ["sh", "-c", call]}));
    job["metadata"]["annotations"] = json!({"postern.dev/sidecar": "classic"});
    job["spec"]["restartPolicy"] = json!("Never");
    // The proxy ends when told to; then come 15 s in which nobody asks the agent.
    let ended = cluster.run(&job).wait_for_end(Duration::from_secs(60));
    let names: Vec<_> = ended.codes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["postern-cert-agent", "postern-proxy", "app"]);
    assert!(ended.codes.iter().all(|(_, code)| *code == 0), "{ended:?}");
}

#[test]
fn injected_rollout_loses_nothing() {
    roll_out("native");
}

#[test]
fn injected_classic_rollout_loses_nothing() {
    roll_out("classic");
}

/// The app ends at once at SIGTERM, and nothing in the pod delays that; callers are told of it late.
fn roll_out(sidecar: &str) {
    let cluster = Cluster::start();
    cluster.mesh().policy("cart", &scene::allow("cart", "frontend"));
    let run = |name: &str| {
        let mut manifest = cart(name);
        manifest["metadata"]["annotations"] = json!({"postern.dev/sidecar": sidecar});
        let mut pod = cluster.run(&manifest);
        pod.ready();
        pod
    };
    let mut running = run("cart-1");
    cluster.service("cart", CART, 8080, &[&running]);
    let frontend = cluster.run(&caller("frontend"));
    wait_until_allowed(&frontend);

    let load = Load::start(frontend.pod(), SocketAddr::from((CART, 8080)), "cart", "/cart/ann", 4);
    for name in ["cart-2", "cart-3"] {
        let next = run(name);
        // The endpoint goes and the pod is told at the same moment; who is faster is not said.
        cluster.service("cart", CART, 8080, &[&next]);
        let ended = running.terminate();
        let ours: Vec<_> = ended.codes.iter().filter(|(name, _)| name != "app").collect();
        assert!(ours.len() == 2 && ours.iter().all(|(_, code)| *code == 0), "{ended:?}");
        assert!(ended.took < SOON, "{ended:?}");
        running = next;
    }
    let report = load.finish();
    report.expect_all_good();
    assert!(report.requests > 100, "{report:?}");
}

#[test]
fn injected_without_redirection_needs_no_capability() {
    let cluster = Cluster::start();
    cluster.mesh().policy("cart", &scene::allow("cart", "frontend"));
    let mut server = cart("cart");
    server["spec"]["containers"][0]["command"] = json!(["shop-cart", "--listen", "127.0.0.1:8080"]);
    server["metadata"]["annotations"] = json!({
        "postern.dev/redirect": "none", "postern.dev/inbound-listeners": "8443=8080/http",
    });
    let client = |name: &str| {
        let mut client = caller(name);
        client["metadata"]["annotations"] = json!({
            "postern.dev/redirect": "none",
            "postern.dev/outbound-listeners": "9001=cart.shop.svc.cluster.local:8080",
        });
        client
    };
    let mut cart = cluster.run(&server);
    cart.ready();
    cluster.service("cart", CART, 8443, &[&cart]);
    let frontend = cluster.run(&client("frontend"));
    let stranger = cluster.run(&client("stranger"));
    let get = |pod: &InjectedPod| pod.pod().curl("http://127.0.0.1:9001/cart/ann");
    wait::until_true("the service and its policy to be known", || get(&frontend).status == 200);
    expect_refusal(|| get(&stranger));
    for pod in [&cart, &frontend] {
        assert!(!pod.object().to_string().contains("NET_ADMIN"), "{}", pod.object());
        assert_eq!(pod.capabilities("postern-proxy"), 0);
        assert_eq!(pod.capabilities("postern-cert-agent"), 0);
    }
}

/// A pod goes on under a new version of its proxy: nothing is restarted but the container of the old one, which stands by.
#[test]
fn injected_pod_is_upgraded_in_place() {
    let cluster = Cluster::start();
    cluster.mesh().policy("cart", &scene::allow("cart", "frontend"));
    let mut cart = cluster.run(&cart("cart"));
    cart.ready();
    cluster.service("cart", CART, 8080, &[&cart]);
    let mut frontend = cluster.run(&caller("frontend"));
    wait_until_allowed(&frontend);
    let address = SocketAddr::from((CART, 8080));
    let load = Load::start(frontend.pod(), address, "cart:8080", "/cart/ann", 2);
    for pod in [&mut cart, &mut frontend] {
        cluster.upgrade(pod);
        let says = |pod: &InjectedPod, container: &str, what: &str| {
            wait::until(what, SOON, || {
                let said = pod.output(container);
                if said.contains(what) { Ok(()) } else { Err(said) }
            });
        };
        says(pod, "postern-proxy-2", "\"took over\"");
        // The old one has drained: its container ends, and the kubelet starts it again.
        pod.restart_sidecar("postern-proxy", SOON);
        says(pod, "postern-proxy", "standing by");
    }
    let report = load.finish();
    report.expect_all_good();
    cart.ready();
    // Ephemeral containers are not restarted: the one that stands by is there for that.
    cart.kill_container("postern-proxy-2");
    wait_until_allowed(&frontend);
    cart.ready();
    let ended = cart.terminate().codes;
    assert!(ended.contains(&("postern-proxy".to_owned(), 0)), "{ended:?}");
}
