//! Requests whose bodies break: the client hears what is wrong, and the app has no part in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use postern_tests::http2_frames::{self as h2, Kind};
use postern_tests::{Mesh, Pod, raw, tls, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::scene::allow;

/// An app that answers a request when it has seen the end of it, which reads `.` or is the last chunk. It counts
/// what it has seen.
fn app(pod: &Pod) -> Arc<AtomicUsize> {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_at_the_end(stream, Arc::clone(&count)));
            }
        });
    });
    seen
}

async fn answer_at_the_end(mut stream: TcpStream, seen: Arc<AtomicUsize>) {
    let (mut request, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        seen.fetch_add(1, Relaxed);
        request.extend_from_slice(&bytes[..length]);
        if request.ends_with(b".") || request.ends_with(b"0\r\n\r\n") {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    }
}

/// Bodies by name, each after a head that says so, and what the client is told. The last three are not ended.
fn bodies() -> Vec<(&'static str, String, &'static str)> {
    const CHUNKED: &str = "transfer-encoding: chunked";
    let post = |framing: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nhost: store\r\nconnection: close\r\n{framing}\r\n\r\n{body}")
    };
    let endless = format!("0\r\na: {}\r\n", "b".repeat(100_000));
    let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(300));
    const BAD: &str = "400 bad_request_body";
    vec![
        ("whole", post("content-length: 2", "a."), "200 "),
        ("whole chunks", post(CHUNKED, "2\r\nab\r\n0\r\n\r\n"), "200 "),
        ("a size that is none", post(CHUNKED, "zz\r\n"), BAD),
        ("a size below nothing", post(CHUNKED, "-2\r\n"), BAD),
        ("too many digits", post(CHUNKED, "11111111111111111\r\n"), BAD),
        ("a bare LF after the size", post(CHUNKED, "2\nab\r\n"), BAD),
        ("no line end after a chunk", post(CHUNKED, "2\r\nabX"), BAD),
        ("half a line end after it", post(CHUNKED, "2\r\nab\rX"), BAD),
        ("bad after some good ones", post(CHUNKED, "2\r\nab\r\n2\r\nab\r\nzz\r\n"), BAD),
        ("no line end after the last", post(CHUNKED, "0\r\n\rX"), BAD),
        ("a trailer without end", post(CHUNKED, &endless), BAD),
        ("too many trailers", post(CHUNKED, &many), BAD),
        ("a bare LF in a trailer", post(CHUNKED, "0\r\na: b\nc: d\r\n\r\n"), BAD),
        ("a bare LF ends the last", post(CHUNKED, "2\r\nhi\r\n0\r\n\n"), BAD),
        ("a bare LF ends the trailers", post(CHUNKED, "0\r\na: b\r\n\n"), BAD),
        ("a trailer without a name", post(CHUNKED, "0\r\n: b\r\n\r\n"), BAD),
        ("half a length", post("content-length: 10", "half"), "400 client_gone"),
        ("half a chunk", post(CHUNKED, "a\r\nhalf"), "400 client_gone"),
        ("half a size", post(CHUNKED, "2\r\nab\r\n2"), "400 client_gone"),
    ]
}

/// Status and reason of an answer.
fn told(answer: &str) -> String {
    let status = answer.split(' ').nth(1).unwrap_or("nothing");
    let reason = answer.lines().find_map(|line| line.strip_prefix("x-postern-reason: "));
    format!("{status} {}", reason.unwrap_or_default())
}

struct Scene {
    store: Pod,
    frontend: Pod,
    seen: Arc<AtomicUsize>,
    mesh: Mesh,
}

fn scene() -> Scene {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let limits = json!({"limits": {"bodyStallTimeout": "1s"}});
    let store = mesh.pod("store").port(8080, "http").config(limits.clone()).start();
    let frontend = mesh.pod("frontend").config(limits).start();
    let seen = app(&store);
    Scene { store, frontend, seen, mesh }
}

