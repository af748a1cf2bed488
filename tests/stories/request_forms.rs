//! Requests in every form that HTTP lets a caller write them, as the app gets them: through both proxies, and from a peer
//! that speaks to the app's proxy itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_tests::http2_frames::{self as h2, Kind};
use postern_tests::{Mesh, Pod, raw, tls};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::scene::allow;

/// A store whose app is the test's, the front end that may call it, and somebody outside with the front end's certificate.
struct Scene {
    store: Pod,
    frontend: Pod,
    outside: Pod,
    seen: Arc<Mutex<Vec<String>>>,
    mesh: Mesh,
}

/// The ways to the app.
const WAYS: [Way; 4] = [
    Way { name: "HTTP/1.1 through both proxies", both: true, http2: false },
    Way { name: "HTTP/2 through both proxies", both: true, http2: true },
    Way { name: "HTTP/1.1 of a peer", both: false, http2: false },
    Way { name: "HTTP/2 of a peer", both: false, http2: true },
];

struct Way {
    name: &'static str,
    both: bool,
    http2: bool,
}

/// Every request has one more field, by which its end is found, and this body.
struct Ask<'a> {
    method: &'a str,
    fields: &'a [(&'a str, &'a str)],
    body: Option<&'a str>,
}

const GET: Ask<'static> = Ask { method: "GET", fields: &[], body: None };

impl Scene {
    fn start(protocol: &str) -> Self {
        Self::start_with(protocol, &json!({}))
    }

    /// With these keys laid over both proxies' configuration.
    fn start_with(protocol: &str, config: &serde_json::Value) -> Self {
        let mesh = Mesh::start();
        mesh.policy("store", &allow("store", "frontend"));
        let store = mesh.pod("store").port(8080, protocol).config(config.clone()).start();
        let frontend = mesh.pod("frontend").config(config.clone()).start();
        let outside = mesh.pod("outside").outside().start();
        let seen = app(&store);
        Self { store, frontend, outside, seen, mesh }
    }

    /// Sends it, and gives back the status, the answer as text, and the request as the app read it (nothing, if it did not).
    fn ask(&self, way: &Way, ask: &Ask<'_>) -> (String, String) {
        self.seen.lock().unwrap().clear();
        let bytes = if way.http2 { ask.http2() } else { ask.http1() };
        let (address, http2) = (self.store.at(8080), way.http2);
        let answer = if way.both {
            self.frontend.run(async move {
                converse(TcpStream::connect(address).await.unwrap(), bytes, http2).await
            })
        } else {
            let svid = self.mesh.test_authority().workload("shop", "frontend");
            let config = tls::client(Some(&svid), &[if http2 { "h2" } else { "http/1.1" }]);
            self.outside.run(async move {
                converse(tls::connect(config, address).await.unwrap(), bytes, http2).await
            })
        };
        let seen = self.seen.lock().unwrap().join("\n---\n");
        (answer, seen)
    }
}

impl Ask<'_> {
    fn http1(&self) -> Vec<u8> {
        let mut text =
            format!("{} / HTTP/1.1\r\nhost: store\r\nconnection: close\r\n", self.method);
        for (name, value) in self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        match self.body {
            None => text += "\r\n",
            Some(body) => {
                text += &format!(
                    "transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                );
            }
        }
        text.into_bytes()
    }

    /// The same, without a `content-length`.
    fn http2(&self) -> Vec<u8> {
        let fields = [(":method", self.method), (":scheme", "http"), (":path", "/")];
        let fields = fields.iter().chain(&[(":authority", "store")]).chain(self.fields);
        let block = fields.flat_map(|(name, value)| literal(name, value)).collect::<Vec<_>>();
        let end = if self.body.is_none() { h2::END_STREAM } else { 0 };
        let head = h2::frame(Kind::Headers, h2::END_HEADERS | end, 1, &block);
        let body = self.body.map(|body| h2::frame(Kind::Data, h2::END_STREAM, 1, body.as_bytes()));
        [h2::PREFACE, &h2::settings(&[]), &head, &body.unwrap_or_default()].concat()
    }
}

/// A field with its name as it is (RFC 7541 §6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let sized = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [&[0][..], &sized(name), &sized(value)].concat()
}

/// Sends this and reads the answer: HTTP/1.1 to its end, HTTP/2 up to the end of its stream.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    bytes: Vec<u8>,
    http2: bool,
) -> String {
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = async {
        if !http2 {
            let _ = stream.read_to_end(&mut answer).await;
            return;
        }
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            let (kind, ends) = (head[3], head[4] & h2::END_STREAM != 0);
            if kind == Kind::Headers as u8 || kind == Kind::Data as u8 {
                answer.extend(payload);
                if ends {
                    return;
                }
            }
            assert!(kind != Kind::GoAway as u8 && kind != Kind::ResetStream as u8, "{kind}");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// An app that speaks HTTP/1.1 alone, one request a connection, and remembers the bytes of each.
fn app(pod: &Pod) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let requests = Arc::clone(&requests);
                tokio::spawn(async move {
                    let Some(request) = read_request(&mut stream).await else { return };
                    requests.lock().unwrap().push(request);
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
                    let _ = stream.write_all(answer).await;
                });
            }
        });
    });
    seen
}

/// Reads a head, and chunks where it announces them.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut end: &[u8] = b"\r\n\r\n";
    loop {
        while !read.ends_with(end) {
            read.push(stream.read_u8().await.ok()?);
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        if end.starts_with(b"0") || !text.contains("transfer-encoding: chunked\r\n") {
            return Some(text);
        }
        end = b"0\r\n\r\n";
    }
}

