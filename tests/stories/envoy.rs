//! Envoy as a SPIFFE mTLS peer: a client of our inbound proxy and a server for our outbound proxy, each side
//! insisting on the other's SPIFFE id.

use std::path::PathBuf;

use postern_tests::certificates::replace;
use postern_tests::{Pod, Process, wait};
use serde_json::{Value, json};

use crate::scene::{self, Scene};

/// Envoy as `tests/setup` installed it.
pub(crate) fn envoy() -> PathBuf {
    let target =
        postern_tests::binary("postern-proxy").parent().unwrap().parent().unwrap().to_owned();
    let folders = std::fs::read_dir(target.join("peers")).into_iter().flatten().flatten();
    let found = folders.map(|folder| folder.path().join("envoy")).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("Envoy is not in {}/peers: run `tests/setup test`", target.display())
    })
}

/// A pod outside the mesh with Envoy in it, holding this service account's certificate.
fn pod_with_envoy(
    scene: &Scene,
    name: &str,
    service_account: &str,
    configuration: &Value,
) -> (Pod, Process) {
    let pod = scene.mesh.pod(name).outside().start();
    let process = start_envoy(&pod, service_account, configuration);
    (pod, process)
}

/// Starts Envoy in a pod, with this configuration and this service account's certificate in the pod's directory.
pub(crate) fn start_envoy(pod: &Pod, service_account: &str, configuration: &Value) -> Process {
    let authority = pod.test_authority();
    authority.workload("shop", service_account).write(pod.directory());
    replace(&pod.directory().join("bundle.pem"), &authority.bundle_pem());
    run_envoy(pod, configuration)
}

/// Starts Envoy in a pod, with this configuration alone.
pub(crate) fn run_envoy(pod: &Pod, configuration: &Value) -> Process {
    std::fs::write(pod.directory().join("envoy.json"), configuration.to_string()).unwrap();
    let arguments = [
        "-c",
        "/run/postern/envoy.json",
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "--log-level",
        "warning",
    ];
    pod.start_program("envoy", &envoy(), &arguments)
}

/// The TLS settings both roles share: our certificate, our roots, and the one id the peer must have.
fn tls_context(peer: &str) -> Value {
    json!({
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [{
            "certificate_chain": {"filename": "/run/postern/svid.pem"},
            "private_key": {"filename": "/run/postern/key.pem"},
        }],
        "validation_context": {
            "trusted_ca": {"filename": "/run/postern/bundle.pem"},
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": peer}}],
        },
    })
}

pub(crate) fn http_listener(port: u16, route: &Value, transport_socket: Option<Value>) -> Value {
    let mut chain = json!({"filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "http",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }],
        },
    }]});
    if let Some(socket) = transport_socket {
        chain["transport_socket"] = socket;
    }
    let address =
        json!({"socket_address": {"address": "::", "port_value": port, "ipv4_compat": true}});
    json!({"address": address, "filter_chains": [chain]})
}

/// Envoy with a plain listener that sends everything to cart over mutual TLS, believing only this id.
fn client_of(cart: &Pod, expected: &str) -> Value {
    client_that(cart, expected, &json!({"cluster": "cart"}))
}

/// The same, with what this action of its route says.
fn client_that(cart: &Pod, expected: &str, action: &Value) -> Value {
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    });
    context["common_tls_context"] = tls_context(expected);
    let endpoint = json!({"address": cart.ipv4(), "port_value": 8080});
    json!({"static_resources": {
        "listeners": [http_listener(10000, &json!({"match": {"prefix": "/"}, "route": action}), None)],
        "clusters": [{
            "name": "cart",
            "connect_timeout": "2s",
            "load_assignment": {"cluster_name": "cart", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"socket_address": endpoint}}}]},
            ]},
            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
        }],
    }})
}

/// Envoy with a mutual TLS listener that answers this client id alone.
fn server_for(client: &str) -> Value {
    server_that_answers(client, 200)
}

/// The same, with this status.
fn server_that_answers(client: &str, status: u16) -> Value {
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
    });
    context["common_tls_context"] = tls_context(client);
    context["common_tls_context"]["alpn_protocols"] = json!(["h2", "http/1.1"]);
    let route = json!({"match": {"prefix": "/"}, "direct_response": {"status": status, "body": {"inline_string": "from Envoy\n"}}});
    let socket = json!({"name": "envoy.transport_sockets.tls", "typed_config": context});
    json!({"static_resources": {"listeners": [http_listener(8443, &route, Some(socket))]}})
}

/// A service that Envoy in a pod serves, under this service account's identity.
fn legacy(pod: &Pod, identity: &str) -> String {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "legacy", "namespace": "shop"},
        "spec": {
            "hosts": ["legacy.shop.svc.cluster.local"], "location": "MESH_INTERNAL", "resolution": "STATIC",
            "ports": [{"number": 8443, "name": "http-legacy", "protocol": "HTTP"}],
            "endpoints": [{"address": pod.ipv4()}],
            "subjectAltNames": [format!("spiffe://cluster.local/ns/shop/sa/{identity}")],
        },
    })
    .to_string()
}