impl Scene {
    /// Nothing of it is said to be the app's or the service's doing.
    fn expect_no_stain(&self) {
        for pod in [&self.store, &self.frontend] {
            for reason in ["app_reset", "upstream_reset", "bad_response", "body_stalled"] {
                let labels = [("reason", reason)];
                let counted = pod.metrics().sum("postern_requests_total", &labels);
                assert_eq!(counted, 0.0, "{}: {reason}", pod.name());
            }
            let again = pod.metrics().sum("postern_retries_total", &[]);
            assert_eq!(again, 0.0, "{}", pod.name());
        }
    }
}

#[test]
fn a_body_that_breaks_is_the_clients_doing() {
    let scene = scene();
    let address = scene.store.at(8080);
    for (name, request, expect) in bodies() {
        let ends = expect.contains("gone");
        let said = scene.frontend.run(async move {
            match ends {
                true => raw::say_and_half_close(address, request.as_bytes()).await.text(),
                false => raw::say(address, request.as_bytes()).await.text(),
            }
        });
        assert_eq!(told(&said), expect, "{name}: {said}");
        assert!(said.contains("connection: close"), "{name}: {said}");
    }
    let half = "POST / HTTP/1.1\r\nhost: store\r\ncontent-length: 10\r\n\r\nhalf";
    let said = scene.frontend.run(async move { raw::say(address, half.as_bytes()).await.text() });
    assert_eq!(told(&said), "408 request_body_stalled", "{said}");
    let labels = [("direction", "outbound"), ("reason", "bad_request_body")];
    scene.frontend.expect_metric("postern_requests_total", &labels);
    scene.expect_no_stain();
}

#[test]
fn a_body_of_another_program_that_breaks_is_its_own_doing() {
    let scene = scene();
    let outside = scene.mesh.pod("outside").outside().start();
    let svid = scene.mesh.test_authority().workload("shop", "frontend");
    let config = tls::client(Some(&svid), &["http/1.1"]);
    let address = scene.store.at(8080);
    for (name, request, expect) in bodies().into_iter().filter(|row| !row.2.contains("gone")) {
        let config = Arc::clone(&config);
        let said = outside.run(async move { tls::say(config, address, request.as_bytes()).await });
        let said = said.unwrap_or_else(|error| format!("{error} "));
        assert_eq!(told(&said), expect, "{name}: {said}");
    }
    let labels = [("direction", "inbound"), ("reason", "bad_request_body")];
    scene.store.expect_metric("postern_requests_total", &labels);
    scene.expect_no_stain();
}

#[test]
fn a_stream_that_breaks_is_the_clients_doing() {
    let scene = scene();
    let address = scene.store.at(8080);
    // POST http://store/, with a length of 9 where there is one.
    let host = [&[0x41, 5][..], b"store"].concat();
    let post = [&[0x83, 0x86, 0x84][..], &host].concat();
    let long = [&post[..], &[0x0f, 13, 1, b'9']].concat();
    let data = |flags, bytes: &[u8]| h2::frame(Kind::Data, flags, 1, bytes);
    let rows = [
        ("less than its length", &long, data(h2::END_STREAM, b"abc")),
        ("more than its length", &long, data(0, b"abcdefghijkl")),
        ("a reset in the middle", &post, h2::reset(1, h2::CANCEL)),
        ("a reset that says that all is well", &post, h2::reset(1, 0)),
    ];
    for (row, (name, head, rest)) in rows.into_iter().enumerate() {
        let head = h2::frame(Kind::Headers, h2::END_HEADERS, 1, head);
        let begin = [h2::PREFACE, &h2::settings(&[]), &head, &data(0, b"abc")].concat();
        let before = scene.seen.load(Relaxed);
        let mut stream = scene.frontend.run(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&begin).await.unwrap();
            stream
        });
        wait::until_true("the app to see it", || scene.seen.load(Relaxed) > before);
        scene.frontend.run(async move {
            stream.write_all(&rest).await.unwrap();
            raw::hear(&mut stream, Duration::from_millis(500)).await
        });
        wait::until_true(name, || {
            let log = scene.frontend.log().into_iter();
            let ended = log.filter(|line| line.has(&[("kind", "request"), ("protocol", "h2")]));
            let ours = ended.filter(|line| {
                line.has(&[("reason", "client_gone")])
                    || line.has(&[("reason", "bad_request_body")])
            });
            ours.count() == row + 1
        });
    }
    scene.expect_no_stain();
}
