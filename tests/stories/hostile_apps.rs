//! Apps that break HTTP: what they send fails their own request, and nobody else's.

use std::future::Future;
use std::time::Duration;

use postern_tests::http2_frames::{self as h2, Kind};
use postern_tests::{Mesh, Pod, raw, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::scene::allow;

/// `:status: 200`, a field of the static table.
const STATUS_200: u8 = 0x88;
/// `:status: 103`: its name from the table, its value as it is.
const STATUS_103: &[u8] = &[0x08, 3, b'1', b'0', b'3'];
/// `content-length: 5`, likewise.
const CONTENT_LENGTH_5: &[u8] = &[0x0f, 13, 1, b'5'];
/// How long one call may take: longer than the store's `responseTimeout`, shorter than every other deadline.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Runs an app that serves `/good` and is `hostile` to the rest; what it sends comes after the request.
fn app<F, H>(pod: &Pod, hostile: H)
where
    F: Future<Output = ()> + Send + 'static,
    H: Fn(TcpStream) -> F + Send + 'static,
{
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                if request[..length].starts_with(b"GET /good") {
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(answer).await;
                } else {
                    tokio::spawn(hostile(stream));
                }
            }
        });
    });
}

/// Sends this, then listens until the proxy has had enough.
async fn say(mut stream: TcpStream, bytes: Vec<u8>) {
    let _ = stream.write_all(&bytes).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// Sends this, then that for as long as anybody takes it.
async fn say_without_end(mut stream: TcpStream, begin: Vec<u8>, again: Vec<u8>) {
    let _ = stream.write_all(&begin).await;
    while stream.write_all(&again).await.is_ok() {}
}

/// The caller gets 502 (504 where the answer never begins), or sees it break; others are served; the proxy says whose fault it was.
#[track_caller]
fn fails_alone(name: &str, version: &str, begin: Vec<u8>, again: Option<Vec<u8>>) {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let limits = json!({"limits": {"responseTimeout": "2s"}});
    // Undeclared: the app is spoken the version that the caller speaks.
    let store = mesh.pod("store").port(8080, "auto").config(limits).start();
    let frontend = mesh.pod("frontend").start();
    app(&store, move |stream| {
        let (begin, again) = (begin.clone(), again.clone());
        async move {
            match again {
                Some(again) => say_without_end(stream, begin, again).await,
                None => say(stream, begin).await,
            }
        }
    });
    let limit = AT_ONCE.as_secs().to_string();
    let call = ["--max-time", &limit, version, "http://store:8080/bad"];
    let answer = frontend.curl_with(&call);
    let broken = answer.exit != 0 && answer.exit != 28;
    assert!(broken || [502, 504].contains(&answer.status), "{name}: {answer:?}");
    store.expect_log(&[("kind", "request"), ("path", "/bad"), ("direction", "inbound")]);
    frontend.curl("http://store:8080/good").expect(200);
    for pod in [&store, &frontend] {
        assert_eq!(pod.metrics().sum("postern_panics_total", &[]), 0.0, "{name}");
    }
    let held = store.with_proxy(|proxy| proxy.resident_kib());
    assert!(held < 100 << 10, "{name}: {held} KiB");
}

/// Its name, what the app says first, and what it says again and again after that.
type Case = (&'static str, Vec<u8>, Option<Vec<u8>>);

/// SETTINGS, then these frames.
fn frames(frames: &[Vec<u8>]) -> Vec<u8> {
    [h2::settings(&[]), frames.concat()].concat()
}

#[test]
fn s04_hostile_upstream_http2() {
    let head = |flags, block: &[u8]| h2::frame(Kind::Headers, flags, 1, block);
    let go_away = h2::frame(Kind::GoAway, 0, 0, &[0; 8]);
    let no_streams = h2::settings(&[(h2::MAX_CONCURRENT_STREAMS, 0)]);
    let promise = [&2u32.to_be_bytes()[..], &[0x82, 0x86, 0x84]].concat();
    let answer = head(h2::END_HEADERS, &[STATUS_200]);
    let cases: [Case; 6] = [
        ("gone, and no room for streams", frames(&[go_away, no_streams]), None),
        (
            "a promise that nobody asked for",
            frames(&[h2::frame(Kind::PushPromise, h2::END_HEADERS, 1, &promise)]),
            None,
        ),
        ("frames of one byte at most", h2::settings(&[(5, 1)]), None),
        (
            "less than its length",
            frames(&[
                head(h2::END_HEADERS, &[&[STATUS_200], CONTENT_LENGTH_5].concat()),
                h2::frame(Kind::Data, h2::END_STREAM, 1, b"abc"),
            ]),
            None,
        ),
        ("reset in the middle", frames(&[answer, h2::reset(1, h2::CANCEL)]), None),
        (
            "a head without end",
            frames(&[head(0, &[STATUS_200])]),
            Some(h2::frame(Kind::Continuation, 0, 1, &[0x0f, 13, 1, b'5'].repeat(4000))),
        ),
    ];
    for (name, begin, again) in cases {
        fails_alone(name, "--http2-prior-knowledge", begin, again);
    }
}

#[test]
fn s04_hostile_upstream_interim_answers_without_end() {
    let interim = h2::frame(Kind::Headers, h2::END_HEADERS, 1, STATUS_103);
    fails_alone("HTTP/2", "--http2-prior-knowledge", frames(&[]), Some(interim));
    let interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_vec();
    fails_alone("HTTP/1.1", "--http1.1", interim.clone(), Some(interim));
}

#[test]
fn s04_hostile_upstream_http1() {
    let giant = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(10 << 20));
    let cases: [(&str, &str); 6] = [
        ("no HTTP", "hello\r\n\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        ("a length below nothing", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
        ("a name with a space", "HTTP/1.1 200 OK\r\nx y: z\r\ncontent-length: 0\r\n\r\n"),
        ("a bad chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        ("a head of ten megabytes", &giant),
    ];
    for (name, answer) in cases {
        fails_alone(name, "--http1.1", answer.as_bytes().to_vec(), None);
    }
}

/// Bytes sent before the upgrade is granted are never a request of their own, and never answered as one.
#[test]
fn s08_upgrade_and_connect_early_bytes_are_no_request() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = mesh.pod("store").port(8080, "http").start();
    let frontend = mesh.pod("frontend").start();
    let (tell, seen) = std::sync::mpsc::channel();
    store.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut bytes = vec![0; 4096];
                    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                        let _ = tell.send(String::from_utf8_lossy(&bytes[..length]).into_owned());
                        // No upgrade here: an ordinary answer.
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno";
                        let _ = stream.write_all(answer).await;
                    }
                });
            }
        });
    });
    let address = store.at(8080);
    let hidden = "GET /admin HTTP/1.1\r\nhost: store\r\n\r\n";
    let upgrade =
        "GET /chat HTTP/1.1\r\nhost: store\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let heard = frontend.run(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{upgrade}{hidden}").as_bytes()).await.unwrap();
        raw::hear(&mut stream, Duration::from_secs(2)).await
    });
    let answers = heard.text().matches("HTTP/1.1 ").count();
    let seen: Vec<String> = seen.try_iter().collect();
    // Whatever comes of the second request, it was judged as one: the app never sees it glued to the first.
    for bytes in &seen {
        let requests = bytes.matches(" HTTP/1.1\r\n").count();
        assert_eq!(requests, 1, "the app was sent {bytes:?}");
    }
    assert!(answers <= seen.len().max(1), "{answers} answers to {seen:?}");
    wait::until_true("every request at the app to have been judged", || {
        let judged = store.log().into_iter().filter(|line| line.has(&[("decision", "allow")]));
        judged.count() >= seen.len()
    });
}
