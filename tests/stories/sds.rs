//! Envoy takes its certificate and the roots from our agent by its secret discovery service, and talks mutual TLS with
//! our proxies, both ways, through rotations.

use std::time::Duration;

use postern_tests::{Pod, Process, wait};
use serde_json::{Value, json};

use crate::envoy::{http_listener, run_envoy};
use crate::scene::{self, Scene, allow};

/// How often each side gets a new certificate.
const ROTATIONS: usize = 5;

/// Where one of Envoy's secrets comes from: our agent's socket.
fn secret(name: &str) -> Value {
    json!({"name": name, "sds_config": {
        "resource_api_version": "V3",
        "api_config_source": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "agent"}}],
        },
    }})
}

/// Certificate, key and roots from the agent; the peer must have this id.
fn tls_context(kind: &str, roots: &str, peer: &str) -> Value {
    let san = json!({"san_type": "URI", "matcher": {"exact": peer}});
    json!({
        "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}"),
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificate_sds_secret_configs": [secret("default")],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": [san]},
                "validation_context_sds_secret_config": secret(roots),
            },
            "alpn_protocols": ["http/1.1"],
        },
    })
}

fn socket(context: Value) -> Value {
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

/// A plain listener to the cart over mutual TLS, and a mutual TLS listener that answers the front end.
fn configuration(scene: &Scene) -> Value {
    let cart = json!({"address": scene.cart.ipv4(), "port_value": 8080});
    let to_cart = tls_context("UpstreamTlsContext", "ALL", &scene.cart.spiffe_id());
    let mut from_frontend =
        tls_context("DownstreamTlsContext", "ROOTCA", &scene.frontend.spiffe_id());
    from_frontend["require_client_certificate"] = json!(true);
    let forward = json!({"match": {"prefix": "/"}, "route": {"cluster": "cart"}});
    let answer = json!({
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": "from Envoy\n"}},
    });
    json!({
        "node": {"id": "envoy", "cluster": "story"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}},
        "static_resources": {
            "listeners": [
                http_listener(10000, &forward, None),
                http_listener(8443, &answer, Some(socket(from_frontend))),
            ],
            "clusters": [
                {
                    "name": "cart",
                    "connect_timeout": "2s",
                    "load_assignment": {"cluster_name": "cart", "endpoints": [
                        {"lb_endpoints": [{"endpoint": {"address": {"socket_address": cart}}}]},
                    ]},
                    "transport_socket": socket(to_cart),
                },
                {
                    "name": "agent",
                    "connect_timeout": "2s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        },
                    },
                    "load_assignment": {"cluster_name": "agent", "endpoints": [
                        {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": "/run/postern/agent.sock"}}}}]},
                    ]},
                },
            ],
        },
    })
}

/// A pod without a proxy of ours: the agent, and Envoy.
fn pod_with_envoy(scene: &Scene) -> (Pod, Process) {
    let pod = scene.mesh.pod("legacy").outside().start();
    pod.start_agent();
    wait::until_true("the agent to hold a certificate", || pod.agent_command("health").code == 0);
    let process = run_envoy(&pod, &configuration(scene));
    (pod, process)
}

/// Makes Envoy a service of the mesh.
fn announce(scene: &Scene, pod: &Pod) {
    let entry = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "legacy", "namespace": "shop"},
        "spec": {
            "hosts": ["legacy.shop.svc.cluster.local"], "location": "MESH_INTERNAL", "resolution": "STATIC",
            "ports": [{"number": 8443, "name": "http-legacy", "protocol": "HTTP"}],
            "endpoints": [{"address": pod.ipv4()}],
            "subjectAltNames": [pod.spiffe_id()],
        },
    });
    scene.mesh.policy("legacy", &entry.to_string());
}

/// The serial number of the certificate that the agent holds, hexadecimal digits alone.
fn held_serial(pod: &Pod) -> String {
    let shown: Value = serde_json::from_str(&pod.agent_command("show").ok()).unwrap();
    shown["serial"].as_str().unwrap().replace(':', "")
}

#[test]
fn envoy_takes_its_certificate_from_our_agent_through_rotations() {
    let scene = scene::shop_with_authority();
    scene.mesh.policy("legacy-may", &allow("cart", "legacy"));
    let (pod, _envoy) = pod_with_envoy(&scene);
    announce(&scene, &pod);
    let client = || pod.curl("http://127.0.0.1:10000/cart/ann");
    let server = || scene.frontend.curl("http://legacy:8443/");
    wait::until_true("Envoy to call the cart", || client().status == 200);
    wait::until_true("Envoy to answer the front end", || server().status == 200);
    // Envoy as a client is somebody to our policies.
    let line = scene.cart.expect_log(&[("source_principal", &pod.principal()), ("status", "200")]);
    drop(line);

    for round in 1..=ROTATIONS {
        let before = held_serial(&pod);
        pod.agent_command("renew").ok();
        scene.cart.renew_certificate();
        scene.frontend.renew_certificate();
        let serial = held_serial(&pod);
        assert_ne!(serial, before, "rotation {round}");
        wait::until(&format!("Envoy to serve {serial}"), Duration::from_secs(10), || {
            let certificates = pod.curl("http://127.0.0.1:9901/certs").body;
            if certificates.contains(serial.trim_start_matches('0')) {
                Ok(())
            } else {
                Err(certificates)
            }
        });
        for _ in 0..10 {
            assert_eq!(client().status, 200, "rotation {round}");
            assert_eq!(server().status, 200, "rotation {round}");
        }
    }
    // Whoever has no identity of this mesh gets no answer from Envoy.
    let stranger = scene.mesh.pod("stranger").outside().start();
    let refused = stranger.curl_with(&["-k", &format!("https://{}:8443/", pod.ipv4())]);
    assert_ne!(refused.status, 200, "{refused:?}");
}
