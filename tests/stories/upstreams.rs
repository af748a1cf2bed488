//! Apps and upstreams that are not there, or break off.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use postern_tests::{App, Mesh, Pod, raw, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::scene::allow;

/// A pod whose app the test plays itself, and its caller.
struct Scene {
    store: Pod,
    frontend: Pod,
    mesh: Mesh,
}

fn store() -> Scene {
    store_that_speaks("http")
}

fn store_that_speaks(protocol: &str) -> Scene {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = mesh.pod("store").port(8080, protocol).start();
    let frontend = mesh.pod("frontend").start();
    Scene { store, frontend, mesh }
}

/// Answers the first connection with these bytes after its request, and resets it when told to.
fn answer_then_reset(pod: &Pod, bytes: &'static [u8]) -> oneshot::Sender<()> {
    let (reset, told) = oneshot::channel();
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            stream.write_all(bytes).await.unwrap();
            let _ = told.await;
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        });
    });
    reset
}

/// The caller has read half of the answer when the app breaks: it must see that the rest is missing.
#[track_caller]
fn expect_abort(bytes: &'static [u8], option: &str) {
    let scene = store();
    let reset = answer_then_reset(&scene.store, bytes);
    let arguments = ["-sS", "-i", "-N", "-4", "--max-time", "20", option, "http://store:8080/"];
    expect_curl_to_fail(&scene, reset, &arguments);
}

#[track_caller]
fn expect_curl_to_fail(scene: &Scene, reset: oneshot::Sender<()>, arguments: &[&str]) {
    let mut curl = scene.frontend.start_program("curl", Path::new("curl"), arguments);
    wait::until_true("the first half to arrive", || curl.stdout().contains("half of it"));
    reset.send(()).unwrap();
    let code = curl.exit_code(Duration::from_secs(10));
    assert!(code != 0 && code != 28, "curl ended with {code}: {}{}", curl.stdout(), curl.stderr());
    scene.store.expect_log(&[("kind", "request"), ("status", "200"), ("reason", "app_reset")]);
}

/// HTTP/1.0 has no chunks: an answer without a length ends with its connection, so a cut one must not end in order.
#[test]
fn f14_upstream_resets_mid_body_seen_by_an_old_client() {
    let scene = store();
    let half = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let reset = answer_then_reset(&scene.store, half);
    let address = scene.store.at(8080);
    let old = scene.frontend.spawn(async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\nhost: store\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"hello") {
            seen.push(stream.read_u8().await.unwrap());
        }
        reset.send(()).unwrap();
        raw::hear(&mut stream, Duration::from_secs(10)).await.end
    });
    assert_eq!(old.join(), raw::End::Broken);
}

/// What follows a switch of protocols has no end but the connection's.
#[test]
fn f14_upstream_resets_after_a_switch_of_protocols() {
    let scene = store();
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhalf of it";
    let reset = answer_then_reset(&scene.store, switched);
    let address = scene.store.at(8080);
    let client = scene.frontend.spawn(async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let ask =
            b"GET / HTTP/1.1\r\nhost: store\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(ask).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"half of it") {
            seen.push(stream.read_u8().await.unwrap());
        }
        reset.send(()).unwrap();
        raw::hear(&mut stream, Duration::from_secs(10)).await.end
    });
    assert_eq!(client.join(), raw::End::Broken);
}

/// Opaque bytes have none either.
#[test]
fn f14_upstream_resets_opaque_bytes() {
    let scene = store_that_speaks("tcp");
    let reset = answer_then_reset(&scene.store, b"half of it");
    let address = scene.store.at(8080);
    let client = scene.frontend.spawn(async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"go").await.unwrap();
        let mut seen = [0; 10];
        stream.read_exact(&mut seen).await.unwrap();
        reset.send(()).unwrap();
        raw::hear(&mut stream, Duration::from_secs(10)).await.end
    });
    assert_eq!(client.join(), raw::End::Broken);
}