#[test]
fn a_body_without_a_length_reaches_the_app_with_every_method() {
    let scene = Scene::start("http");
    for way in &WAYS {
        for method in ["GET", "HEAD", "DELETE", "OPTIONS", "POST"] {
            let (answer, seen) = scene.ask(way, &Ask { method, body: Some("hello"), ..GET });
            assert!(
                seen.starts_with(&format!("{method} / HTTP/1.1\r\n")),
                "{}: {answer}",
                way.name
            );
            assert!(seen.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{}: {seen}", way.name);
            assert!(!seen.contains("\n---\n"), "{}: more than one request: {seen}", way.name);
        }
        let (_, seen) = scene.ask(way, &GET);
        assert!(!seen.contains("transfer-encoding"), "{}: no body: {seen}", way.name);
    }
}

#[test]
fn an_app_on_a_port_declared_http_is_spoken_http1() {
    let scene = Scene::start("http");
    let fields = &[("cookie", "a=b"), ("cookie", "c=d"), ("te", "trailers")];
    for way in WAYS.iter().filter(|way| way.http2) {
        let (answer, seen) = scene.ask(way, &Ask { fields, ..GET });
        assert!(answer.ends_with("hi"), "{}: {answer}", way.name);
        assert!(seen.starts_with("GET / HTTP/1.1\r\n"), "{}: {seen}", way.name);
        for line in ["host: store", "cookie: a=b; c=d", "te: trailers", "connection: te"] {
            assert_eq!(seen.matches(&format!("\r\n{line}\r\n")).count(), 1, "{}: {seen}", way.name);
        }
        let grpc = &[("content-type", "application/grpc"), ("te", "trailers")];
        let (answer, seen) = scene.ask(way, &Ask { method: "POST", fields: grpc, body: Some("") });
        assert_eq!(seen, "", "{}: gRPC needs HTTP/2: {answer}", way.name);
        let web = &[("content-type", "application/grpc-web+proto")];
        let (_, seen) = scene.ask(way, &Ask { method: "POST", fields: web, body: Some("x") });
        assert!(seen.starts_with("POST / HTTP/1.1\r\n"), "{}: gRPC-Web: {seen}", way.name);
    }
    scene.store.expect_log(&[
        ("kind", "request"),
        ("status", "501"),
        ("reason", "grpc_needs_http2"),
    ]);
}

#[test]
fn s15_header_conditions_underscores_reach_the_app() {
    let scene = Scene::start("http");
    for way in &WAYS {
        let (_, seen) =
            scene.ask(way, &Ask { fields: &[("api_key", "1"), ("x_user", "a")], ..GET });
        for line in ["api_key: 1", "x_user: a"] {
            assert_eq!(seen.matches(&format!("\r\n{line}\r\n")).count(), 1, "{}: {seen}", way.name);
        }
        for name in ["x_forwarded_client_cert", "x_forwarded_for", "x_postern_version"] {
            let (answer, seen) = scene.ask(way, &Ask { fields: &[(name, "x")], ..GET });
            assert_eq!(seen, "", "{}: {name}: {answer}", way.name);
        }
    }
    let refused = [("status", "400"), ("reason", "underscore_in_header_name")];
    scene
        .store
        .expect_log(&[&[("kind", "request"), ("direction", "inbound")], &refused[..]].concat());
    scene
        .frontend
        .expect_log(&[&[("kind", "request"), ("direction", "outbound")], &refused[..]].concat());
}

#[test]
fn headers_with_underscores_are_dropped_where_that_is_set_and_counted() {
    let scene = Scene::start_with("http", &json!({"headersWithUnderscores": "drop"}));
    for way in &WAYS {
        let (_, seen) =
            scene.ask(way, &Ask { fields: &[("api_key", "1"), ("api-key", "2")], ..GET });
        assert!(seen.contains("\r\napi-key: 2\r\n"), "{}: {seen}", way.name);
        assert!(!seen.contains("api_key"), "{}: {seen}", way.name);
    }
    for (pod, direction) in [(&scene.frontend, "outbound"), (&scene.store, "inbound")] {
        let count = pod.metrics().sum("postern_headers_dropped_total", &[("direction", direction)]);
        assert_eq!(count, 2.0, "{direction}");
        pod.expect_log(&[("kind", "request"), ("direction", direction), ("headers_dropped", "1")]);
    }
}

/// An app of HTTP/1.0 that keeps connections: the library would speak HTTP/1.0 on them, which has no chunks.
#[test]
fn a_body_without_a_length_reaches_an_app_that_answers_in_http10() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = mesh.pod("store").port(8080, "http").start();
    let frontend = mesh.pod("frontend").start();
    let (tell, told) = std::sync::mpsc::channel();
    store.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    while let Some(request) = read_request(&mut stream).await {
                        let _ = tell.send(request);
                        let answer =
                            b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nhi";
                        let _ = stream.write_all(answer).await;
                    }
                });
            }
        });
    });
    let address = store.at(8080);
    let post = Ask { method: "POST", body: Some("hello"), ..GET }.http1();
    for _ in 0..3 {
        let bytes = post.clone();
        let heard = frontend.run(async move { raw::say(address, &bytes).await.text() });
        assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
        let seen = told.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(seen.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{seen}");
    }
}
