//! Many at once through one pair of proxies: who holds a connection, or reads nothing, takes nothing from others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use postern_tests::{Mesh, Pod, Task, wait};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::scene::allow;

/// How long a crowd may take to be served, on a machine that does other things besides.
const PATIENCE: Duration = Duration::from_secs(90);
/// More than either side buffers of one stream.
pub(crate) const LARGE: usize = 4 << 20;

/// A store whose app the test plays, and the front end that may call it.
pub(crate) struct Scene {
    pub(crate) store: Pod,
    pub(crate) frontend: Pod,
    /// Lets the app answer what it was asked slowly, and read what it was sent.
    go_on: watch::Sender<bool>,
    /// How many requests the app has seen.
    asked: Arc<AtomicUsize>,
    _mesh: Mesh,
}

impl Scene {
    /// With these keys laid over the proxy.yaml of each.
    pub(crate) fn start(store: Value, frontend: Value) -> Self {
        let mesh = Mesh::start();
        mesh.policy("store", &allow("store", "frontend"));
        let ports = mesh.pod("store").port(8080, "http").port(9000, "tcp");
        let store = ports.config(patient(store)).start();
        let frontend = mesh.pod("frontend").config(patient(frontend)).start();
        let (go_on, told) = watch::channel(false);
        let asked = Arc::new(AtomicUsize::new(0));
        for port in [8080, 9000] {
            let (told, asked) = (told.clone(), asked.clone());
            store.run(async move {
                let listener = TcpListener::bind(("::", port)).await.unwrap();
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        let (told, asked) = (told.clone(), asked.clone());
                        tokio::spawn(async move {
                            // A client that breaks off is no matter here.
                            let _ = match port {
                                9000 => echo(stream).await,
                                _ => answer(stream, told, &asked).await,
                            };
                        });
                    }
                });
            });
        }
        Self { store, frontend, go_on, asked, _mesh: mesh }
    }

    /// Opens this many connections to a port, says `hello` on each and waits for `heard` in what comes back.
    pub(crate) fn crowd(
        &self,
        many: usize,
        port: u16,
        hello: impl Into<Vec<u8>>,
        heard: &'static str,
    ) -> Crowd {
        let address = self.store.at(port);
        let hello: Arc<[u8]> = hello.into().into();
        let arrived = Arc::new(AtomicUsize::new(0));
        let counter = arrived.clone();
        let (leave, told) = watch::channel(false);
        let task = self.frontend.spawn(async move {
            let mut all = JoinSet::new();
            for _ in 0..many {
                let (hello, counter, mut told) = (hello.clone(), counter.clone(), told.clone());
                all.spawn(async move {
                    let mut stream = TcpStream::connect(address).await?;
                    stream.write_all(&hello).await?;
                    expect(&mut stream, heard).await?;
                    counter.fetch_add(1, Ordering::Relaxed);
                    let _ = told.wait_for(|leave| *leave).await;
                    Ok::<_, std::io::Error>(())
                });
            }
            let ended = all.join_all().await;
            ended.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect()
        });
        Crowd { many, arrived, leave, task }
    }

    /// Lets the app answer what it holds back.
    pub(crate) fn go_on(&self) {
        self.go_on.send_replace(true);
    }

    /// Waits until the app has seen this many requests.
    #[track_caller]
    pub(crate) fn asked(&self, many: usize) {
        wait::until("the requests to reach the app", PATIENCE, || {
            match self.asked.load(Ordering::Relaxed) {
                asked if asked >= many => Ok(()),
                asked => Err(format!("{asked} of {many}")),
            }
        });
    }

    /// The longest that one of twenty small requests takes.
    pub(crate) fn small_requests(&self) -> Duration {
        let address = self.store.at(8080);
        self.frontend
            .spawn(async move {
                let mut longest = Duration::ZERO;
                let mut stream = TcpStream::connect(address).await.unwrap();
                for _ in 0..20 {
                    let start = Instant::now();
                    stream
                        .write_all(b"GET /small HTTP/1.1\r\nhost: store:8080\r\n\r\n")
                        .await
                        .unwrap();
                    expect(&mut stream, "\r\n\r\nyes").await.unwrap();
                    longest = longest.max(start.elapsed());
                }
                longest
            })
            .join_within(PATIENCE)
    }
}

/// The same, with time for a crowd to connect on a machine that does other things besides.
fn patient(mut config: Value) -> Value {
    for limit in ["connectTimeout", "appConnectTimeout"] {
        config["limits"][limit] = json!("10s");
    }
    config
}

/// Clients that hold what they have.
pub(crate) struct Crowd {
    many: usize,
    arrived: Arc<AtomicUsize>,
    leave: watch::Sender<bool>,
    task: Task<Vec<String>>,
}

impl Crowd {
    #[track_caller]
    pub(crate) fn all_arrive(&self) {
        wait::until("everybody to be served", PATIENCE, || {
            match self.arrived.load(Ordering::Relaxed) {
                arrived if arrived == self.many => Ok(()),
                arrived => Err(format!("{arrived} of {}", self.many)),
            }
        });
    }

    /// Everybody leaves; whoever broke before fails the test.
    #[track_caller]
    pub(crate) fn leave(self) {
        self.leave.send_replace(true);
        let failures = self.task.join_within(PATIENCE);
        assert!(failures.is_empty(), "{} of {}: {:?}", failures.len(), self.many, failures.first());
    }
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await.map(drop)
}

