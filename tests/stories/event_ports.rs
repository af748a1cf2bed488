//! A port that is declared with the protocol of a broker: policy on the connection first, then on each operation, and both
//! again when policies are edited.

use std::time::Duration;

use postern_tests::{BrokerKind, Pod, wait};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::event_scene::{self, Events, may_connect, pod, rule, topic_policy};

const PATIENCE: Duration = Duration::from_secs(20);

/// A client that speaks the lines of NATS itself.
struct NatsLines(BufReader<TcpStream>);

impl NatsLines {
    async fn connect(broker: std::net::SocketAddr) -> std::io::Result<Self> {
        let mut client = Self(BufReader::new(TcpStream::connect(broker).await?));
        let info = client.line().await?;
        assert!(info.starts_with("INFO {"), "{info:?}");
        client
            .say("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\nPING\r\n")
            .await;
        assert_eq!(client.line().await?, "PONG\r\n");
        Ok(client)
    }

    async fn say(&mut self, words: &str) {
        self.0.write_all(words.as_bytes()).await.unwrap();
    }

    /// The next line; empty at the end. The server asks now and then whether the client is there, which no story is about.
    async fn line(&mut self) -> std::io::Result<String> {
        loop {
            let mut line = String::new();
            timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("a line in time")?;
            if line != "PING\r\n" {
                return Ok(line);
            }
        }
    }

    async fn asked(mut self, words: &'static str, lines: usize) -> (Self, Vec<String>) {
        self.say(words).await;
        let mut said = Vec::new();
        for _ in 0..lines {
            said.push(self.line().await.unwrap());
        }
        (self, said)
    }
}

/// What `orders` may do with its own topics.
fn may(operations: &[&str]) -> String {
    let operation = json!({"operations": operations, "topics": ["orders.*"]});
    let rules = json!([rule("orders", &[operation])]);
    topic_policy(BrokerKind::Nats, "orders", "ALLOW", &rules)
}

fn connected(scene: &Events, from: &Pod) -> NatsLines {
    let at = scene.broker.at();
    from.run(async move { NatsLines::connect(at).await.unwrap() })
}

fn asked(
    from: &Pod,
    client: NatsLines,
    words: &'static str,
    lines: usize,
) -> (NatsLines, Vec<String>) {
    from.run(client.asked(words, lines))
}

/// The gauge of open subscriptions becomes this.
#[track_caller]
fn expect_open(scene: &Events, count: f64) {
    let labels = [("protocol", "nats")];
    wait::until(&format!("{count} subscriptions to be open"), PATIENCE, || {
        let open = scene.broker.pod().metrics().sum("postern_subscriptions_open", &labels);
        if (open - count).abs() < 0.5 { Ok(()) } else { Err(format!("{open} are")) }
    });
}

#[test]
fn a_connection_is_judged_first_and_then_each_operation() {
    let scene = event_scene::events(BrokerKind::Nats, &may(&["publish", "subscribe"]));
    let stranger = pod(&scene.mesh, "stranger").start();
    let at = scene.broker.at();
    let heard = stranger.run(async move {
        let mut broker = TcpStream::connect(at).await?;
        timeout(PATIENCE, broker.read(&mut [0; 8])).await.expect("an end in time")
    });
    assert!(matches!(heard, Ok(0) | Err(_)), "a stranger hears {heard:?}");
    let broker = scene.broker.pod();
    broker.expect_log(&[
        ("kind", "connection"),
        ("protocol", "nats"),
        ("closed", "policy"),
        ("source_principal", &stranger.principal()),
    ]);

    let client = connected(&scene, &scene.orders);
    let (client, said) = asked(
        &scene.orders,
        client,
        "PUB payments.new 2\r\nno\r\nSUB orders.* 1\r\nPUB orders.new 2\r\nok\r\n",
        3,
    );
    let violation = "-ERR 'Permissions Violation for Publish to \"payments.new\"'\r\n";
    assert_eq!(said, [violation, "MSG orders.new 1 2\r\n", "ok\r\n"]);
    broker.expect_log(&[
        ("kind", "message"),
        ("source_principal", &scene.orders.principal()),
        ("protocol", "nats"),
        ("operation", "publish"),
        ("topic", "payments.new"),
        ("decision", "deny"),
        ("reason", "topic_denied"),
    ]);
    let page: Value = serde_json::from_str(&broker.admin("/decisions").body).unwrap();
    let seen = page.to_string();
    assert!(seen.contains("\"topic\":\"payments.new\""), "{seen}");
    for (operation, decision, policy) in [
        ("publish", "deny", "default"),
        ("publish", "allow", "bank/orders"),
        ("subscribe", "allow", "bank/orders"),
    ] {
        broker.expect_metric(
            "postern_messages_total",
            &[
                ("protocol", "nats"),
                ("operation", operation),
                ("decision", decision),
                ("policy", policy),
            ],
        );
    }
    expect_open(&scene, 1.0);
    drop(client);
    expect_open(&scene, 0.0);
}

