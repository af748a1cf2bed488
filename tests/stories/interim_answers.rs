//! Interim answers, and clients that wait for them or know none: what the app says is what the caller hears.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use postern_tests::http2_frames::{self as h2, Kind};
use postern_tests::raw::{self, End};
use postern_tests::{Mesh, Pod, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::scene::allow;

struct Scene {
    store: Pod,
    frontend: Pod,
    mesh: Mesh,
}

/// A store whose app does this with each of its connections, once a request head has come.
fn scene<F, A>(app: A) -> Scene
where
    F: Future<Output = ()> + Send + 'static,
    A: Fn(TcpStream) -> F + Send + 'static,
{
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = mesh.pod("store").port(8080, "auto").start();
    let frontend = mesh.pod("frontend").start();
    store.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(app(stream));
            }
        });
    });
    Scene { store, frontend, mesh }
}

/// Reads until this has come.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut heard = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&heard).ends_with(end) {
            match stream.read_u8().await {
                Ok(byte) => heard.push(byte),
                Err(_) => break,
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(10), reading).await;
    String::from_utf8_lossy(&heard).into_owned()
}

const HINT: &[u8] =
    b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\nx-postern-reason: a\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

#[test]
fn early_hints_reach_the_caller() {
    let scene = scene(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let _ = stream.write_all(HINT).await;
        let _ = stream.write_all(ANSWER).await;
    });
    let address = scene.store.at(8080);
    let get =
        |version: &str| format!("GET / HTTP/{version}\r\nhost: store\r\nconnection: close\r\n\r\n");
    let (new, old) = (get("1.1"), get("1.0"));
    let text = scene.frontend.run(async move { raw::say(address, new.as_bytes()).await.text() });
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(text.starts_with(hint) && text.ends_with("ok"), "{text}");
    let text = scene.frontend.run(async move { raw::say(address, old.as_bytes()).await.text() });
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "HTTP/1.0 knows none: {text}");
}

#[test]
fn early_hints_reach_the_caller_over_http2() {
    let scene = scene(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        // :status 103 and x: y, then :status 200.
        let hint = h2::frame(Kind::Headers, h2::END_HEADERS, 1, b"\x08\x03103\x00\x01x\x01y");
        let head = h2::frame(Kind::Headers, h2::END_HEADERS, 1, &[0x88]);
        let data = h2::frame(Kind::Data, h2::END_STREAM, 1, b"ok");
        let says = [h2::settings(&[]), h2::settings_ack(), hint, head, data].concat();
        let _ = stream.write_all(&says).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    let call =
        ["-sS", "-i", "-4", "--max-time", "10", "--http2-prior-knowledge", "http://store:8080/"];
    let heard = scene.frontend.command("curl", &call).stdout;
    let (hint, answer) = heard.split_once("\r\n\r\n").unwrap_or_default();
    assert!(hint.starts_with("HTTP/2 103") && hint.contains("x: y"), "{heard}");
    assert!(answer.starts_with("HTTP/2 200") && answer.ends_with("ok"), "{heard}");
}

const POST: &str =
    "POST / HTTP/1.1\r\nhost: store\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";

/// Sends the head, and the body when it is asked for.
async fn post(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(POST.as_bytes()).await.unwrap();
    let mut heard = read_until(&mut stream, "\r\n\r\n").await;
    if heard.starts_with("HTTP/1.1 100 ") {
        stream.write_all(b"hello").await.unwrap();
        heard += &read_until(&mut stream, "\r\n\r\n").await;
    }
    heard
}

#[test]
fn a_body_is_sent_when_the_app_asks_for_it() {
    let scene = scene(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.contains("expect: 100-continue"), "{head}");
        let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\nx-app: its word\r\n\r\n").await;
        let body = read_until(&mut stream, "hello").await;
        assert_eq!(body, "hello");
        let _ = stream.write_all(ANSWER).await;
    });
    let address = scene.store.at(8080);
    let heard = scene.frontend.run(post(address));
    let expect = "HTTP/1.1 100 Continue\r\nx-app: its word\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(heard.starts_with(expect), "{heard}");
    let reports = scene.mesh.pod("reports").start();
    let heard = reports.run(post(address));
    assert!(heard.starts_with("HTTP/1.1 403 "), "policy speaks before anybody asks: {heard}");
    assert!(heard.contains("connection: close\r\n"), "{heard}");
}