#[test]
fn envoy_as_client_of_our_inbound() {
    let scene = scene::shop();
    let configuration = client_of(&scene.cart, &scene.cart.spiffe_id());
    let (pod, _envoy) = pod_with_envoy(&scene, "envoy-good", "frontend", &configuration);
    wait::until_true("Envoy to carry a call", || {
        pod.curl("http://127.0.0.1:10000/cart/ann").status == 200
    });
    pod.curl_with(&["-X", "DELETE", "http://127.0.0.1:10000/cart/ann"])
        .expect_refusal(403, "no_matching_allow");
    let (other, _envoy) = pod_with_envoy(&scene, "envoy-reports", "reports", &configuration);
    wait::until_true("Envoy to carry a call", || {
        other.curl("http://127.0.0.1:10000/cart/ann").status == 403
    });
    // It believes nobody but the cart: with another name to expect, it refuses our proxy.
    let mistrust = client_of(&scene.cart, "spiffe://cluster.local/ns/shop/sa/bank");
    let (wary, _envoy) = pod_with_envoy(&scene, "envoy-wary", "frontend", &mistrust);
    wait::until_true("Envoy to refuse", || {
        wary.curl("http://127.0.0.1:10000/cart/ann").status == 503
    });
}

#[test]
fn envoy_as_server_for_our_outbound() {
    let scene = scene::shop();
    let (pod, _envoy) =
        pod_with_envoy(&scene, "legacy", "legacy", &server_for(&scene.frontend.spiffe_id()));
    scene.mesh.policy("legacy", &legacy(&pod, "legacy"));
    wait::until_true("the call to reach Envoy", || {
        scene.frontend.curl("http://legacy:8443/").status == 200
    });
    let answer =
        scene.frontend.curl_with(&["--http2-prior-knowledge", "http://legacy:8443/"]).expect(200);
    assert_eq!(answer.body, "from Envoy\n");
    // Envoy believes the front end alone.
    let reports = scene.mesh.pod("reports").start();
    let refused = reports.curl("http://legacy:8443/");
    assert!(refused.status >= 500, "{refused:?}");
    // And we believe Envoy only under the name the service must have.
    scene.mesh.policy("legacy", &legacy(&pod, "another"));
    wait::until_true("the impostor to be refused", || {
        scene.frontend.curl("http://legacy:8443/").reason() == "upstream_tls_failed"
    });
}

/// Its retries are requests like others: each is judged, and the client's answer is there once the app is.
#[test]
fn envoy_as_client_with_retries_of_its_own() {
    let scene = scene::shop();
    let action = json!({
        "cluster": "cart",
        "retry_policy": {
            "retry_on": "5xx,reset,connect-failure", "num_retries": 40,
            "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.2s"},
        },
    });
    let configuration = client_that(&scene.cart, &scene.cart.spiffe_id(), &action);
    let (pod, _envoy) = pod_with_envoy(&scene, "envoy", "frontend", &configuration);
    wait::until_true("Envoy to carry a call", || {
        pod.curl("http://127.0.0.1:10000/cart/ann").status == 200
    });
    scene.cart.app().as_mut().unwrap().kill();
    let turned_away = || {
        let labels = [("direction", "inbound"), ("reason", "app_unreachable")];
        scene.cart.metrics().sum("postern_requests_total", &labels)
    };
    std::thread::scope(|scope| {
        let call = scope.spawn(|| pod.curl("http://127.0.0.1:10000/cart/ann"));
        wait::until_true("Envoy to try again", || turned_away() >= 3.0);
        scene.cart.start_app();
        call.join().unwrap().expect(200);
    });
    // A refusal is one, however often it is asked for.
    pod.curl_with(&["-X", "DELETE", "http://127.0.0.1:10000/cart/ann"])
        .expect_refusal(403, "no_matching_allow");
}

/// A route of ours repeats what Envoy answers, as often as it says and not once more.
#[test]
fn envoy_as_server_that_is_asked_again() {
    let scene = scene::shop();
    let configuration = server_that_answers(&scene.frontend.spiffe_id(), 503);
    let (pod, _envoy) = pod_with_envoy(&scene, "legacy", "legacy", &configuration);
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "legacy", "namespace": "shop"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "legacy"}],
            "rules": [{
                "retry": {"codes": [503], "attempts": 2},
                "backendRefs": [{"name": "legacy", "port": 8443}],
            }],
        },
    });
    scene.mesh.policy("legacy", &format!("{}\n---\n{route}\n", legacy(&pod, "legacy")));
    let failed = || {
        let labels = [("reason", "listed_status"), ("result", "failure")];
        scene.frontend.metrics().sum("postern_retries_total", &labels)
    };
    wait::until_true("Envoy to be asked again", || {
        scene.frontend.curl("http://legacy:8443/").status == 503 && failed() >= 1.0
    });
    let before = failed();
    assert_eq!(scene.frontend.curl("http://legacy:8443/").expect(503).body, "from Envoy\n");
    assert!((failed() - before - 1.0).abs() < 0.5, "one request, however many attempts");
    scene.frontend.expect_log(&[("retried", "listed_status"), ("status", "503")]);
}
