//! The gate on the wire: a hyper server set up as the gate relies on, raw bytes in, bytes out.
//! These are the HTTP/1 rows of SECURITY-CASES §4, and those hyper refuses on its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::raw::CheckedIo;
use crate::http::gate::*;

/// Answers with the request as the gate left it, or with the refusal.
async fn gate(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (mut parts, body) = request.into_parts();
    raw::show_expectation(&mut parts.headers);
    let settings = GateSettings {
        default_port: Some(80),
        dialled: Some(([10, 0, 0, 1], 8080).into()),
        normalization: PathNormalization::default(),
        head: HeadLimits::default(),
        named: None,
        underscores: UnderscorePolicy::default(),
    };
    let answer = match pass(&mut parts, &settings) {
        Ok(line) => {
            let body = body.collect().await.map(|body| body.to_bytes());
            let body = body.unwrap_or(Bytes::from_static(b"broken body"));
            Response::new(Full::from(format!("{line} [{}]", String::from_utf8_lossy(&body))))
        }
        Err(refusal) => {
            let mut answer = Response::builder()
                .status(refusal.status)
                .header("x-postern-reason", refusal.reason);
            if refusal.close && parts.version == Version::HTTP_11 {
                answer = answer.header("connection", "close");
            }
            answer.body(Full::default()).unwrap()
        }
    };
    Ok(answer)
}

fn pass(parts: &mut Parts, settings: &GateSettings<'_>) -> Result<String, GateRefusal> {
    let admitted = admit(parts, settings)?;
    let path = admitted.path()?;
    admitted.set_target(&path, parts)?;
    Ok(format!("{} {} {}", parts.method, parts.uri, admitted.host()))
}

/// The request after the one in question; it ends the connection, when it is reached.
const END: &str = "GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Sends bytes and [`END`]; everything that comes back, and the note of the check.
async fn exchange(bytes: &str) -> (String, Option<&'static str>) {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let (server, note) = CheckedIo::requests(server);
    let mut builder = hyper::server::conn::http1::Builder::new();
    configure_http1(&mut builder, HeadLimits::default());
    builder.timer(TokioTimer::new());
    let served = tokio::spawn(builder.serve_connection(TokioIo::new(server), service_fn(gate)));
    client.write_all(bytes.as_bytes()).await.unwrap();
    client.write_all(END.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = client.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .expect("the connection ends")
        .unwrap();
    let _ = served.await.unwrap();
    (String::from_utf8(answer).unwrap(), note.refused())
}

/// Status and, where there is one, reason or body of every answer on the connection.
fn answers(text: &str) -> String {
    let of_one = |answer: &str| {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').next().unwrap();
        let reason = head.lines().find_map(|line| line.strip_prefix("x-postern-reason: "));
        format!("{status} {}", reason.unwrap_or(body)).trim_end().to_owned()
    };
    text.split("HTTP/1.1 ")
        .skip(1)
        .filter(|answer| !answer.starts_with("100"))
        .map(of_one)
        .collect::<Vec<_>>()
        .join(" | ")
}

/// What becomes of the connection.
enum ConnectionOutcome {
    Closed,
    GoesOn,
}
use ConnectionOutcome::{Closed, GoesOn};

async fn check(row: &str, bytes: &str, expect: &str, then: ConnectionOutcome) {
    let (text, _) = exchange(bytes).await;
    let end = if matches!(then, GoesOn) { " | 200 GET /end a []" } else { "" };
    assert_eq!(answers(&text), format!("{expect}{end}"), "{row}");
}

fn with(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

#[tokio::test]
async fn s06_content_length_vs_transfer_encoding_wire() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: 5\r\n 6",
        "Content-Length : 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, cow",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        check(fields, &(with(fields) + "0\r\n\r\n"), "400", Closed).await;
    }
    for fields in [
        "Transfer-Encoding: cow, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: ,chunked",
    ] {
        check(fields, &(with(fields) + "0\r\n\r\n"), "400 invalid_transfer_encoding", Closed).await;
    }
    let old = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check("on 1.0", old, "400", Closed).await;
}

#[tokio::test]
async fn s06_a_good_request_before_a_bad_one_is_answered() {
    let bad = with("Content-Length: 5\r\nTransfer-Encoding: chunked");
    let good = with("Content-Length: 2") + "ok";
    check("pipelined", &(good + &bad), "200 GET / a [ok] | 400", Closed).await;
}

#[tokio::test]
async fn the_note_says_what_the_library_cannot() {
    let note = async |bytes: &str| exchange(bytes).await.1;
    let both = with("Content-Length: 5\r\nTransfer-Encoding: chunked");
    assert_eq!(note(&both).await, Some(raw::AMBIGUOUS_FRAMING));
    assert_eq!(note("GET / HTTP/1.1\nHost: a\r\n\r\n").await, Some(raw::BARE_LINE_FEED));
    assert_eq!(note(&with("A: b")).await, None);
}

#[tokio::test]
async fn s07_chunk_syntax_wire() {
    let post = |body: &str| with("Transfer-Encoding: chunked") + body;
    for (row, size) in [
        ("plain", "2"),
        ("a blank after the size", "2 "),
        ("zeros before the size", "00000000000000000002"),
        ("an extension", "2;a=b"),
    ] {
        let body = format!("{size}\r\nok\r\n0\r\n\r\n");
        check(row, &post(&body), "200 GET / a [ok]", GoesOn).await;
    }
    let extension = format!("2;{}\r\n", "a".repeat(20_000));
    for size in ["0x2\r\n", "+2\r\n", "2_\r\n", "-2\r\n", "\r\n", "2\n", &extension] {
        let body = format!("{size}ok\r\n0\r\n\r\n");
        check(size, &post(&body), "200 GET / a [broken body]", Closed).await;
    }
}

