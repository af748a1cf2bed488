//! Routes of connections: which bytes to a service go where, by weight and by server name.

use std::sync::Arc;

use postern_tests::{Mesh, Pod, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::scene::allow;

/// Two services behind one: bytes are shared by weight, and TLS of the app's own goes by its server name. Nothing of it is
/// ended in a proxy.
#[test]
fn connections_go_where_a_route_of_connections_says() {
    let mesh = Mesh::start();
    let names = ["one", "two"];
    let stores = names.map(|name| {
        mesh.policy(name, &allow(name, "frontend"));
        let pod = mesh.pod(name).port(9000, "tcp").port(9443, "tls").start();
        greet(&pod, name);
        pod
    });
    let listener = |port: u16| json!({"bind": format!("127.0.0.1:{port}"), "service": "front.shop.svc.cluster.local", "port": port});
    let listeners = json!({"outbound": {"listeners": [listener(9000), listener(9443)]}});
    let frontend = mesh.pod("frontend").config(listeners).start();
    let parent = |section: &str| json!([{"group": "", "kind": "Service", "name": "front", "sectionName": section}]);
    let entry = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "front", "namespace": "shop"},
        "spec": {
            "hosts": ["front.shop.svc.cluster.local"],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [
                {"number": 9000, "name": "tcp-all", "protocol": "TCP"},
                {"number": 9443, "name": "tls-all", "protocol": "TLS"},
            ],
            "endpoints": [{"address": stores[0].ipv4()}],
            "subjectAltNames": ["spiffe://cluster.local/ns/shop/sa/one"],
        },
    });
    let backend = |name: &str, port: u16| json!([{"name": name, "port": port}]);
    let both = json!([{"name": "one", "port": 9000}, {"name": "two", "port": 9000}]);
    let tcp = json!({
        "apiVersion": "gateway.networking.k8s.io/v1alpha2",
        "kind": "TCPRoute",
        "metadata": {"name": "front", "namespace": "shop"},
        "spec": {"parentRefs": parent("tcp-all"), "rules": [{"backendRefs": both}]},
    });
    let tls = |name: &str| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "TLSRoute",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {
                "parentRefs": parent("tls-all"),
                "hostnames": [format!("{name}.example")],
                "rules": [{"backendRefs": backend(name, 9443)}],
            },
        })
    };
    let all = [entry, tcp, tls("one"), tls("two")].map(|document| document.to_string());
    mesh.policy("front", &all.join("\n---\n"));
    let greeted = |port: u16, say: Vec<u8>| {
        frontend.run(async move {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            stream.write_all(&say).await.ok()?;
            stream.shutdown().await.ok()?;
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.ok()?;
            Some(String::from_utf8_lossy(&heard).into_owned())
        })
    };
    let mut heard = std::collections::BTreeSet::new();
    wait::until_true("both to be reached", || {
        heard.extend(greeted(9000, Vec::new()).filter(|heard| !heard.is_empty()));
        heard.iter().map(String::as_str).eq(names)
    });
    for name in names {
        assert_eq!(greeted(9443, client_hello(&format!("{name}.example"))).as_deref(), Some(name));
    }
    let stranger = greeted(9443, client_hello("three.example"));
    assert!(stranger.is_none_or(|heard| heard.is_empty()), "a name that no route takes is refused");
    frontend.expect_log(&[("kind", "connection"), ("reason", "route_not_found")]);
}

/// A server that reads what it is sent, and then says its name.
pub(crate) fn greet(pod: &Pod, name: &'static str) {
    pod.run(async move {
        for port in [9000, 9443] {
            let listener = TcpListener::bind(("::", port)).await.unwrap();
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    tokio::spawn(async move {
                        let mut said = Vec::new();
                        let _ = stream.read_to_end(&mut said).await;
                        // The ClientHello has come through.
                        assert!(port == 9000 || said.starts_with(&[22, 3]), "{} bytes", said.len());
                        let _ = stream.write_all(name.as_bytes()).await;
                    });
                }
            });
        }
    });
}

/// The first bytes of a TLS client that asks for this name.
pub(crate) fn client_hello(name: &str) -> Vec<u8> {
    let roots = rustls::RootCertStore::empty();
    let config =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}
