//! Resources from a cluster: an API server, the controller beside its cert agent, and proxies that learn everything from its
//! stream. The API server is a stand-in; everything else is real.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use api_server_stand_in::ApiServer;
use postern_tests::{App, Capture, Load, Mesh, Pod, Process, binary, raw, wait};
use serde_json::{Value, json};

use crate::scene;

const POLICIES: &str = "security.istio.io/v1/authorizationpolicies";

struct Cluster {
    cart: Pod,
    frontend: Pod,
    // Before the pod it runs in.
    controller: Option<Process>,
    control: Pod,
    api: ApiServer,
    mesh: Mesh,
}

/// A control plane: an API server that knows the namespace `shop`, and a controller beside it.
pub(crate) struct ControlPlane {
    // Before the pod it runs in.
    controller: Option<Process>,
    pub(crate) pod: Pod,
    pub(crate) api: ApiServer,
}

pub(crate) fn control_plane(mesh: &Mesh) -> ControlPlane {
    let control = mesh.pod("controller").namespace("postern-system").outside().lay_out();
    let at = (Ipv4Addr::LOCALHOST, 6443).into();
    let api = control.run(async move { ApiServer::start_at(at).await });
    fs::write(control.directory().join("kubeconfig"), api.kubeconfig()).unwrap();
    control.start_agent();
    let controller = start_controller(&control);
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "shop", "labels": {"postern.dev/inject": "enabled"},
    }}));
    ControlPlane { controller: Some(controller), pod: control, api }
}

/// A namespace `shop` with a cart and a front end, and a control plane.
fn cluster() -> Cluster {
    let mesh = Mesh::with_authority();
    let ControlPlane { controller, pod: control, api } = control_plane(&mesh);
    let cart = pod(&mesh, &control, "cart").port(8080, "http").app(App::new("shop-cart"));
    let cart = cart.known_by_files().lay_out();
    let frontend = pod(&mesh, &control, "frontend").lay_out();
    for pod in [&cart, &frontend] {
        api.put(pod_object(pod));
    }
    api.put(service("cart", "10.96.0.1"));
    api.put(slice(&cart));
    for pod in [&cart, &frontend] {
        pod.start_processes();
        pod.ready();
    }
    Cluster { cart, frontend, controller, control, api, mesh }
}

fn start_controller(control: &Pod) -> Process {
    control.start_program(
        "controller",
        &binary("postern-k8s"),
        &[
            "controller",
            "--kubeconfig=/run/postern/kubeconfig",
            "--workload-api=unix:///run/postern/agent.sock",
            "--lease-holder=controller-1",
        ],
    )
}

pub(crate) fn pod(mesh: &Mesh, control: &Pod, name: &str) -> postern_tests::PodBuilder {
    // First the directory goes, then the controller comes.
    mesh.pod(name).config(json!({"resources": null})).config(json!({"resources": {"controller": {
        "address": control.at(15010).to_string(),
        "identity": control.spiffe_id(),
        "pod": {"name": name, "uid": format!("uid-{name}")},
    }}}))
}

pub(crate) fn pod_object(pod: &Pod) -> Value {
    let name = pod.name();
    let ip = pod.ipv4().to_string();
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "labels": {"app": name},
        },
        "spec": {"serviceAccountName": name, "containers": [{"name": "app"}, {"name": "postern-proxy"}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    })
}

fn service(name: &str, ip: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip],
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
        },
    })
}

fn slice(pod: &Pod) -> Value {
    let service = pod.name();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("{service}-1"), "namespace": "shop",
            "labels": {"kubernetes.io/service-name": service},
        },
        "endpoints": [{
            "addresses": [pod.ipv4().to_string()], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": pod.name(), "namespace": "shop"},
        }],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    })
}

fn allow() -> Value {
    serde_json::from_str(&scene::allow("cart", "frontend")).unwrap()
}