#[tokio::test]
async fn s10_header_syntax_wire() {
    for (row, bytes) in [
        ("bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
        ("bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
        ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
        ("CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
        ("an empty name", "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n"),
        ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
        ("a blank before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"),
        ("two blanks in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
        ("a blank in the path", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("< in the path", "GET /< HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        check(row, bytes, "400", Closed).await;
    }
}

#[tokio::test]
async fn what_is_documented_as_let_through() {
    let fine = "200 GET / a []";
    check("empty lines first", &format!("\r\n\r\n{}", with("X: y")), fine, GoesOn).await;
    let lower = "get / HTTP/1.1\r\nHost: a\r\n\r\n";
    check("a lower-case method", lower, "200 get / a []", GoesOn).await;
    let fragment = "GET /a#frag HTTP/1.1\r\nHost: a\r\n\r\n";
    check("a fragment", fragment, "200 GET /a a []", GoesOn).await;
    let zeros = with("Content-Length: 0002") + "ok";
    check("a length with zeros", &zeros, "200 GET / a [ok]", GoesOn).await;
    check("h2c", &with("Connection: Upgrade\r\nUpgrade: h2c"), fine, GoesOn).await;
}

#[tokio::test]
async fn s11_h1_targets_wire() {
    for (row, bytes, expect) in [
        ("no slash", "GET admin HTTP/1.1\r\nHost: a\r\n\r\n", "400 invalid_target"),
        ("*", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 invalid_target"),
        ("8-bit in the path", "GET /\u{fc} HTTP/1.1\r\nHost: a\r\n\r\n", "400 invalid_target"),
        ("another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 host_mismatch"),
        ("no Host", "GET / HTTP/1.1\r\n\r\n", "400 host_missing"),
        ("two", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 host_repeated"),
    ] {
        check(row, bytes, expect, GoesOn).await;
    }
    let connect = "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n";
    check("CONNECT without a port", connect, "400 connect_refused", Closed).await;
}

#[tokio::test]
async fn expectations_wire() {
    check("another", &with("Expect: banana"), "417 unknown_expectation", GoesOn).await;
    let known = with("Expect: 100-continue\r\nContent-Length: 2") + "ok";
    check("100-continue", &known, "200 GET / a [ok]", GoesOn).await;
}

#[tokio::test]
async fn s02_header_floods_wire() {
    let fields = |count: usize| with(&vec!["X: y"; count - 1].join("\r\n"));
    check("128 fields", &fields(128), "200 GET / a []", GoesOn).await;
    check("129 fields", &fields(129), "431 headers_too_large", GoesOn).await;
    check("1000 fields", &fields(1000), "431", Closed).await;
    let bytes = |count: usize| with(&format!("X: {}", "y".repeat(count)));
    check("65 KiB", &bytes(65 * 1024), "431 headers_too_large", GoesOn).await;
    check("100 KiB", &bytes(100 * 1024), "431", Closed).await;
    check("500 KiB", &bytes(500 * 1024), "431", Closed).await;
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(66 * 1024));
    check("a target of 66 KiB", &target, "414", Closed).await;
}

#[tokio::test]
async fn s09_unread_request_body_wire() {
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for size in [1, 100, 30_000] {
        let body = hidden.repeat(size);
        let head = with(&format!("Expect: banana\r\nContent-Length: {}", body.len()));
        let (text, _) = exchange(&(head + &body)).await;
        assert!(text.starts_with("HTTP/1.1 417"), "{text}");
        assert!(!text.contains("/hidden"), "{text}");
    }
}

#[tokio::test]
async fn s08_upgrade_bytes_are_not_looked_at() {
    let (text, note) = exchange(&(with("Connection: Upgrade\r\nUpgrade: foo") + "\n\0\n")).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert_eq!(note, None);
}

/// The same over HTTP/2, with a client that lets odd requests through.
async fn h2(request: Request<Full<Bytes>>) -> String {
    let (client, server) = tokio::io::duplex(1 << 20);
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.max_header_list_size(u32::try_from(HeadLimits::default().library_bytes()).unwrap());
    tokio::spawn(builder.serve_connection(TokioIo::new(server), service_fn(gate)));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
            .await
            .unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let reason =
        head.headers.get("x-postern-reason").map(|value| value.to_str().unwrap().to_owned());
    let text = reason.unwrap_or_else(|| String::from_utf8(body.to_vec()).unwrap());
    format!("{} {text}", head.status.as_u16()).trim_end().to_owned()
}

#[tokio::test]
async fn s11_h2_wire() {
    let check = async |uri: &str, fields: &[(&str, &str)], expect: &str| {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let found = h2(request.body(Full::default()).unwrap()).await;
        assert_eq!(found, expect, "{uri} {fields:?}");
    };
    check("http://a/x?y", &[], "200 GET /x?y a []").await;
    check("http://a/", &[("host", "b")], "400 host_mismatch").await;
    check("http://a/", &[("host", "a"), ("host", "a")], "400 host_repeated").await;
    check("http://a/", &[("host", "A")], "200 GET / a []").await;
    check("ftp://a/", &[], "400 unknown_scheme").await;
    check("http://a/", &[("x", &"y".repeat(65 * 1024))], "431 headers_too_large").await;
    check("http://a/", &[("expect", "banana")], "417 unknown_expectation").await;
}
