//! Requests as they reach an HTTP/1.1 server, byte by byte.

#![allow(clippy::unwrap_used)]
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HeaderName;
use http_body::Frame;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::head::*;

/// A body whose length is not known before its end, as one that comes in chunks or frames.
struct UnknownLength(Option<Bytes>);

impl Body for UnknownLength {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// What the server reads, up to the end that `ends` has; then whether the connection may serve on.
async fn wire(method: &str, fields: &str, body: Option<&str>, ends: &str) -> (String, bool) {
    let mut request = Request::new(UnknownLength(body.map(|body| Bytes::from(body.to_owned()))));
    *request.method_mut() = method.parse().unwrap();
    *request.version_mut() = Version::HTTP_2;
    for (name, value) in fields.lines().map(|line| line.split_once(": ").unwrap()) {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    for_http1(&mut request);
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request);
    let server = async {
        let mut read = Vec::new();
        while !read.ends_with(ends.as_bytes()) {
            read.push(theirs.read_u8().await.unwrap());
        }
        theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(read).unwrap()
    };
    let (answered, read) = tokio::join!(answer, server);
    drop(answered.unwrap());
    (read, sender.ready().await.is_ok())
}

#[tokio::test]
async fn a_body_of_unknown_length_reaches_an_http1_server_with_any_method() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH", "TRACE", "QUERY"] {
        let (read, again) = wire(method, "host: a", Some("hello"), "0\r\n\r\n").await;
        assert!(read.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{read}");
        assert_eq!(read.matches("transfer-encoding: chunked\r\n").count(), 1, "{read}");
        assert!(!read.contains("content-length"), "{read}");
        // Nothing follows a body that the app may not look for.
        let bodiless = method == "GET" || method == "HEAD";
        assert_eq!(read.contains("connection: close\r\n"), bodiless, "{read}");
        assert_eq!(again, !bodiless, "{method}");
    }
}

#[tokio::test]
async fn a_body_is_framed_once_and_no_body_is_not_framed() {
    let (read, _) = wire("GET", "host: a\ncontent-length: 5", Some("hello"), "hello").await;
    assert_eq!(read, "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    let (read, again) = wire("GET", "host: a", None, "\r\n\r\n").await;
    assert_eq!((&*read, again), ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true));
}

#[tokio::test]
async fn the_head_of_an_http2_request_becomes_one_of_http1() {
    for (name, fields, expect) in [
        ("cookies", "cookie: a=b\nhost: a\ncookie: c=d; e=f", "cookie: a=b; c=d; e=f, host: a"),
        ("one cookie", "cookie: a=b\nhost: a", "cookie: a=b, host: a"),
        ("trailers", "host: a\nte: trailers", "connection: te, host: a, te: trailers"),
        (
            "an upgrade",
            "host: a\nte: trailers\nconnection: upgrade\nupgrade: foo",
            "connection: upgrade, host: a, upgrade: foo",
        ),
    ] {
        let (read, _) = wire("GET", fields, None, "\r\n\r\n").await;
        let mut lines = read.trim_end().split("\r\n");
        assert_eq!(lines.next(), Some("GET / HTTP/1.1"), "{name}");
        let mut found: Vec<_> = lines.collect();
        found.sort_unstable();
        assert_eq!(found.join(", "), expect, "{name}");
    }
}