fn status(cluster: &Cluster) -> u16 {
    cluster.frontend.curl(&format!("http://{}/cart/ann", cluster.cart.at(8080))).status
}

#[test]
#[allow(clippy::print_stdout, reason = "a figure for whoever reads the test's output")]
fn a_policy_edit_in_the_api_is_enforced_within_a_second_by_the_clock() {
    let cluster = cluster();
    assert_eq!(status(&cluster), 403);
    let edited = Instant::now();
    cluster.api.put(allow());
    wait::until_true("the edit to act", || status(&cluster) == 200);
    let took = edited.elapsed();
    println!("from the edit of a policy to a request that it decides: {} ms", took.as_millis());
    // A second, and another one for a busy machine's calls.
    assert!(took < Duration::from_secs(2), "{took:?}");
    cluster.api.delete(POLICIES, "shop", "cart-allow-frontend");
    wait::until_true("the removal to act", || status(&cluster) == 403);
    // Nothing is known of an address that no Service has, and that is said at once.
    let begun = Instant::now();
    let [a, b, c, _] = cluster.cart.ipv4().octets();
    let nobody = format!("http://{}:8080/", Ipv4Addr::from([a, b, c, 250]));
    cluster.frontend.curl(&nobody).expect_refusal(403, "egress_denied");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// What the controller's page shows.
fn mesh(cluster: &Cluster) -> Value {
    let page = cluster.control.curl("http://127.0.0.1:15000/dashboard/data.json");
    serde_json::from_str(&page.body).unwrap_or_default()
}

#[test]
fn a_denial_in_a_pod_is_on_the_controllers_page() {
    let cluster = cluster();
    assert_eq!(status(&cluster), 403);
    let own = |pod: &Pod| pod.spiffe_id().trim_start_matches("spiffe://").to_owned();
    let (cart, frontend) = (own(&cluster.cart), own(&cluster.frontend));
    wait::until_true("the denial to be told", || {
        let data = mesh(&cluster);
        let mut denials = data["denials"]["shown"].as_array().into_iter().flatten();
        let mut edges = data["edges"]["shown"].as_array().into_iter().flatten();
        denials.any(|denial| {
            denial["pod"] == "shop/cart"
                && denial["source_principal"] == *frontend
                && denial["examples"]["shown"][0]["path"] == "/cart/ann"
        }) && edges.any(|edge| {
            edge["direction"] == "inbound"
                && edge["destination"] == *cart
                && edge["source"] == *frontend
                && edge["denied"].as_u64() > Some(0)
        })
    });
    wait::until_true("both pods to be told of", || {
        let data = mesh(&cluster);
        let count = |list: &str| data[list]["shown"].as_array().map(Vec::len);
        data["program"]["kind"] == "controller"
            && (count("certificates"), count("services")) == (Some(2), Some(2))
    });
    let page = cluster.control.curl("http://127.0.0.1:15000/dashboard");
    assert!(page.status == 200 && page.body.contains("/dashboard/page.js"));
    let rebound = ["-H", "host: evil.example", "http://127.0.0.1:15000/dashboard/data.json"];
    assert_eq!(cluster.control.curl_with(&rebound).status, 403);
}

#[test]
fn f24_the_api_and_the_controller_go_away_and_traffic_keeps_flowing() {
    let mut cluster = cluster();
    cluster.api.put(allow());
    wait::until_true("the policy", || status(&cluster) == 200);
    cluster.api.store.set_down(true);
    for _ in 0..20 {
        assert_eq!(status(&cluster), 200);
    }
    cluster.controller = None;
    cluster.cart.expect_metric("postern_config_stale", &[]);
    for _ in 0..20 {
        assert_eq!(status(&cluster), 200);
    }
    cluster.api.delete(POLICIES, "shop", "cart-allow-frontend");
    cluster.api.store.set_down(false);
    cluster.controller = Some(start_controller(&cluster.control));
    wait::until("what changed meanwhile", Duration::from_secs(30), || {
        if status(&cluster) == 403 { Ok(()) } else { Err("still allowed".to_owned()) }
    });
}

/// What the cart answers to a request that names the Service.
fn named(cluster: &Cluster) -> u16 {
    let url = format!("http://{}/cart/ann", cluster.cart.at(8080));
    cluster.frontend.curl_with(&["-H", "host: cart", &url]).status
}

/// A route of the cart that leads to another Service.
fn route(backend: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "cart"}],
            "rules": [{"backendRefs": [{"name": backend, "port": 80}]}],
        },
    })
}