#[test]
fn a_body_that_the_app_does_not_want_is_not_asked_for() {
    let scene = scene(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let answer = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.write_all(answer).await;
        // It stays, as if it waited for the next request.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    let address = scene.store.at(8080);
    let said = scene.frontend.run(async move { raw::say(address, POST.as_bytes()).await });
    let text = said.text();
    assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("connection: close\r\n"), "{text}");
    assert_eq!(said.end, End::Closed);
    let outside = scene.mesh.pod("outside").outside().start();
    let svid = scene.mesh.test_authority().workload("shop", "frontend");
    let config = tls::client(Some(&svid), &["http/1.1"]);
    let begun = Instant::now();
    let text =
        outside.run(async move { tls::say(config, address, POST.as_bytes()).await.unwrap() });
    assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("connection: close\r\n"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(10), "the end took {:?}", begun.elapsed());
}

#[test]
fn a_client_of_http10_is_kept_or_ended() {
    let scene = scene(|mut stream| async move {
        loop {
            let head = read_until(&mut stream, "\r\n\r\n").await;
            let (answer, ends) = match head.split(' ').nth(1) {
                Some("/") => ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false),
                Some("/endless") => ("HTTP/1.1 200 OK\r\n\r\nuntil the end", true),
                _ => break,
            };
            let _ = stream.write_all(answer.as_bytes()).await;
            if ends {
                break;
            }
        }
    });
    let address = scene.store.at(8080);
    let (kept, ended, endless) = scene.frontend.run(async move {
        let keep = b"GET / HTTP/1.0\r\nhost: store\r\nconnection: keep-alive\r\n\r\n";
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut kept = Vec::new();
        for _ in 0..2 {
            stream.write_all(keep).await.unwrap();
            kept.push(read_until(&mut stream, "\r\n\r\n").await);
        }
        let ended = raw::say(address, b"GET / HTTP/1.0\r\nhost: store\r\n\r\n").await;
        let endless = String::from_utf8_lossy(keep).replace("GET /", "GET /endless");
        (kept, ended, raw::say(address, endless.as_bytes()).await)
    });
    for answer in kept {
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        assert!(answer.contains("connection: keep-alive\r\n"), "{answer}");
    }
    assert!(ended.text().starts_with("HTTP/1.0 200 OK\r\n"), "{ended:?}");
    assert_eq!(ended.end, End::Closed);
    let text = endless.text();
    assert!(text.ends_with("\r\n\r\nuntil the end") && !text.contains("keep-alive"), "{text}");
    assert_eq!(endless.end, End::Closed, "an answer without a length ends with its connection");
}

#[test]
fn a_refusal_of_what_is_no_request_says_why() {
    let scene = scene(|_| async {});
    let address = scene.store.at(8080);
    for (request, reason) in [
        ("GET / HTTP/1.1\r\nhost : store\r\n\r\n", "malformed_request"),
        ("GET / HTTP/1.1\r\nhost: store\nx: y\r\n\r\n", "bare_line_feed"),
        (
            "POST / HTTP/1.1\r\nhost: store\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
            "ambiguous_framing",
        ),
    ] {
        let text =
            scene.frontend.run(async move { raw::say(address, request.as_bytes()).await.text() });
        let field = format!("\r\nx-postern-reason: {reason}\r\n");
        assert!(text.starts_with("HTTP/1.1 400 ") && text.contains(&field), "{request:?}: {text}");
    }
}
