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

/// What an app may make of a request that expects something, for a client that does not wait with the body and for one
/// that does: [`POST`] with its body at once, and without.
#[test]
fn the_app_answers_an_expectation_as_it_likes() {
    let scene = scene(|mut stream| async move {
        loop {
            let head = read_until(&mut stream, "\r\n\r\n").await;
            if head.is_empty() {
                break;
            }
            let (asks, answer) = match head.split(' ').nth(1) {
                Some("/asks") => (true, "200 OK\r\ncontent-length: 2\r\n\r\nok"),
                Some("/reads") => (false, "200 OK\r\ncontent-length: 2\r\n\r\nok"),
                Some("/ignores") => {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    let _ = stream.write_all(answer).await;
                    break;
                }
                _ => {
                    let answer = b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n";
                    let _ = stream.write_all(answer).await;
                    break;
                }
            };
            if asks {
                let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            }
            assert_eq!(read_until(&mut stream, "hello").await, "hello");
            let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await;
        }
    });
    let address = scene.store.at(8080);
    for (path, at_once, expect) in [
        ("/asks", true, &["100", "200"][..]),
        ("/asks", false, &["100", "200"]),
        // An app that never asks reads the body of a client that did not wait.
        ("/reads", true, &["200"]),
        ("/ignores", true, &["200"]),
        ("/ignores", false, &["200"]),
        ("/fails", true, &["417"]),
        ("/fails", false, &["417"]),
    ] {
        let head = POST.replace("POST / ", &format!("POST {path} "));
        let heard = scene.frontend.run(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let first = if at_once { head + "hello" } else { head };
            stream.write_all(first.as_bytes()).await.unwrap();
            let mut heard = read_until(&mut stream, "\r\n\r\n").await;
            if heard.starts_with("HTTP/1.1 100 ") {
                if !at_once {
                    stream.write_all(b"hello").await.unwrap();
                }
                heard += &read_until(&mut stream, "\r\n\r\n").await;
            }
            heard
        });
        let statuses: Vec<_> =
            heard.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(statuses, expect, "{path}, the body at once: {at_once}: {heard}");
    }
}

/// Sends the head of a POST that expects something, nothing more, and reads what comes until its stream is done with.
async fn frames_of_an_answer(address: SocketAddr) -> Vec<String> {
    // :method POST, :scheme http and :path / are whole entries of the static table.
    let mut head = vec![0x83, 0x86, 0x84];
    for (name, value) in [(&b"\x01"[..], "store"), (b"\x00\x06expect", "100-continue")] {
        head.extend(name);
        head.push(u8::try_from(value.len()).unwrap());
        head.extend(value.as_bytes());
    }
    let head = h2::frame(Kind::Headers, h2::END_HEADERS, 1, &head);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[h2::PREFACE, &h2::settings(&[]), &head].concat()).await.unwrap();
    let mut frames = Vec::new();
    let read = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                break;
            }
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            stream.read_exact(&mut payload).await.unwrap();
            let end = if head[4] & h2::END_STREAM == 0 { "" } else { ", the end" };
            match head[3] {
                kind if kind == Kind::Headers as u8 => frames.push(format!("head{end}")),
                kind if kind == Kind::Data as u8 => {
                    frames.push(format!("{}{end}", String::from_utf8_lossy(&payload)));
                }
                kind if kind == Kind::ResetStream as u8 => {
                    frames.push(format!("reset {}", payload[3]));
                    break;
                }
                _ => {}
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
    frames
}

#[test]
fn an_expectation_over_http2_is_the_apps_too() {
    let scene = scene(|mut stream| async move {
        // An app that hears HTTP/2 says 100 in a frame: HEADERS with :status 100, then the answer.
        let mut seen = vec![0; 0];
        while !seen.ends_with(b"hello") {
            let Ok(byte) = stream.read_u8().await else { return };
            seen.push(byte);
            if seen.len() == 100 {
                let ask = h2::frame(Kind::Headers, h2::END_HEADERS, 1, b"\x08\x03100");
                let says = [h2::settings(&[]), h2::settings_ack(), ask].concat();
                let _ = stream.write_all(&says).await;
            }
        }
        let head = h2::frame(Kind::Headers, h2::END_HEADERS, 1, &[0x88]);
        let data = h2::frame(Kind::Data, h2::END_STREAM, 1, b"ok");
        let _ = stream.write_all(&[head, data].concat()).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    let options = ["-sS", "-i", "-4", "--max-time", "10", "--http2-prior-knowledge"];
    let call = [&options[..], &["-H", "expect: 100-continue", "-d", "hello", "http://store:8080/"]];
    let heard = scene.frontend.command("curl", &call.concat()).stdout;
    assert!(heard.starts_with("HTTP/2 100") && heard.contains("\r\n\r\nHTTP/2 200"), "{heard}");
    assert!(heard.ends_with("ok"), "{heard}");
    let reports = scene.mesh.pod("reports").start();
    let address = scene.store.at(8080);
    let frames = reports.run(async move { frames_of_an_answer(address).await });
    // The whole refusal, and only then that the body is not wanted, which is no error (RFC 9113 §8.1).
    assert_eq!(
        frames,
        ["head", "postern: no_matching_allow\n, the end", "reset 0"],
        "policy speaks before anybody asks"
    );
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