#[test]
#[allow(clippy::print_stdout, reason = "a figure for whoever reads the test's output")]
fn a_route_in_the_api_leads_elsewhere_and_is_answered_at_its_parent() {
    const ROUTES: &str = "gateway.networking.k8s.io/v1/httproutes";
    let cluster = cluster();
    let basket = pod(&cluster.mesh, &cluster.control, "basket").port(8080, "http");
    let basket = basket.app(App::new("shop-cart")).known_by_files().lay_out();
    cluster.api.put(pod_object(&basket));
    cluster.api.put(service("basket", "10.96.0.2"));
    cluster.api.put(slice(&basket));
    basket.start_processes();
    basket.ready();
    cluster.api.put(allow());
    wait::until_true("the cart to let in", || named(&cluster) == 200);
    let said = || {
        let object = cluster.api.get(ROUTES, "shop", "cart").unwrap_or_default();
        let ours = &object["status"]["parents"][0];
        let reason = |at: usize| ours["conditions"][at]["reason"].as_str().map(str::to_owned);
        (ours["controllerName"] == "postern.dev/controller").then(|| [reason(0), reason(1)])
    };
    let says = |accepted: &str, resolved: &str| {
        said() == Some([Some(accepted.to_owned()), Some(resolved.to_owned())])
    };

    // The basket lets nobody in: whoever is led there is refused.
    let edited = Instant::now();
    cluster.api.put(route("basket"));
    wait::until_true("the route to act", || named(&cluster) == 403);
    println!(
        "from the edit of a route to a request that it leads: {} ms",
        edited.elapsed().as_millis()
    );
    assert_eq!(status(&cluster), 200, "a request for the one endpoint goes there");
    wait::until_true("an answer at the parent", || says("Accepted", "ResolvedRefs"));
    let allowed = serde_json::from_str(&scene::allow("basket", "frontend")).unwrap();
    cluster.api.put(allowed);
    wait::until_true("the basket to let in", || named(&cluster) == 200);

    // A mistake leaves the version before in force, and is told.
    let mut mistaken = cluster.api.get(ROUTES, "shop", "cart").unwrap();
    mistaken["spec"]["rules"][0]["backendRefs"] =
        json!([{"name": "cart", "port": 80, "wieght": 1}]);
    cluster.api.put(mistaken);
    wait::until_true("the mistake to be told", || {
        said().is_some_and(|said| said[0].as_deref() == Some("UnsupportedValue"))
    });
    cluster.api.delete(POLICIES, "shop", "basket-allow-frontend");
    wait::until_true("the basket to refuse", || named(&cluster) == 403);

    // A backend that is not there is no way round the route.
    cluster.api.put(route("nobody"));
    wait::until_true("the backend to be missed", || says("Accepted", "BackendNotFound"));
    wait::until_true("its share to be refused", || named(&cluster) == 500);
    cluster.frontend.expect_log(&[("reason", "backend_invalid")]);
    cluster.api.delete(ROUTES, "shop", "cart");
    wait::until_true("the cart to be called again", || named(&cluster) == 200);
}

