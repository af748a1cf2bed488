//! Apps whose answers could be read in two ways: the caller gets none of it but the reason, and the app is
//! asked once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use postern_tests::http2_frames::{self as h2, Kind};
use postern_tests::{Answer, Mesh, Pod};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::scene::allow;

/// An app that says what it is told to, once a connection, and its caller.
struct Scene {
    store: Pod,
    frontend: Pod,
    says: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
    _mesh: Mesh,
}

fn scene() -> Scene {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    // It is spoken to as its caller spoke.
    let store = mesh.pod("store").port(8080, "auto").start();
    let frontend = mesh.pod("frontend").start();
    let (says, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (saying, count) = (says.clone(), asked.clone());
    store.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                count.fetch_add(1, Ordering::Relaxed);
                let answer = saying.lock().unwrap().clone();
                tokio::spawn(async move {
                    let _ = stream.write_all(&answer).await;
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                });
            }
        });
    });
    Scene { store, frontend, says, asked, _mesh: mesh }
}

impl Scene {
    /// What the caller gets when the app says this, to a request that it is asked once.
    #[track_caller]
    fn call(&self, name: &str, version: &str, says: &[u8]) -> Answer {
        *self.says.lock().unwrap() = says.to_vec();
        let before = self.asked.load(Ordering::Relaxed);
        let call = ["--max-time", "10", version, "http://store:8080/"];
        let answer = self.frontend.curl_with(&call);
        let asked = self.asked.load(Ordering::Relaxed) - before;
        assert_eq!(asked, 1, "{name}: the app was asked {asked} times: {answer:?}");
        answer
    }
}

const HTTP1: &str = "--http1.1";
const HTTP2: &str = "--http2-prior-knowledge";
const BAD: &str = "bad_response";
const LARGE: &str = "response_headers_too_large";

#[test]
fn s10_header_syntax_of_answers_end_to_end() {
    let scene = scene();
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{fields}\r\n\r\n");
    for (name, says, reason) in [
        ("a bare LF", head("x: a\nset-cookie: session=mine\r\ncontent-length: 0"), BAD),
        ("gzip", head("transfer-encoding: gzip"), BAD),
        ("gzip, chunked", head("transfer-encoding: gzip, chunked"), BAD),
        ("chunked, chunked", head("transfer-encoding: chunked, chunked"), BAD),
        ("xchunked", head("transfer-encoding: xchunked"), BAD),
        ("a length and chunks", head("content-length: 5\r\ntransfer-encoding: chunked"), BAD),
        ("the same length twice", head("content-length: 0\r\ncontent-length: 0"), BAD),
        ("a folded line", head("x: a\r\n b: c\r\ncontent-length: 0"), BAD),
        ("a switch", "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: a\r\n\r\n".into(), BAD),
        ("status 999", "HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n".into(), BAD),
        ("200 fields", head(&"x: y\r\n".repeat(200)), LARGE),
        ("90 kB", head(&format!("x: {}", "y".repeat(90_000))), LARGE),
    ] {
        scene.call(name, HTTP1, says.as_bytes()).expect_refusal(502, reason);
    }
    // Begun and broken at once: whatever the caller has of it, it is told so, and nobody asks again.
    for (name, body) in [
        ("a chunk that is none", "zz\r\n"),
        ("a size below nothing", "-2\r\nhi\r\n0\r\n\r\n"),
        ("a bare LF ends the last", "2\r\nhi\r\n0\r\n\n"),
    ] {
        let says = [head("transfer-encoding: chunked").as_str(), body].concat();
        let answer = scene.call(name, HTTP1, says.as_bytes());
        assert!(answer.status == 502 || answer.exit != 0, "{name}: {answer:?}");
    }
    let fields = "x: y\r\n".repeat(120) + "content-length: 0";
    let fine = scene.call("122 fields", HTTP1, head(&fields).as_bytes()).expect(200);
    assert_eq!(fine.headers.iter().filter(|(name, _)| name == "x").count(), 120);
    let labels = [("direction", "inbound"), ("response_code", "502"), ("reason", BAD)];
    scene.store.expect_metric("postern_requests_total", &labels);
    let line = scene.store.expect_log(&[("kind", "request"), ("reason", BAD)]);
    assert!(line.0["error"].as_str().is_some_and(|e| e.contains("the app")), "{}", line.0);
}

