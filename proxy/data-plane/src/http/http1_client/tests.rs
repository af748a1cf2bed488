#![allow(clippy::unwrap_used, clippy::panic)]
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::http::gate::raw;
use crate::http::http1_client::*;

/// What becomes of an answer: its status and body, or the reason for the caller.
async fn hear(method: Method, answer: &[u8]) -> String {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let answer = answer.to_vec();
    tokio::spawn(async move {
        let _ = theirs.read(&mut [0; 4096]).await;
        theirs.write_all(&answer).await.unwrap();
        // The end comes a while after the answer, if anybody still waits for it.
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    let limits = Limits::default();
    let forever = std::future::pending();
    let mut client =
        Http1Client::open(Box::new(ours), &limits, OtherEnd::App, forever).await.unwrap();
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    match client.send(Box::new(request), AnswerOrigin::Other).await {
        Ok(response) => {
            let status = response.status().as_u16();
            let body = response.into_body().collect().await;
            let body = body.map(|b| String::from_utf8_lossy(&b.to_bytes()).into_owned());
            format!("{status} [{}]", body.unwrap_or_else(|_| "broken".into()))
        }
        Err(unanswered) => {
            let error = unanswered.into_error(OtherEnd::App);
            assert!(!error.is_unprocessed(), "{error}");
            format!("{} {}", error.status().as_u16(), error.reason())
        }
    }
}

async fn check(rows: &[(&str, &str, &str)]) {
    for (name, answer, expect) in rows {
        assert_eq!(hear(Method::GET, answer.as_bytes()).await, *expect, "{name}");
    }
}

const BAD: &str = "502 bad_response";

#[test]
fn the_one_to_correct_is_named() {
    for (who, named) in [(OtherEnd::App, "the app"), (OtherEnd::Upstream, "the upstream")] {
        for bad in [BadAnswer::Malformed("no HTTP/1.1"), BadAnswer::TooLarge] {
            let error = RequestError::bad_answer(who, bad);
            assert!(error.to_string().contains(named), "{error}");
            assert!(!error.is_unprocessed() && error.status().as_u16() == 502, "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s10_the_head_of_an_answer_is_read_as_strictly_as_a_request() {
    check(&[
        ("an answer", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "200 [ok]"),
        ("no reason phrase", "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok", "200 [ok]"),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", "200 [ok]"),
        ("a bare LF", "HTTP/1.1 200 OK\r\nx: a\nset-cookie: b\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("in the status line", "HTTP/1.1 200 OK\ncontent-length: 2\r\n\r\nok", BAD),
        ("at the end", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\nok", BAD),
        ("everywhere", "HTTP/1.1 200 OK\ncontent-length: 2\n\nok", BAD),
        ("a folded line", "HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("NUL", "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("a control byte", "HTTP/1.1 200 OK\r\nx: \u{1}\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("CR in a value", "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 2\r\n\r\nok", BAD),
        (
            "a blank before the colon",
            "HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 2\r\n\r\nok",
            BAD,
        ),
        ("an empty name", "HTTP/1.1 200 OK\r\n: a\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("no colon", "HTTP/1.1 200 OK\r\nx\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("an empty line first", "\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("HTTP/0.9", "<html>hello</html>\r\n\r\n", BAD),
        ("HTTP/1.2", "HTTP/1.2 200 OK\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("HTTP/2.0", "HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("two blanks", "HTTP/1.1  200 OK\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("a status of two digits", "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("a status of four digits", "HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("status 099", "HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("status 600", "HTTP/1.1 600 OK\r\ncontent-length: 2\r\n\r\nok", BAD),
        (
            "a switch nobody asked for",
            "HTTP/1.1 101 OK\r\nconnection: upgrade\r\nupgrade: a\r\n\r\n",
            BAD,
        ),
        ("a line end in a reason phrase", "HTTP/1.1 200 a\rb\r\ncontent-length: 2\r\n\r\nok", BAD),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn s06_an_answer_of_two_lengths_is_none() {
    check(&[
        (
            "chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "200 [ok]",
        ),
        ("until the end", "HTTP/1.1 200 OK\r\n\r\nok", "200 [ok]"),
        ("gzip", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok", BAD),
        (
            "gzip, chunked",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            BAD,
        ),
        (
            "chunked, chunked",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            BAD,
        ),
        ("xchunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n", BAD),
        (
            "a length beside chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
            BAD,
        ),
        (
            "the same length twice",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
            BAD,
        ),
        ("a list", "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok", BAD),
        ("a sign", "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok", BAD),
        (
            "chunks on HTTP/1.0",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            BAD,
        ),
        ("204 with content", "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok", BAD),
        ("204", "HTTP/1.1 204 No Content\r\n\r\n", "204 []"),
        ("304 with content", "HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\nok", "304 []"),
    ])
    .await;
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(hear(Method::HEAD, head).await, "200 []", "what follows is no content");
}

#[tokio::test(start_paused = true)]
async fn s07_chunks_of_an_answer_are_read_strictly() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (name, body) in [
        ("a bare LF after the size", "2\nok\r\n0\r\n\r\n"),
        ("no size", "\r\nok\r\n0\r\n\r\n"),
        ("hexadecimal", "0x2\r\nok\r\n0\r\n\r\n"),
        ("a sign", "+2\r\nok\r\n0\r\n\r\n"),
        ("a line that is not ended", "2\r\nokX\r\n0\r\n\r\n"),
        ("seventeen digits", "11111111111111111\r\nok\r\n0\r\n\r\n"),
        ("a bare LF in a trailer", "2\r\nok\r\n0\r\netag: a\ngrpc-status: 0\r\n\r\n"),
        ("a bare LF before a trailer", "2\r\nok\r\n0\r\n\netag: a\r\n\r\n"),
        ("NUL in a trailer", "2\r\nok\r\n0\r\netag: \0\r\n\r\n"),
    ] {
        let answer = format!("{head}{body}");
        assert_eq!(hear(Method::GET, answer.as_bytes()).await, "200 [broken]", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn s02_a_large_head_of_an_answer_has_its_own_reason() {
    let fields = |count: usize| {
        format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{}\r\n", "x: y\r\n".repeat(count - 1))
    };
    let bytes = |count: usize| {
        format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {}\r\n\r\n", "y".repeat(count))
    };
    const LARGE: &str = "502 response_headers_too_large";
    for (name, answer, expect) in [
        ("101 fields", fields(101), "200 []"),
        ("128 fields", fields(128), "200 []"),
        ("129 fields", fields(129), LARGE),
        ("1000 fields", fields(1000), LARGE),
        ("60 kB", bytes(60_000), "200 []"),
        ("66 kB", bytes(66_000), LARGE),
        ("90 kB", bytes(90_000), LARGE),
        ("500 kB", bytes(500_000), LARGE),
    ] {
        assert_eq!(hear(Method::GET, answer.as_bytes()).await, expect, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn interim_answers_are_answers_and_have_an_end() {
    let good = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    for (name, interim, expect) in [
        ("some", hint.repeat(usize::from(raw::MAX_INTERIM)), "200 [ok]"),
        ("too many", hint.repeat(usize::from(raw::MAX_INTERIM) + 1), BAD),
        ("a bare LF", "HTTP/1.1 103 Early Hints\r\nx: a\nb: c\r\n\r\n".into(), BAD),
        (
            "two lengths",
            "HTTP/1.1 100 Continue\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".into(),
            BAD,
        ),
    ] {
        assert_eq!(
            hear(Method::GET, format!("{interim}{good}").as_bytes()).await,
            expect,
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_begun_is_never_none() {
    for (name, answer, expect) in [
        ("nothing", "", "502 app_reset"),
        ("a letter", "H", BAD),
        ("half a head", "HTTP/1.1 200 OK\r\nx: ", BAD),
        ("an interim one", "HTTP/1.1 103 Early Hints\r\n\r\n", BAD),
    ] {
        assert_eq!(hear(Method::GET, answer.as_bytes()).await, expect, "{name}");
    }
}
