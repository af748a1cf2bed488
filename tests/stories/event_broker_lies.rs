//! A broker that breaks its protocol costs the connection on which it does, and no other (S-04).

use std::net::SocketAddr;

use postern_tests::{BrokerKind, Mesh, Pod, raw, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::event_scene::{may_connect, pod, rule, topic_policy};

/// A client's words, and the broker's answer.
type Exchange = (&'static [u8], &'static [u8]);

/// A protocol as the broker here speaks it, and what it says to clients that name one of the lies.
struct Fake {
    kind: BrokerKind,
    /// What it says before it has heard anything.
    first: &'static [u8],
    greeting: Exchange,
    ordinary: Exchange,
    /// What provokes lie 0: it ends in `liar0`, with this behind it.
    provoking: (&'static [u8], &'static [u8]),
    lies: &'static [(&'static str, &'static [u8])],
}

const NATS: Fake = Fake {
    kind: BrokerKind::Nats,
    first: b"INFO {\"server_id\":\"fake\",\"version\":\"2.11.0\",\"proto\":1,\"headers\":true,\
        \"max_payload\":1048576}\r\n",
    greeting: (b"CONNECT {\"verbose\":false,\"headers\":true}\r\nPING\r\n", b"PONG\r\n"),
    ordinary: (b"PING\r\n", b"PONG\r\n"),
    provoking: (b"PUB liar0", b" 0\r\n\r\n"),
    lies: &[
        ("a length that is no number", b"MSG a 1 x\r\n"),
        ("a length beyond all numbers", b"MSG a 1 99999999999999999999999\r\n"),
        ("a length beyond every limit", b"MSG a 1 2147483647\r\n"),
        ("headers longer than their message", b"HMSG a 1 20 10\r\nNATS/1.0\r\n\r\n"),
        ("a payload that does not end where it is said to", b"MSG a 1 2\r\nabcdef\r\n"),
        ("a word of no broker", b"SUB a 1\r\n"),
        ("bytes", b"\x00\x01\x02\xff\r\n"),
    ],
};

const MQTT: Fake = Fake {
    kind: BrokerKind::Mosquitto,
    first: b"",
    // CONNECT of 3.1.1 as `bank.orders`, with a clean session; CONNACK.
    greeting: (b"\x10\x17\x00\x04MQTT\x04\x02\x00\x3c\x00\x0bbank.orders", b"\x20\x02\x00\x00"),
    // PINGREQ, PINGRESP.
    ordinary: (b"\xc0\x00", b"\xd0\x00"),
    provoking: (b"\x30\x07\x00\x05liar0", b""),
    lies: &[
        ("a length in five bytes", b"\x30\xff\xff\xff\xff\x7f"),
        ("a length beyond every limit", b"\x30\xff\xff\xff\x7f"),
        ("a packet of no type", b"\x00\x00"),
        ("a topic longer than its packet", b"\x30\x04\x00\xff\x61\x62"),
        ("a quality of service that there is not", b"\x36\x05\x00\x01\x61\x00\x01"),
        ("a packet of clients", b"\x82\x06\x00\x01\x00\x01\x61\x00"),
        ("a second CONNACK", b"\x20\x02\x00\x00"),
    ],
};

const KAFKA: Fake = Fake {
    kind: BrokerKind::Tansu,
    first: b"",
    // ApiVersions 0 of the client `raw`: there are Metadata 4 to 5, and itself.
    greeting: (
        b"\x00\x00\x00\x0d\x00\x12\x00\x00\x00\x00\x00\x01\x00\x03raw",
        b"\x00\x00\x00\x16\x00\x00\x00\x01\x00\x00\x00\x00\x00\x02\
          \x00\x03\x00\x04\x00\x05\x00\x12\x00\x00\x00\x00",
    ),
    // Metadata 4 about no topic: no broker, no cluster, no controller, no topic.
    ordinary: (
        b"\x00\x00\x00\x12\x00\x03\x00\x04\x00\x00\x00\x02\x00\x03raw\x00\x00\x00\x00\x00",
        b"\x00\x00\x00\x16\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\
          \xff\xff\xff\xff\x00\x00\x00\x00",
    ),
    // The same of a client of this name, as 3.
    provoking: (
        b"\x00\x00\x00\x14\x00\x03\x00\x04\x00\x00\x00\x03\x00\x05liar0",
        b"\x00\x00\x00\x00\x00",
    ),
    lies: &[
        (
            "the answer to a question that nobody asked",
            b"\x00\x00\x00\x16\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\
              \xff\xff\xff\xff\x00\x00\x00\x00",
        ),
        ("a negative length", b"\xff\xff\xff\xff\x00\x00\x00\x03"),
        ("a length beyond every limit", b"\x7f\xff\xff\xff\x00\x00\x00\x03"),
        ("an answer too short to be one", b"\x00\x00\x00\x02\x00\x00\x00\x03"),
        (
            "more topics than there are bytes",
            b"\x00\x00\x00\x16\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\
              \xff\xff\xff\xff\x7f\xff\xff\xff",
        ),
        (
            "a negative number of brokers",
            b"\x00\x00\x00\x16\x00\x00\x00\x03\x00\x00\x00\x00\x80\x00\x00\x00\xff\xff\
              \xff\xff\xff\xff\x00\x00\x00\x00",
        ),
    ],
};

impl Fake {
    /// Serves whoever comes.
    async fn serve(&'static self) {
        let listener = TcpListener::bind(("0.0.0.0", self.kind.port())).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(self.converse(stream));
        }
    }

    async fn converse(&'static self, mut stream: TcpStream) {
        let mut heard = Vec::new();
        let mut answer = self.first;
        while stream.write_all(answer).await.is_ok() {
            // Until something is understood, or the client is gone.
            answer = loop {
                match stream.read_buf(&mut heard).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
                if let Some(answer) = self.answer(&heard) {
                    heard.clear();
                    break answer;
                }
            };
        }
    }

    fn answer(&self, heard: &[u8]) -> Option<&'static [u8]> {
        if let Some(at) = heard.windows(4).position(|four| four == b"liar") {
            let which = usize::from(heard.get(at + 4)?.checked_sub(b'0')?);
            return self.lies.get(which).map(|(_, words)| *words);
        }
        // What tells the questions from each other is their type, wherever the sidecar put more around it.
        let kind: fn(&[u8]) -> Option<u8> = match self.kind {
            BrokerKind::Nats => |words| words.ends_with(b"PING\r\n").then_some(0),
            BrokerKind::Mosquitto => |words| words.first().copied(),
            BrokerKind::Tansu => |words| words.get(5).copied(),
        };
        let exchanges = [self.greeting, self.ordinary];
        let found = exchanges.into_iter().find(|(words, _)| kind(words) == kind(heard));
        kind(heard).and(found).map(|(_, answer)| answer)
    }

    /// The words that provoke this lie.
    fn provoke(&self, which: usize) -> Vec<u8> {
        let (before, behind) = self.provoking;
        let (number, before) = before.split_last().unwrap();
        let number = number + u8::try_from(which).unwrap();
        [before, &[number], behind].concat()
    }
}

