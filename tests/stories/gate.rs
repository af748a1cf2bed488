//! Ambiguous and malformed HTTP, on the whole way: nothing of it reaches the app, on neither side of the mesh.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_tests::{Mesh, Pod, raw, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::scene::allow;

/// Requests by name, each with the status it must get. All but the last two are refused.
const REQUESTS: &[(&str, &str, u16)] = &[
    (
        "s06 length and chunked",
        "POST / HTTP/1.1\r\nhost: store\r\nconnection: close\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "s06 two codings",
        "POST / HTTP/1.1\r\nhost: store\r\nconnection: close\r\ntransfer-encoding: cow, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "s06 chunked twice",
        "POST / HTTP/1.1\r\nhost: store\r\nconnection: close\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "s06 two lengths",
        "POST / HTTP/1.1\r\nhost: store\r\nconnection: close\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        400,
    ),
    ("s07 bare line feeds", "GET / HTTP/1.1\nhost: store\n\n", 400),
    (
        "s14 two hosts",
        "GET / HTTP/1.1\r\nhost: store\r\nconnection: close\r\nhost: other\r\n\r\n",
        400,
    ),
    ("s14 no host", "GET / HTTP/1.1\r\nconnection: close\r\n\r\n", 400),
    (
        "s14 a host with a name in it",
        "GET / HTTP/1.1\r\nhost: me@store\r\nconnection: close\r\n\r\n",
        400,
    ),
    (
        "s14 two opinions on the host",
        "GET http://other/ HTTP/1.1\r\nhost: store\r\nconnection: close\r\n\r\n",
        400,
    ),
    ("s12 no slash", "GET admin HTTP/1.1\r\nhost: store\r\nconnection: close\r\n\r\n", 400),
    ("s12 NUL in the path", "GET /a%00 HTTP/1.1\r\nhost: store\r\nconnection: close\r\n\r\n", 400),
    ("s12 a bad escape", "GET /a%zz HTTP/1.1\r\nhost: store\r\nconnection: close\r\n\r\n", 400),
    ("s12 above the root", "GET /../a HTTP/1.1\r\nhost: store\r\nconnection: close\r\n\r\n", 400),
    (
        "an unknown expectation",
        "GET / HTTP/1.1\r\nhost: store\r\nconnection: close\r\nexpect: banana\r\n\r\n",
        417,
    ),
    (
        "s08 plaintext HTTP/2 upgrade is not passed on",
        "GET /h2c HTTP/1.1\r\nhost: store\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n",
        200,
    ),
    ("an ordinary request", "GET /good HTTP/1.1\r\nhost: store\r\nconnection: close\r\n\r\n", 200),
];

/// An app that notes the head of every request it sees.
fn app(pod: &Pod) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&seen);
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 8192];
                let length = stream.read(&mut head).await.unwrap_or(0);
                if length > 0 {
                    heads
                        .lock()
                        .unwrap()
                        .push(String::from_utf8_lossy(&head[..length]).into_owned());
                }
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .await;
            }
        });
    });
    seen
}

fn check_all(pod: &Pod, side: &str, ask: impl Fn(&'static str) -> String) {
    let seen = app(pod);
    let large = format!(
        "GET / HTTP/1.1\r\nhost: store\r\nconnection: close\r\nx: {}\r\n\r\n",
        "y".repeat(70_000)
    );
    let large = ("s02 a head of 70 KB", &*large.leak(), 431);
    for (name, request, expected) in REQUESTS.iter().copied().chain([large]) {
        seen.lock().unwrap().clear();
        let answer = ask(request);
        let status = answer.split(' ').nth(1).unwrap_or("nothing").to_owned();
        // A caller's proxy that sees no HTTP at all says nothing and closes.
        let closed = side == "outbound" && expected == 400 && answer.is_empty();
        assert!(closed || status == expected.to_string(), "{side}: {name}: {answer}");
        let seen = seen.lock().unwrap().clone();
        assert_eq!(
            seen.len(),
            usize::from(expected == 200),
            "{side}: {name}: the app saw {seen:?}"
        );
        assert!(
            !seen.iter().any(|head| head.contains("h2c\r\n")),
            "{side}: {name}: the app saw {seen:?}"
        );
    }
}

#[test]
fn p10_no_ambiguous_request_is_forwarded_by_the_callers_proxy() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = mesh.pod("store").port(8080, "http").start();
    let frontend = mesh.pod("frontend").start();
    let address = store.at(8080);
    check_all(&store, "outbound", |request| {
        frontend.run(async move { raw::say(address, request.as_bytes()).await.text() })
    });
}

#[test]
fn p10_no_ambiguous_request_is_forwarded_by_the_apps_proxy() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = mesh.pod("store").port(8080, "http").start();
    let outside = mesh.pod("outside").outside().start();
    let svid = mesh.test_authority().workload("shop", "frontend");
    let config = tls::client(Some(&svid), &["http/1.1"]);
    let address = store.at(8080);
    check_all(&store, "inbound", |request| {
        let config = Arc::clone(&config);
        let said = outside.run(async move { tls::say(config, address, request.as_bytes()).await });
        said.unwrap_or_else(|error| format!("{error} "))
    });
}

/// A megabyte of requests, sent as the body of one that the policy refuses: none of them is one.
#[test]
fn s09_unread_request_body_of_a_refused_caller() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = mesh.pod("store").port(8080, "http").start();
    let outside = mesh.pod("outside").outside().start();
    let seen = app(&store);
    let svid = mesh.test_authority().workload("shop", "reports");
    let config = tls::client(Some(&svid), &["http/1.1"]);
    let address = store.at(8080);
    let hidden = "GET /hidden HTTP/1.1\r\nhost: store\r\n\r\n".repeat(27_000);
    let head =
        format!("POST / HTTP/1.1\r\nhost: store\r\ncontent-length: {}\r\n\r\n", hidden.len());
    let answers = outside.run(async move {
        let mut stream = tls::connect(config, address).await.unwrap();
        // The answer and the end may come while we write.
        let _ = stream.write_all((head + &hidden).as_bytes()).await;
        let mut answers = Vec::new();
        let _ =
            tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answers)).await;
        String::from_utf8_lossy(&answers).into_owned()
    });
    // Nothing where the end overtook the answer.
    assert!(answers.is_empty() || answers.starts_with("HTTP/1.1 403"), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1").count(), usize::from(!answers.is_empty()), "{answers}");
    store.expect_log(&[("kind", "request"), ("status", "403"), ("reason", "no_matching_allow")]);
    assert_eq!(*seen.lock().unwrap(), Vec::<String>::new());
    let judged = store.log().into_iter().filter(|line| line.has(&[("kind", "request")]));
    assert_eq!(judged.count(), 1, "what was in the body was judged as a request");
}