#[test]
fn f13_upstream_dead_or_refused_app_not_listening() {
    let scene = store();
    let answer = scene.frontend.curl("http://store:8080/").expect_refusal(503, "app_unreachable");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    scene.store.expect_metric(
        "postern_requests_total",
        &[("response_code", "503"), ("reason", "app_unreachable")],
    );
    scene.store.expect_log(&[
        ("kind", "request"),
        ("status", "503"),
        ("reason", "app_unreachable"),
    ]);
}

#[test]
fn f13_upstream_dead_or_refused_pod_gone() {
    let Scene { store, frontend, mesh: _mesh } = store();
    drop(store);
    let answer = frontend.curl("http://store:8080/");
    assert!(answer.status == 503 || answer.status == 504, "{answer:?}");
    frontend.expect_log(&[
        ("direction", "outbound"),
        ("kind", "request"),
        ("status", &answer.status.to_string()),
    ]);
}

/// The pod's link is cut while a request is under way: no FIN, no RST, nothing.
#[test]
fn f15_upstream_half_open_is_noticed() {
    let scene = store();
    let (arrived, has_arrived) = std::sync::mpsc::channel();
    scene.store.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            arrived.send(()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let url = "http://store:8080/";
    let call = ["-sS", "-i", "-4", "--max-time", "60", url];
    let mut curl = scene.frontend.start_program("curl", Path::new("curl"), &call);
    has_arrived.recv_timeout(wait::PATIENCE).unwrap();
    scene.store.command("ip", &["link", "set", "eth0", "down"]).ok();
    let cut = Instant::now();
    curl.wait(Duration::from_secs(40));
    let took = cut.elapsed();
    assert!(took <= Duration::from_secs(30), "noticed after {took:?}");
    let answer = curl.stdout();
    assert!(["502", "503", "504"].iter().any(|code| answer.contains(code)), "{answer}");
    scene.frontend.expect_log(&[("kind", "request"), ("direction", "outbound")]);
}

#[test]
fn a_host_with_another_port_is_another_destination() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    // Nobody listens on the second port.
    let store = mesh.pod("store").port(8080, "http").port(8081, "http");
    let store = store.app(App::new("shop-cart")).start();
    store.wait_for_app(8080);
    // An address that is no service's, so that the host alone says where to.
    let nowhere = mesh.pod("nowhere").outside().start();
    let frontend = mesh.pod("frontend").start();
    let address = nowhere.at(80);
    let heard = frontend.run(async move {
        let ask = |port: u16, connection: &str| {
            let host = format!("store.shop.svc.cluster.local:{port}");
            format!("GET /headers HTTP/1.1\r\nhost: {host}\r\nconnection: {connection}\r\n\r\n")
        };
        let both = ask(8080, "keep-alive") + &ask(8081, "close");
        raw::say(address, both.as_bytes()).await
    });
    let text = heard.text();
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "503"], "{text}");
}

#[test]
fn f14_upstream_resets_mid_body_with_a_length() {
    expect_abort(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf of it", "--http1.1");
}

#[test]
fn f14_upstream_resets_mid_body_chunked() {
    expect_abort(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhalf of it\r\n",
        "--http1.1",
    );
}

#[test]
fn f14_upstream_resets_mid_body_over_http2() {
    let scene = store_that_speaks("http2");
    let (reset, told) = oneshot::channel::<()>();
    scene.store.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        let answer = |told| async move {
            Ok::<_, Infallible>(http::Response::new(HalfThenBreak::Half(told)))
        };
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let told = std::sync::Mutex::new(Some(told));
            let service = service_fn(move |_| answer(told.lock().unwrap().take().unwrap()));
            let serving = http2::Builder::new(TokioExecutor::new());
            let _ = serving.serve_connection(TokioIo::new(stream), service).await;
        });
    });
    let arguments = [
        "-sS",
        "-i",
        "-N",
        "-4",
        "--max-time",
        "20",
        "--http2-prior-knowledge",
        "http://store:8080/",
    ];
    expect_curl_to_fail(&scene, reset, &arguments);
}