/// A client that has introduced itself.
async fn greet(fake: &'static Fake, address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    if !fake.first.is_empty() {
        assert!(raw::hear_line(&mut stream).await.starts_with("INFO {"));
    }
    ask(&mut stream, fake.greeting).await;
    stream
}

/// Asks, and takes an answer as long as the one that was given: in some of them the sidecar leaves something out.
async fn ask(stream: &mut TcpStream, (words, answer): Exchange) {
    stream.write_all(words).await.unwrap();
    let mut heard = vec![0; answer.len()];
    let heard = timeout(wait::PATIENCE, stream.read_exact(&mut heard)).await;
    heard.unwrap().unwrap();
}

#[track_caller]
fn lies_cost_their_own_connection(fake: &'static Fake) {
    let mesh = Mesh::start();
    mesh.policy("connect", &may_connect(&["orders"]));
    let all = match fake.kind {
        BrokerKind::Nats => ">",
        BrokerKind::Mosquitto => "#",
        BrokerKind::Tansu => "*",
    };
    let may = rule("orders", &[json!({"operations": ["publish"], "topics": [all]})]);
    mesh.policy("topics", &topic_policy(fake.kind, "orders", "ALLOW", &json!([may])));
    let broker = pod(&mesh, "broker").port(fake.kind.port(), fake.kind.protocol()).start();
    let _serving = broker.spawn(fake.serve());
    broker.wait_for_app(fake.kind.port());
    let orders = pod(&mesh, "orders").start();
    let address = broker.at(fake.kind.port());
    let mut other = orders.run(greet(fake, address));
    for (which, (name, _)) in fake.lies.iter().enumerate() {
        let end = orders.run(async move {
            let mut stream = greet(fake, address).await;
            ask(&mut stream, fake.ordinary).await;
            stream.write_all(&fake.provoke(which)).await.unwrap();
            raw::hear(&mut stream, wait::PATIENCE).await
        });
        assert_ne!(end.end, raw::End::Silent, "{name}: {end:?}");
        expect_errors(&broker, fake.kind, name, u8::try_from(which + 1).unwrap());
        other = orders.run(async move {
            ask(&mut other, fake.ordinary).await;
            other
        });
    }
}

/// So many sessions have ended because of what was said on them.
#[track_caller]
fn expect_errors(broker: &Pod, kind: BrokerKind, name: &str, expected: u8) {
    let counted = || {
        let metrics = broker.metrics();
        ["event_malformed", "event_limit"].map(|reason| {
            let labels = [("protocol", kind.protocol()), ("reason", reason)];
            metrics.sum("postern_message_errors_total", &labels)
        })
    };
    wait::until(name, wait::PATIENCE, || {
        let counted = counted();
        let total: f64 = counted.iter().sum();
        if (total - f64::from(expected)).abs() < 0.5 { Ok(()) } else { Err(format!("{counted:?}")) }
    });
}

#[test]
fn s04_a_broker_that_lies_ends_its_own_connection_nats() {
    lies_cost_their_own_connection(&NATS);
}

#[test]
fn s04_a_broker_that_lies_ends_its_own_connection_mqtt() {
    lies_cost_their_own_connection(&MQTT);
}

#[test]
fn s04_a_broker_that_lies_ends_its_own_connection_kafka() {
    lies_cost_their_own_connection(&KAFKA);
}
