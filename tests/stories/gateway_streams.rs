//! Bytes at the edge: TCPRoute, and TLSRoute with TLS of the app's own passed on unread.

use postern_tests::raw;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::gateway_scene::{gateway, gateway_of, http, of_group};
use crate::scene::allow;
use crate::stream_routes::{client_hello, greet};

#[test]
fn gateway_passes_bytes_on_by_port_and_by_server_name() {
    let scene = gateway();
    scene.mesh.policy("bank-for-edge", &allow("bank", "edge"));
    let bank = scene.mesh.pod("bank").port(9000, "tcp").port(9443, "tls").start();
    greet(&bank, "bank");
    let tcp = json!({"name": "orders", "port": 9000, "protocol": "TCP"});
    let tls = json!({
        "name": "bank", "port": 8443, "protocol": "TLS", "hostname": "*.bank.example",
        "tls": {"mode": "Passthrough"},
    });
    let route =
        |version: &str, kind: &str, section: &str, host: Option<&str>, backend: (&str, u16)| {
            let mut spec = json!({
                "parentRefs": [{"name": "edge", "sectionName": section}],
                "rules": [{"backendRefs": [{"name": backend.0, "port": backend.1}]}],
            });
            if let Some(host) = host {
                spec["hostnames"] = json!([host]);
            }
            of_group(&format!("gateway.networking.k8s.io/{version}"), kind, section, &spec)
                .to_string()
        };
    scene
        .mesh
        .policy("orders-route", &route("v1alpha2", "TCPRoute", "orders", None, ("cart", 9000)));
    let one = route("v1", "TLSRoute", "bank", Some("one.bank.example"), ("bank", 9443));
    scene.mesh.policy("bank-route", &one);
    scene.change("the listeners", |mesh| {
        mesh.policy("gateway", &gateway_of(&[http(80), tcp, tls]));
    });
    let orders = scene.edge.at(9000);
    let said = scene
        .client
        .run(async move { raw::say_and_half_close(orders, b"ADD bob cup\nCOUNT bob\n").await });
    assert!(said.text().starts_with("OK 1\n1\n"), "{}", said.text());

    let at = scene.edge.at(8443);
    let greeted = |name: &str| {
        let hello = client_hello(name);
        scene.client.run(async move {
            let mut stream = tokio::net::TcpStream::connect(at).await.ok()?;
            stream.write_all(&hello).await.ok()?;
            stream.shutdown().await.ok()?;
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.ok()?;
            Some(heard)
        })
    };
    assert_eq!(greeted("one.bank.example").as_deref(), Some(&b"bank"[..]));
    for name in ["two.bank.example", "bank.example", "shop.example"] {
        let heard = greeted(name).unwrap_or_default();
        assert!(!heard.starts_with(b"bank"), "{name}: {heard:?}");
    }
    scene.edge.expect_log(&[("kind", "connection"), ("reason", "route_not_found")]);
    scene.edge.expect_log(&[("kind", "connection"), ("reason", "unrecognized_name")]);
}
