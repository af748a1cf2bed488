//! The edge that is made of resources.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use policy::{Resources, SourceFile};

use crate::control::config::Config;
use crate::control::installer::ResourceInstaller;
use crate::traffic::edge::EdgePort;

const CONFIG: &str = "mode: gateway\nworkload: {namespace: shop, serviceAccount: edge}\n\
    identity: {workloadApi: unix:///a}\nadmin: {bind: '127.0.0.1:9000'}\n\
    metrics: {bind: '127.0.0.1:9020'}\nreadiness: {bind: '127.0.0.1:9021'}\n";

/// The ports of the edge of these documents, in order of their numbers.
fn ports(documents: &str) -> Vec<Arc<EdgePort>> {
    let config = Config::parse("p", CONFIG.as_bytes()).unwrap();
    let installer = ResourceInstaller::new(config, 1).unwrap();
    let file = SourceFile { name: "all.yaml".into(), bytes: documents.as_bytes().to_vec() };
    let resources = Resources::parse(&[file], "postern-system");
    installer.install(&resources.unwrap_or_else(|wrong| panic!("{wrong}\n{documents}")));
    let mut ports: Vec<_> = installer.state.edge.ports().values().cloned().collect();
    ports.sort_by_key(|port| port.port.number);
    ports
}

/// Gateway `shop/edge`, which takes ListenerSets of every namespace.
fn gateway(listeners: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: shop}}\n\
         spec: {{gatewayClassName: postern, allowedListeners: {{namespaces: {{from: All}}}}, listeners: [{listeners}]}}\n"
    )
}

#[test]
fn no_listener_of_a_gateway_gets_a_port_of_the_proxys_own() {
    for (row, port, expect) in [
        ("the admin interface", 9000, false),
        ("metrics", 9020, false),
        ("readiness", 9021, false),
        ("metrics of other proxies", 15020, false),
        ("another", 9001, true),
    ] {
        let ports = ports(&gateway(&format!("{{name: http, port: {port}, protocol: HTTP}}")));
        let numbers: Vec<_> = ports.iter().map(|port| port.port.number).collect();
        assert_eq!(numbers, if expect { vec![port] } else { vec![] }, "{row}");
    }
}