/// An app of HTTP/1.1: `/small` at once, `/large` at once and much of it, `/slow` when told, `/unread` does not read
/// its body until told, and who wants to switch protocols may, to an echo.
async fn answer(
    mut stream: TcpStream,
    mut told: watch::Receiver<bool>,
    asked: &AtomicUsize,
) -> std::io::Result<()> {
    loop {
        let head = read_until(&mut stream, "\r\n\r\n").await?;
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        asked.fetch_add(1, Ordering::Relaxed);
        match path.as_str() {
            "/socket" => {
                let switched = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                stream.write_all(switched.as_bytes()).await?;
                return echo(stream).await;
            }
            "/large" => {
                stream
                    .write_all(
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n").as_bytes(),
                    )
                    .await?;
                stream.write_all(&vec![b'x'; LARGE]).await?;
            }
            "/slow" | "/unread" => {
                let _ = told.wait_for(|go_on| *go_on).await;
                let length = if path == "/unread" { LARGE } else { 0 };
                tokio::io::copy(&mut (&mut stream).take(length as u64), &mut tokio::io::sink())
                    .await?;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").await?;
            }
            _ => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").await?,
        }
    }
}

async fn read_until(stream: &mut TcpStream, what: &str) -> std::io::Result<String> {
    let mut seen = Vec::new();
    while !seen.ends_with(what.as_bytes()) {
        seen.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&seen).into_owned())
}

/// Reads until `what` comes; what came instead, if it ends.
async fn expect(stream: &mut TcpStream, what: &str) -> std::io::Result<()> {
    let mut seen = Vec::new();
    while !seen.ends_with(what.as_bytes()) {
        match stream.read_u8().await {
            Ok(byte) => seen.push(byte),
            Err(error) => {
                let seen = String::from_utf8_lossy(&seen);
                return Err(std::io::Error::other(format!("{error} after {seen:?}")));
            }
        }
    }
    Ok(())
}

pub(crate) const SLOW: &str = "GET /slow HTTP/1.1\r\nhost: store:8080\r\n\r\n";
pub(crate) const SOCKET: &str = "GET /socket HTTP/1.1\r\nhost: store:8080\r\n\
    connection: upgrade\r\nupgrade: websocket\r\n\r\n";
pub(crate) const SWITCHED: &str = "upgrade: websocket\r\n\r\n";

#[test]
fn held_connections_of_every_kind_do_not_use_up_a_hop() {
    let scene = Scene::start(json!({}), json!({}));
    // Far more than one connection carries, of each kind.
    let held = [scene.crowd(450, 9000, "hello", "hello"), scene.crowd(450, 8080, SOCKET, SWITCHED)];
    held.iter().for_each(Crowd::all_arrive);
    let slow = scene.crowd(450, 8080, SLOW, "yes");
    scene.asked(450 + 450);
    let longest = scene.small_requests();
    assert!(longest < Duration::from_secs(5), "a small request took {longest:?}");
    scene.go_on();
    slow.all_arrive();
    for crowd in held {
        crowd.leave();
    }
    slow.leave();
    let metrics = scene.frontend.metrics();
    assert_eq!(metrics.sum("postern_overflows_total", &[]), 0.0);
    // One connection carries a hundred, requests have theirs, and no crowd opens more than it needs.
    let handshakes =
        metrics.sum("postern_tls_handshakes_total", &[("side", "client"), ("result", "ok")]);
    assert!((14.0..=16.0).contains(&handshakes), "{handshakes} connections");
}

#[test]
fn beyond_the_limit_of_a_hop_a_request_is_refused_at_once_and_others_are_served() {
    let limits = json!({"limits": {"meshConnections": 1, "concurrentStreams": 2}});
    let scene = Scene::start(json!({}), limits);
    let held = scene.crowd(2, 9000, "hello", "hello");
    let slow = scene.crowd(2, 8080, SLOW, "yes");
    held.all_arrive();
    scene.asked(2);
    scene.frontend.curl("http://store:8080/small").expect_refusal(503, "upstream_overflow");
    let address = scene.store.at(9000);
    let refused = scene.frontend.run(async move {
        // The proxy may be quicker than we are.
        let Ok(mut stream) = TcpStream::connect(address).await else { return true };
        let _ = stream.write_all(b"hello").await;
        stream.read_u8().await.is_err()
    });
    assert!(refused);
    scene.frontend.expect_log(&[("closed", "limit"), ("reason", "upstream_overflow")]);
    let overflows = || scene.frontend.metrics().sum("postern_overflows_total", &[]);
    assert_eq!(overflows(), 2.0);
    // Nothing was wrong with the endpoint: who leaves makes room.
    held.leave();
    scene.go_on();
    slow.all_arrive();
    slow.leave();
    wait::until_true("a place to be free", || {
        scene.frontend.curl("http://store:8080/small").status == 200
    });
}

#[test]
fn streams_count_as_the_connections_that_they_are() {
    let scene = Scene::start(json!({"limits": {"connections": 5}}), json!({}));
    let held = scene.crowd(4, 9000, "hello", "hello");
    held.all_arrive();
    let one_more = scene.crowd(1, 9000, "hello", "hello");
    scene.store.expect_metric(
        "postern_connections_closed_total",
        &[("direction", "inbound"), ("reason", "limit")],
    );
    held.leave();
    let failures = one_more.task.join_within(PATIENCE);
    assert_eq!(failures.len(), 1, "{failures:?}");
    scene.frontend.expect_log(&[("closed", "upstream"), ("reason", "upstream_reset")]);
}
