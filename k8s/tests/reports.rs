//! What proxies tell of themselves over their streams, and what the controller's page makes of it.

use controller_harness::{Controller, Proxy, until};
use dashboard::mesh::{LEAST_PAUSE, MeshView};
use serde_json::{Value, json};

use crate::controller::{FRONTEND, cart, scene};

fn view(controller: &Controller) -> MeshView {
    controller.shared.reports().view(controller.shared.age(), 100)
}

/// A denial, and an edge towards a payee, in which the sender claims to be somebody else.
fn claim(reason: &str) -> Vec<u8> {
    let denial = json!({
        "decision": "deny", "reason": reason, "policy": "shop/p", "rule": 1, "pod": "shop/cart-1",
        "source_principal": "cluster.local/ns/shop/sa/web", "source_ip": "10.1.0.9",
        "destination": "10.1.0.1:8080", "count": 1, "last": 1, "first": 1,
        "examples": {"left_out": 0, "shown": [
            {"method": "GET", "host": "cart", "path": "/", "count": 1, "last": 1},
        ]},
    });
    let edge = |direction: &str, source: &str, destination: &str| {
        json!({"direction": direction, "source": source, "destination": destination,
            "allowed": 0, "denied": 1, "failed": 0})
    };
    let cart = "cluster.local/ns/shop/sa/cart";
    let edges = [edge("inbound", "web", cart), edge("outbound", cart, "bank")];
    message(json!({
        "denials": {"shown": [denial], "left_out": 0},
        "edges": {"shown": edges, "left_out": 0},
        "pod": "shop/cart-1", "identity": cart,
    }))
}

fn message(report: Value) -> Vec<u8> {
    report.to_string().into_bytes()
}

#[tokio::test]
async fn a_proxy_cannot_speak_for_another_pod() {
    let (_api, trust, controller) = scene().await;
    let pod = ("frontend-1", "uid-frontend-1");
    let frontend = Proxy::connect(controller.address, &trust, FRONTEND, pod).await.unwrap();
    frontend.report(claim("no_matching_allow")).await;
    until("the report", || !view(&controller).denials.shown.is_empty()).await;
    let seen = view(&controller);
    assert_eq!(seen.denials.shown[0].pod.as_deref(), Some("shop/frontend-1"));
    let own = FRONTEND.trim_start_matches("spiffe://");
    for edge in &seen.edges.shown {
        let (ours, name) = match edge.direction.as_str() {
            "inbound" => (&edge.destination, "inbound"),
            _ => (&edge.source, "outbound"),
        };
        assert_eq!(ours, own, "{name}");
    }
    let pods: Vec<_> = seen.services.shown.iter().map(|one| one.host.as_str()).collect();
    assert_eq!(pods, ["shop/frontend"], "the cart has said nothing");
    drop(frontend);
    until("the end of the stream", || view(&controller).services.shown.is_empty()).await;
}

#[tokio::test]
async fn a_report_beyond_the_bounds_leaves_the_last_good_one_and_the_stream() {
    let (_api, trust, controller) = scene().await;
    let mut proxy = cart(&controller, &trust).await;
    proxy.report(claim("no_matching_allow")).await;
    until("the report", || !view(&controller).denials.shown.is_empty()).await;
    // What follows at once would be too soon, whatever it says.
    tokio::time::sleep(LEAST_PAUSE).await;
    proxy.report(message(json!({"newer": "x".repeat(300 * 1024)}))).await;
    until("the refusal", || controller.shared.reports().counts().refused == 1).await;
    assert_eq!(view(&controller).denials.shown[0].reason, "no_matching_allow");
    proxy.ask(&["10.96.0.2:80"]).await;
    proxy.hear().await.unwrap();
    assert_eq!(proxy.services.len(), 1, "the stream goes on");
    tokio::time::sleep(LEAST_PAUSE).await;
    proxy.report(claim("policy_denied")).await;
    until("the next", || view(&controller).denials.shown[0].reason == "policy_denied").await;
}