/// A body that breaks in the middle when told to.
enum HalfThenBreak {
    Half(oneshot::Receiver<()>),
    Break(oneshot::Receiver<()>),
}

impl http_body::Body for HalfThenBreak {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        match &mut *self {
            Self::Half(told) => {
                let told = std::mem::replace(told, oneshot::channel().1);
                *self = Self::Break(told);
                Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"half of it")))))
            }
            Self::Break(told) => Pin::new(told)
                .poll(context)
                .map(|_| Some(Err(std::io::Error::other("the app broke")))),
        }
    }
}

#[test]
fn p03_policy_change_latency_an_open_answer_is_cut() {
    expect_policy_to_cut(&[]);
}

#[test]
fn p03_policy_change_latency_an_answer_instead_of_an_upgrade_is_cut() {
    expect_policy_to_cut(&["-H", "Connection: Upgrade", "-H", "Upgrade: websocket"]);
}

#[test]
fn p03_policy_change_latency_an_answer_that_never_rests_is_cut() {
    let scene = store();
    let (flow, flowing) = std::sync::mpsc::channel();
    scene.store.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n".to_vec();
            while stream.write_all(&bytes).await.is_ok() {
                bytes.resize(64 * 1024, b'.');
                let _ = flow.send(());
            }
        });
    });
    let arguments = ["-sS", "-4", "--max-time", "20", "-o", "/dev/null", "http://store:8080/"];
    let mut curl = scene.frontend.start_program("curl", Path::new("curl"), &arguments);
    for _ in 0..100 {
        flowing.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    allow_another_path_only(&scene);
    let code = curl.exit_code(Duration::from_secs(5));
    assert!(code != 0 && code != 28, "curl ended with {code}: {}", curl.stderr());
    scene.store.expect_log(&[("kind", "request"), ("status", "200"), ("reason", "policy_changed")]);
}

/// So the connection lives and only the request goes.
fn allow_another_path_only(scene: &Scene) {
    let only = r#""rules":[{"to":[{"operation":{"paths":["/other"]}}],"#;
    let other = allow("store", "frontend").replace(r#""rules":[{"#, only);
    scene.mesh.policy("store", &other);
}

/// An answer of which half has come, to a request with these fields, when its path is allowed no more.
#[track_caller]
fn expect_policy_to_cut(fields: &[&str]) {
    let scene = store();
    let half = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhalf of it\r\n";
    let _open = answer_then_reset(&scene.store, half);
    let arguments =
        [&["-sS", "-N", "-4", "--max-time", "20", "http://store:8080/"], fields].concat();
    let mut curl = scene.frontend.start_program("curl", Path::new("curl"), &arguments);
    wait::until_true("the first half to arrive", || curl.stdout().contains("half of it"));
    allow_another_path_only(&scene);
    let code = curl.exit_code(Duration::from_secs(5));
    assert!(code != 0 && code != 28, "curl ended with {code}: {}{}", curl.stdout(), curl.stderr());
    scene.store.expect_log(&[("kind", "request"), ("status", "200"), ("reason", "policy_changed")]);
}

#[test]
fn p08_an_opaque_stream_outlives_the_deadline_of_request_heads() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let limits = serde_json::json!({"limits": {"headerTimeout": "500ms"}});
    let store = mesh.pod("store").port(8080, "tcp").config(limits).start();
    let frontend = mesh.pod("frontend").start();
    store.run(async {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (mut read, mut write) = stream.into_split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        });
    });
    let address = store.at(8080);
    let echoed = frontend.run(async move {
        let mut line = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut heard = Vec::new();
        for beat in 0..8u8 {
            line.write_all(&[beat]).await.unwrap();
            heard.push(line.read_u8().await.unwrap());
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        heard
    });
    assert_eq!(echoed, [0, 1, 2, 3, 4, 5, 6, 7]);
}