#[test]
fn p03_an_edited_policy_holds_for_what_is_open() {
    let scene = event_scene::events(BrokerKind::Nats, &may(&["publish", "subscribe"]));
    let client = connected(&scene, &scene.orders);
    let (client, said) =
        asked(&scene.orders, client, "SUB orders.new 1\r\nPUB orders.new 2\r\nok\r\n", 2);
    assert_eq!(said, ["MSG orders.new 1 2\r\n", "ok\r\n"]);

    scene.set_topics(&may(&["publish"]));
    let (client, said) = asked(&scene.orders, client, "", 1);
    let violation = "-ERR 'Permissions Violation for Subscription to \"orders.new\"";
    assert!(said[0].starts_with(violation), "{said:?}");
    expect_open(&scene, 0.0);
    // It may still publish, and hears no message any more.
    let (client, said) = asked(&scene.orders, client, "PUB orders.new 2\r\nok\r\nPING\r\n", 1);
    assert_eq!(said, ["PONG\r\n"]);

    // The connection itself.
    scene.mesh.policy("broker-connect", &may_connect(&["payments"]));
    let ended = scene.orders.run(async move {
        let mut client = client;
        client.line().await
    });
    assert!(ended.as_ref().map_or(true, String::is_empty), "{ended:?}");
    scene.broker.pod().expect_log(&[
        ("kind", "connection"),
        ("protocol", "nats"),
        ("closed", "policy"),
        ("source_principal", &scene.orders.principal()),
    ]);
}

/// A peer that takes the broker's port for one of HTTP sends its request on a stream of the mesh connection: nobody would
/// judge what the broker makes of its lines.
#[test]
fn a_broker_gets_no_request_of_a_peer_that_calls_its_port_http() {
    let scene = event_scene::events(BrokerKind::Nats, &may(&["publish", "subscribe"]));
    let broker = scene.broker.pod();
    let [a, b, c, _] = broker.ipv4().octets();
    let address = std::net::Ipv4Addr::from([a, b, c, 200]).to_string();
    let pretended = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "pretended", "namespace": "bank"},
        "spec": {
            "hosts": ["pretended.bank.svc.cluster.local"], "addresses": [address],
            "location": "MESH_INTERNAL", "resolution": "STATIC",
            "ports": [{"number": 8080, "name": "http", "protocol": "HTTP", "targetPort": 4222}],
            "endpoints": [{"address": broker.ipv4().to_string()}],
            "subjectAltNames": [broker.spiffe_id()],
        },
    });
    scene.mesh.policy("pretended", &pretended.to_string());
    let url = format!("http://{address}:8080/orders");
    wait::until_true("the request to reach the broker's proxy", || {
        scene.orders.curl(&url).status == 400
    });
    broker.expect_log(&[("kind", "request"), ("reason", "bad_mesh_stream"), ("path", "/orders")]);
}