/// SETTINGS, a head of this block, and the end of the connection.
fn http2(block: &[u8], content: &[u8]) -> Vec<u8> {
    let head = h2::frame(Kind::Headers, h2::END_HEADERS, 1, block);
    let data = h2::frame(Kind::Data, h2::END_STREAM, 1, content);
    [h2::settings(&[]), h2::settings_ack(), head, data, go_away()].concat()
}

/// The connection takes no more than this one request.
fn go_away() -> Vec<u8> {
    h2::frame(Kind::GoAway, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])
}

/// A field that is in no table, its value as it is (RFC 7541 §6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

#[test]
fn s10_header_syntax_of_http2_answers_end_to_end() {
    let scene = scene();
    let head = |fields: &[(&str, &str)]| {
        let fields = fields.iter().map(|(name, value)| field(name, value));
        [vec![0x88], fields.collect::<Vec<_>>().concat()].concat()
    };
    let many = (0..200).map(|_| field("x", "y")).collect::<Vec<_>>().concat();
    let large = (0..400).map(|_| field("x", &"y".repeat(120))).collect::<Vec<_>>().concat();
    for (name, block, reason) in [
        ("connection", head(&[("connection", "close")]), BAD),
        ("transfer-encoding", head(&[("transfer-encoding", "chunked")]), BAD),
        ("upgrade", head(&[("upgrade", "h2c")]), BAD),
        ("te", head(&[("te", "gzip")]), BAD),
        ("no number", head(&[("content-length", "two")]), BAD),
        ("the same length twice", head(&[("content-length", "2"), ("content-length", "2")]), BAD),
        ("a list", head(&[("content-length", "2, 2")]), BAD),
        ("LF in a value", head(&[("x", "a\nb")]), BAD),
        ("upper case", head(&[("X", "a")]), BAD),
        ("no status", field("x", "a"), BAD),
        ("status 999", [vec![8, 3], b"999".to_vec()].concat(), BAD),
        ("a switch", [vec![8, 3], b"101".to_vec()].concat(), BAD),
        ("200 fields", [vec![0x88], many].concat(), LARGE),
    ] {
        scene.call(name, HTTP2, &http2(&block, b"ok")).expect_refusal(502, reason);
    }
    let begin = h2::frame(Kind::Headers, 0, 1, &[0x88]);
    let rest = large.chunks(16_000).map(|part| h2::frame(Kind::Continuation, 0, 1, part));
    let end = h2::frame(Kind::Continuation, h2::END_HEADERS, 1, &[]);
    let rest = rest.collect::<Vec<_>>().concat();
    let says = [h2::settings(&[]), begin, rest, end, go_away()].concat();
    scene.call("60 kB of 400 fields", HTTP2, &says).expect_refusal(502, LARGE);
    let fine = head(&[("content-length", "2"), ("x", " a ")]);
    let fine = scene.call("an answer", HTTP2, &http2(&fine, b"ok")).expect(200);
    assert_eq!((fine.body.as_str(), fine.header("x")), ("ok", Some("a")));
}

#[test]
fn s16_who_speaks_for_the_client_no_app_speaks_in_our_name() {
    let scene = scene();
    let ours = [
        ("x-postern-reason", "app_unreachable"),
        ("x-postern-version", "2"),
        ("x-postern-anything", "1"),
        ("x_postern_reason", "default_deny"),
        ("x-forwarded-client-cert", "By=spiffe://cluster.local/a;URI=spiffe://cluster.local/b"),
    ];
    let fields = |lines: &[(&str, &str)]| {
        lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>()
    };
    let head = |fields: &str| {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{fields}content-length: 2\r\n\r\nok")
    };
    let (http1, http2) = (
        head(&fields(&ours)).into_bytes(),
        http2(&[vec![0x88], ours.map(|(name, value)| field(name, value)).concat()].concat(), b"ok"),
    );
    for (version, says) in [(HTTP1, http1), (HTTP2, http2)] {
        let answer = scene.call("in our name", version, &says).expect(200);
        for (name, _) in ours {
            assert_eq!(answer.header(name), None, "{version}: {answer:?}");
        }
        assert_eq!(answer.body, "ok");
    }
}
