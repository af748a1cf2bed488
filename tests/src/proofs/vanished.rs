//! F-15: the other side is gone without a word, no FIN and no RST: noticed within 30 s, wherever it was.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Finding, Progress, Size};
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::raw::{self, End};

/// How soon it must be noticed.
const LIMIT: Duration = Duration::from_secs(30);
/// How long we look: a little longer.
const PATIENCE: Duration = Duration::from_secs(45);

/// What is under way when the other side vanishes.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    /// What the client says; the app says nothing to it.
    says: &'static str,
    port: u16,
    /// From here on nothing passes.
    vanishes: fn(&Pod),
}

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: store:8080\r\nconnection: close\r\n\r\n";
const BYTES: &str = "HELLO\n";

const ROWS: [Row; 4] = [
    Row { name: "a request, the server's machine", says: REQUEST, port: 8080, vanishes: network },
    Row { name: "bytes, the server's machine", says: BYTES, port: 9000, vanishes: network },
    Row { name: "a request, the app", says: REQUEST, port: 8080, vanishes: loopback },
    Row { name: "bytes, the app", says: BYTES, port: 9000, vanishes: loopback },
];

pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    // In the quick form everything is asked five times as often.
    let quick =
        json!({"limits": {"tcpKeepalive": "3s", "pingInterval": "2s", "pingTimeout": "1s"}});
    let config = size.pick(quick, json!({}));
    let limit = size.pick(LIMIT / 3, LIMIT);
    let noticed = std::thread::scope(|scope| {
        // Side by side: each waits most of the time.
        let config = &config;
        let rows = ROWS.map(|row| (row, scope.spawn(move || vanish(row, config))));
        rows.map(|(row, vanishing)| (row.name, vanishing.join().unwrap_or(None)))
    });
    let words = noticed.map(|(name, took)| match took {
        Some(took) => format!("{name} {:.1} s", took.as_secs_f32()),
        None => format!("{name} not within {} s", PATIENCE.as_secs()),
    });
    progress.say(&words.join("; "));
    let limits = size.pick("a fifth of the default intervals", "default limits");
    Finding {
        line: format!("F-15 gone without a word, noticed after ({limits}): {}", words.join("; ")),
        good: noticed.iter().all(|(_, took)| took.is_some_and(|took| took <= limit)),
    }
}

/// How long after the last packet the client knows.
fn vanish(row: Row, config: &Value) -> Option<Duration> {
    let mesh = Mesh::start();
    mesh.policy("store", &crate::shop::allow("store", "frontend"));
    let store =
        mesh.pod("store").port(8080, "http").port(9000, "tcp").config(config.clone()).start();
    let frontend = mesh.pod("frontend").config(config.clone()).start();
    let heard = listen(&store, row.port);
    let address = store.at(row.port);
    let client = frontend.spawn(async move {
        let mut stream = TcpStream::connect(address).await.expect("our own proxy accepts");
        stream.write_all(row.says.as_bytes()).await.expect("our own proxy reads");
        raw::hear(&mut stream, PATIENCE + Duration::from_secs(5)).await
    });
    heard.recv_timeout(crate::wait::PATIENCE).expect("the app is reached");
    let begun = Instant::now();
    (row.vanishes)(&store);
    let heard = client.join_within(PATIENCE * 2);
    let took = begun.elapsed();
    let refused = heard.text().starts_with("HTTP/1.1 50");
    // A request is refused; bytes end with a reset.
    let told = if row.port == 8080 { refused } else { heard.end == End::Broken };
    (told && took <= PATIENCE).then_some(took)
}

/// An app that says nothing; a message comes when it has heard something.
fn listen(pod: &Pod, port: u16) -> std::sync::mpsc::Receiver<()> {
    let (tell, told) = std::sync::mpsc::channel();
    pod.run(async move {
        let listener = TcpListener::bind(("::", port)).await.expect("the app's port is free");
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if stream.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {
                    let _ = tell.send(());
                }
                kept.push(stream);
            }
        });
    });
    told
}

/// The cable is out.
fn network(pod: &Pod) {
    pod.command("ip", &["link", "set", "eth0", "down"]).ok();
}

/// Between the pod's proxy and its app every packet is dropped.
fn loopback(pod: &Pod) {
    pod.command("nft", &["add", "table", "inet", "gone"]).ok();
    let chain = "{ type filter hook output priority 200; }";
    pod.command("nft", &["add", "chain", "inet", "gone", "out", chain]).ok();
    let ports = "{ 8080, 9000 }";
    for direction in ["sport", "dport"] {
        let rule = ["add", "rule", "inet", "gone", "out", "tcp", direction, ports, "drop"];
        pod.command("nft", &rule).ok();
    }
}
