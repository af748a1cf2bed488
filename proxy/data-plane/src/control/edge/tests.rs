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

/// A ListenerSet `team/more` of the Gateway.
fn listener_set(listeners: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: more, namespace: team}}\n\
         spec: {{parentRef: {{name: edge, namespace: shop}}, listeners: [{listeners}]}}\n"
    )
}

/// A ClientTrafficPolicy of `namespace` about `target`.
fn clients(namespace: &str, name: &str, target: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: policy.postern.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{targetRefs: [{{group: gateway.networking.k8s.io, {target}}}], {spec}}}\n"
    )
}

#[test]
fn a_port_in_the_clear_has_the_shortest_times_that_the_gateways_policies_say() {
    let section = |name: &str| format!("kind: Gateway, name: edge, sectionName: {name}");
    let two = gateway(
        "{name: a, port: 80, protocol: HTTP, hostname: a.example}, {name: b, port: 80, protocol: HTTP, hostname: b.example}",
    );
    let guest = listener_set("{name: c, port: 80, protocol: HTTP, hostname: c.example}");
    let a = clients("shop", "a", &section("a"), "limits: {idleTimeout: 7s, headerTimeout: 3s}");
    let b = clients("shop", "b", &section("b"), "limits: {idleTimeout: 5s, headerTimeout: 4s}");
    let long = clients("shop", "b", &section("b"), "limits: {idleTimeout: 2h, headerTimeout: 2h}");
    let long_too =
        clients("shop", "a", &section("a"), "limits: {idleTimeout: 3h, headerTimeout: 2h}");
    let whole = clients("shop", "w", "kind: Gateway, name: edge", "limits: {idleTimeout: 9s}");
    let guests = |limits| clients("team", "g", "kind: ListenerSet, name: more", limits);
    let short = guests("limits: {idleTimeout: 100ms, headerTimeout: 100ms}");
    let own = crate::limits::Limits::default();
    let (idle, header) = (own.idle_timeout.as_millis(), own.header_timeout.as_millis());
    for (row, policies, expect) in [
        ("no policy", String::new(), (idle, header)),
        ("the least of each", format!("{a}{b}"), (5000, 3000)),
        ("the least of one policy and of none", long.clone(), (idle, header)),
        ("longer ones, beside a guest", format!("{long_too}{long}"), (7_200_000, 7_200_000)),
        ("what a guest says is not about others", short.clone(), (idle, header)),
        ("nor more than the Gateway's", format!("{whole}{short}"), (9000, header)),
    ] {
        // The order of listeners in a table is another each time.
        for _ in 0..8 {
            let limits = ports(&format!("{two}{guest}{policies}"))[0].limits;
            let found = (limits.idle_timeout.as_millis(), limits.header_timeout.as_millis());
            assert_eq!(found, expect, "{row}");
        }
    }
}
