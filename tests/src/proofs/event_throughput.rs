//! What it costs to judge messages one by one: as many as a broker takes, through a port that is declared and through one
//! that is opaque, in turns.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Finding, Progress, Size};
use crate::broker::{Broker, BrokerKind};
use crate::mesh::Mesh;
use crate::pod::Pod;

/// Payloads, in bytes, and how many messages of each a round sends.
const LOADS: [(usize, usize); 3] = [(128, 40_000), (1024, 20_000), (16 * 1024, 3_000)];
/// The part of the throughput of opaque bytes that judged messages keep.
const KEPT: f64 = 0.95;
const SUBJECT: &str = "orders.new";

/// Sends messages to one subscriber over nats-server, both behind proxies of their own, and compares the medians.
pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let rounds = size.pick(3, 15);
    let mesh = Mesh::start();
    mesh.policy("brokers", &policies());
    let [judged, opaque] = [("judged", "nats"), ("opaque", "tcp")]
        .map(|(name, protocol)| Broker::start(BrokerKind::Nats, protocol, mesh.pod(name)));
    let [orders, audit] = ["orders", "audit"].map(|name| mesh.pod(name).start());
    let mut kept = Vec::new();
    for (payload, messages) in LOADS {
        let mut rates = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            for (broker, rates) in [&judged, &opaque].into_iter().zip(&mut rates) {
                let rate = rate(&orders, &audit, broker.at(), payload, messages);
                // The first round opens what the others share.
                if round > 0 {
                    rates.push(rate);
                }
            }
        }
        let [judged, opaque] = rates.map(median);
        progress
            .say(&format!("{payload} bytes: {judged:.0} messages/s judged, {opaque:.0} opaque"));
        kept.push((payload, judged / opaque));
    }
    let told: Vec<_> =
        kept.iter().map(|(payload, kept)| format!("{kept:.3} at {payload} bytes")).collect();
    Finding {
        line: format!(
            "events judged messages have this part of the throughput of opaque ones: {}",
            told.join(", ")
        ),
        good: kept.iter().all(|(_, kept)| *kept >= KEPT),
    }
}

/// Both may connect to both brokers, and send and receive everything where that is judged.
fn policies() -> String {
    let principals = ["orders", "audit"].map(|name| format!("cluster.local/ns/shop/sa/{name}"));
    let from = json!([{"source": {"principals": principals}}]);
    let connect = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "connect", "namespace": "shop"},
        "spec": {"rules": [{"from": from}]},
    });
    let topics = json!({
        "apiVersion": "policy.postern.dev/v1alpha1", "kind": "TopicPolicy",
        "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {"protocol": "nats", "rules": [{
            "from": from,
            "to": [{"operation": {"operations": ["publish", "subscribe"], "topics": ["orders.*"]}}],
        }]},
    });
    format!("{connect}\n---\n{topics}\n")
}

/// Messages a second from a publisher to a subscriber.
fn rate(orders: &Pod, audit: &Pod, broker: SocketAddr, payload: usize, messages: usize) -> f64 {
    let mut subscriber = audit.run(async move {
        let mut stream = greeted(broker).await;
        stream.write_all(format!("SUB {SUBJECT} 1\r\n").as_bytes()).await.unwrap();
        settle(&mut stream).await;
        stream
    });
    let mut publisher = orders.run(greeted(broker));
    let length = format!("MSG {SUBJECT} 1 {payload}\r\n").len() + payload + 2;
    let begun = Instant::now();
    let receiving = audit.spawn(async move {
        let (mut left, mut room) = (length * messages, vec![0; 64 << 10]);
        while left > 0 {
            let heard = subscriber.read(&mut room).await.unwrap();
            assert!(heard > 0, "the broker has closed the subscriber's connection");
            left = left.saturating_sub(heard);
        }
    });
    orders.run(async move {
        let one = format!("PUB {SUBJECT} {payload}\r\n{}\r\n", "x".repeat(payload));
        let batch = one.repeat(64).into_bytes();
        for sent in (0..messages).step_by(64) {
            let now = (messages - sent).min(64) * one.len();
            publisher.write_all(&batch[..now]).await.unwrap();
        }
        settle(&mut publisher).await;
    });
    receiving.join();
    let messages = u32::try_from(messages).map_or(f64::MAX, f64::from);
    messages / begun.elapsed().as_secs_f64()
}

/// A connection that has introduced itself.
async fn greeted(broker: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(broker).await.unwrap();
    stream.set_nodelay(true).unwrap();
    line(&mut stream).await;
    stream.write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n").await.unwrap();
    settle(&mut stream).await;
    stream
}

/// Until the broker has taken what was said before.
async fn settle(stream: &mut TcpStream) {
    stream.write_all(b"PING\r\n").await.unwrap();
    while line(stream).await != "PONG" {}
}

async fn line(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n") {
        said.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8_lossy(&said).trim_end().to_owned()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}