/// What an orders desk answers to bytes from `caller`'s app; empty when it never heard them.
#[test]
fn an_upgrade_in_place_learns_everything_from_the_controller_before_it_serves() {
    let mut cluster = cluster();
    cluster.api.put(allow());
    wait::until_true("the policy", || status(&cluster) == 200);
    let Cluster { cart, frontend, .. } = &cluster;
    let load = Load::start(frontend, cart.at(8080), "cart:8080", "/cart/ann", 2);
    for name in ["proxy-2", "proxy-3"] {
        for pod in [cart, frontend] {
            let mut replaced = pod.upgrade_proxy(name);
            assert_eq!(replaced.exit_code(wait::PATIENCE), 0, "{} {name}", pod.name());
        }
    }
    load.finish().expect_all_good();
    // What cannot be learned anew is worth more than a new version.
    cluster.controller = None;
    cluster.cart.configure(&json!({"limits": {"upgradeTimeout": "1s"}}));
    let mut unready = cluster.cart.start_successor("without-controller");
    assert_eq!(unready.exit_code(wait::PATIENCE), 1);
    assert!(unready.stderr().contains("resources are not loaded"), "{}", unready.stderr());
    assert_eq!(status(&cluster), 200);
}

fn answer(caller: &Pod, desk: SocketAddr, words: &str) -> String {
    let order = format!("ADD ann {words}\n");
    caller.run(async move { raw::say_and_half_close(desk, order.as_bytes()).await.text() })
}

#[test]
fn no_plaintext_to_a_known_pod_that_no_proxy_answers_for() {
    let cluster = cluster();
    let open = pod(&cluster.mesh, &cluster.control, "clerk");
    let clerk = open.config(json!({"defaults": {"egress": "allow"}})).lay_out();
    cluster.api.put(pod_object(&clerk));
    clerk.start_processes();
    clerk.ready();
    let legacy = cluster.mesh.pod("legacy").outside().app(App::new("shop-cart")).start();
    legacy.wait_for_app(9000);
    let desk = legacy.at(9000);
    // As long as nobody knows of it, it is somewhere outside, which `egress: allow` lets the app call.
    assert_eq!(answer(&clerk, desk, "before"), "OK 1\nBYE 1\n");
    let mut object = pod_object(&legacy);
    object["spec"]["containers"] = json!([{"name": "app"}]);
    cluster.api.put(object);
    // In the pods' own block: they have no route to any other.
    let [a, b, c, _] = legacy.ipv4().octets();
    let cluster_ip: SocketAddr = (Ipv4Addr::from([a, b, c, 250]), 80).into();
    cluster.api.put(service("legacy", &cluster_ip.ip().to_string()));
    cluster.api.put(slice(&legacy));
    wait::until_true("the pod to be known", || answer(&clerk, desk, "meanwhile").is_empty());

    let capture = Capture::start(&legacy);
    let cable_of_cart = Capture::start(&cluster.cart);
    let mut unready = slice(&cluster.cart);
    unready["endpoints"][0]["conditions"]["ready"] = false.into();
    cluster.api.put(unready);
    let intruder = cluster.mesh.pod("intruder").outside().start();
    for caller in [&cluster.frontend, &clerk] {
        let refused = |url: &str| {
            let page = caller.curl(&format!("http://{url}/cart/canary-in-a-path"));
            page.expect_refusal(503, "upstream_not_in_mesh");
        };
        wait::until_true("the cart to be known as not ready", || {
            caller.curl(&format!("http://{}/", cluster.cart.at(8080))).status == 503
        });
        for address in [legacy.at(8080), cluster.cart.at(8080), cluster_ip] {
            refused(&address.to_string());
        }
        for address in [desk, legacy.at(8080), cluster.cart.at(9000), cluster_ip] {
            assert_eq!(answer(caller, address, "canary-in-a-line"), "", "{address}");
        }
        caller.expect_log(&[("reason", "upstream_not_in_mesh")]);
    }
    assert!(answer(&intruder, desk, "intruder").starts_with("OK "));
    let seen = capture.finish();
    assert!(seen.shows(b"intruder"), "the capture sees what crosses the cable");
    for seen in [seen, cable_of_cart.finish()] {
        assert!(!seen.shows(b"canary-in-"), "a word crossed the cable in plaintext");
    }
}
