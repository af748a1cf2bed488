//! One HTTP/1 connection, bytes in and out; what stands behind it is a handler that says what a row tells it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use crate::http::gate::HeadLimits;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, request};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;

use super::super::ConnectStream;
use crate::clock::Clock;
use crate::connection::registry::{RegisteredConnection, Registry};
use crate::http::serve::http1::*;
use crate::labels::{Direction, Protocol};

/// What becomes of a request.
#[derive(Clone, Copy)]
struct HandlerScript {
    /// Interim answers first.
    interims: &'static [u16],
    /// The body is read before the answer.
    reads: bool,
    /// The answer; 200 has the body that was read.
    status: u16,
    /// The version of whoever answered.
    version: Version,
}

const READS: HandlerScript =
    HandlerScript { interims: &[], reads: true, status: 200, version: Version::HTTP_2 };

impl Handler for HandlerScript {
    async fn request(&self, mut request: Box<Request<Body>>) -> Response<Body> {
        let limits = HeadLimits::of(&Limits::default());
        for status in self.interims {
            let mut headers = HeaderMap::new();
            headers.insert("link", "</a>".parse().unwrap());
            let status = StatusCode::from_u16(*status).unwrap();
            request.body().interims().pass(status, headers, limits);
        }
        let mut body = Bytes::from_static(b"-");
        if self.reads {
            body = request.body_mut().collect().await.map(|b| b.to_bytes()).unwrap_or(body);
        }
        let mut response = Response::new(Body::from_bytes(body.clone()));
        response.headers_mut().insert("content-length", body.len().into());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap();
        *response.version_mut() = self.version;
        response
    }

    fn malformed(&self, _refusal: GateRefusal) {}

    async fn stream(&self, _head: request::Parts, _stream: ConnectStream) {}
}

/// A client of a handler, set up as [`http1`] does.
fn client(does: HandlerScript) -> DuplexStream {
    let (client, server) = tokio::io::duplex(1 << 20);
    let (io, raw) = CheckedIo::requests(server);
    let (io, voice) = ClientIo::new(io, raw, false);
    let service = service_fn(move |request| {
        let turn = voice.begin_request();
        let prepared = prepare(request, &Limits::default(), &turn);
        async move { Ok::<_, Infallible>(answer(does, prepared, turn, StreamAborter::default()).await) }
    });
    let mut builder = Builder::new();
    gate::configure_http1(&mut builder, HeadLimits::of(&Limits::default()));
    builder.header_read_timeout(None).auto_date_header(false);
    tokio::spawn(builder.serve_connection(TokioIo::new(io), service));
    client
}

/// What has come until nothing comes any more, or the end.
async fn hear(client: &mut DuplexStream) -> String {
    let mut heard = Vec::new();
    let all = client.read_to_end(&mut heard);
    let ended = tokio::time::timeout(Duration::from_secs(1), all).await.is_ok();
    let text = String::from_utf8(heard).unwrap();
    if ended { text + "|" } else { text }
}

async fn exchange(does: HandlerScript, says: &str) -> String {
    let mut client = client(does);
    client.write_all(says.as_bytes()).await.unwrap();
    hear(&mut client).await
}

#[tokio::test(start_paused = true)]
async fn every_refusal_says_why() {
    let good = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(66 * 1024));
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let both = "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
    for (name, says, status, reason) in [
        ("no HTTP", "hello there\r\n\r\n", 400, "malformed_request"),
        ("no method", "\0 / HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        ("a blank before a colon", "GET / HTTP/1.1\r\nx : y\r\n\r\n", 400, "malformed_request"),
        ("HTTP/1.2", "GET / HTTP/1.2\r\n\r\n", 400, "malformed_request"),
        ("a bare LF", "GET / HTTP/1.1\nhost: a\r\n\r\n", 400, "bare_line_feed"),
        ("two lengths", both, 400, "ambiguous_framing"),
        ("a long target", &long, 414, "target_too_long"),
        ("a large head", &large, 431, "headers_too_large"),
    ] {
        let refused = exchange(READS, says).await;
        let begin = format!("HTTP/1.1 {status} ");
        let field = format!("\r\nx-postern-reason: {reason}\r\n");
        assert!(refused.starts_with(&begin) && refused.contains(&field), "{name}: {refused}");
        assert!(refused.ends_with("\r\n\r\n|"), "{name}: {refused}");
        let after = exchange(READS, &format!("{good}{says}")).await;
        assert!(after.starts_with("HTTP/1.1 200 OK\r\n"), "{name}: {after}");
        assert!(after.ends_with(&refused), "{name}, after a good one: {after}");
    }
}

#[tokio::test(start_paused = true)]
async fn interim_answers_come_before_the_answer() {
    let hints = HandlerScript { interims: &[103, 102], ..READS };
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let progress = "HTTP/1.1 102 Processing\r\nlink: </a>\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let once = format!("{hint}{progress}{answer}");
    assert_eq!(exchange(hints, get).await, once);
    assert_eq!(exchange(hints, &get.repeat(3)).await, once.repeat(3), "one after the other");
    let old = exchange(hints, "GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(old, "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n|", "HTTP/1.0 knows none");
    let unasked = HandlerScript { interims: &[100], ..READS };
    assert_eq!(exchange(unasked, get).await, answer, "nobody waits for 100");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_asked_for_when_the_app_asks_for_it() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    let asks = HandlerScript { interims: &[100], ..READS };
    let mut caller = client(asks);
    caller.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(hear(&mut caller).await, "HTTP/1.1 100 Continue\r\nlink: </a>\r\n\r\n");
    caller.write_all(b"ok").await.unwrap();
    assert_eq!(hear(&mut caller).await, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");

    let mut caller = client(READS);
    caller.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(hear(&mut caller).await, "", "an app that says nothing has not asked");
    caller.write_all(b"ok").await.unwrap();
    let unasked = hear(&mut caller).await;
    assert!(
        unasked.starts_with("HTTP/1.1 200 OK\r\n") && unasked.contains("\r\n\r\nok"),
        "{unasked}"
    );

    let refuses = HandlerScript { reads: false, status: 417, ..READS };
    let refused = exchange(refuses, head).await;
    assert!(refused.starts_with("HTTP/1.1 417 "), "{refused}");
    assert!(refused.contains("connection: close\r\n") && refused.ends_with('|'), "{refused}");

    let old = head.replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(exchange(asks, &old).await, "", "HTTP/1.0 waits for nothing");
}

#[tokio::test(start_paused = true)]
async fn http10_is_kept_or_ended_and_told_so() {
    const KEPT: &str = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n";
    const ENDED: &str = "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n|";
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let does = HandlerScript { version, ..READS };
        let get = |fields: &str| format!("GET / HTTP/1.0\r\nhost: a\r\n{fields}\r\n");
        assert_eq!(exchange(does, &get("connection: keep-alive\r\n")).await, KEPT, "{version:?}");
        assert_eq!(exchange(does, &get("")).await, ENDED, "{version:?}");
        let new = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let answer = exchange(does, new).await;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "{version:?}");
    }
}

/// Answers at once, and keeps the bodies of the requests, unread.
#[derive(Clone, Default)]
struct BodyKeeper(Arc<Mutex<Vec<Body>>>);

impl Handler for BodyKeeper {
    async fn request(&self, request: Box<Request<Body>>) -> Response<Body> {
        self.0.lock().push(request.into_body());
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert("content-length", 0.into());
        response
    }

    fn malformed(&self, _refusal: GateRefusal) {}

    async fn stream(&self, _head: request::Parts, _stream: ConnectStream) {}
}

/// A whole connection, and its client.
struct Served {
    client: DuplexStream,
    connection: RegisteredConnection,
    ended: JoinHandle<CloseReason>,
}

impl Served {
    fn by(handler: impl Handler) -> Self {
        let (client, server) = tokio::io::duplex(1 << 20);
        let (there, here) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        let registry = Arc::new(Registry::new(1));
        let connection = registry.register(0, Direction::Outbound, there, here, 0);
        connection.set_protocol(Protocol::Http1);
        let shown = (*connection).clone();
        let clock = Arc::new(Clock::start());
        let io = MeteredIo::new(Box::new(server), Bytes::new(), shown.clone(), clock);
        let ended = tokio::spawn(async move {
            http1(io, &shown, &Limits::default(), handler, &StreamAborter::default()).await
        });
        Self { client, connection, ended }
    }

    /// What comes for these bytes, and whether the connection has buffers when nothing comes any more.
    async fn exchange(&mut self, says: &str) -> (String, bool) {
        self.client.write_all(says.as_bytes()).await.unwrap();
        (hear(&mut self.client).await, self.connection.has_buffers())
    }

    async fn ask_for_buffers(&self) -> bool {
        self.connection.ask_for_buffers();
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.connection.has_buffers()
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_has_no_buffers() {
    let mut served = Served::by(READS);
    assert_eq!(served.exchange("").await, (String::new(), false), "before its first byte");
    assert_eq!(served.exchange(GET).await, (OK.into(), false), "after its first answer");
    assert_eq!(served.exchange(GET).await, (OK.into(), true), "it comes back");
    assert!(!served.ask_for_buffers().await, "it has waited");
    assert_eq!(served.exchange(&GET.repeat(3)).await, (OK.repeat(3), true), "one after the other");
    // The library yields after some, with the others in its buffer.
    let mut many = Served::by(READS);
    assert_eq!(many.exchange(&GET.repeat(100)).await, (OK.repeat(100), false), "many at once");
    let body = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok";
    assert!(served.exchange(body).await.0.ends_with("\r\n\r\nok"));
    assert!(!served.ask_for_buffers().await, "after a body that was read");
    let chunked =
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    assert!(served.exchange(chunked).await.0.ends_with("\r\n\r\nok"));
    assert!(!served.ask_for_buffers().await, "after chunks that were read");
    assert_eq!(served.exchange(GET).await, (OK.into(), true));
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_keeps_its_buffers() {
    for (name, says, rest) in [
        ("half a head", "GET / HT", "TP/1.1\r\nhost: a\r\n\r\n"),
        ("an empty line", "\r\n", GET),
        ("half an empty line", "\r", "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ] {
        for before in ["", GET] {
            let mut served = Served::by(READS);
            let answered = if before.is_empty() { "" } else { OK };
            let begun = served.exchange(&format!("{before}{says}")).await;
            assert_eq!(begun, (answered.into(), true), "{name} after {before:?}");
            assert!(served.ask_for_buffers().await, "{name} after {before:?}");
            assert_eq!(served.exchange(rest).await.0, OK, "{name} after {before:?}");
        }
    }
}

/// The answer may go out before the request's body has been read: what hyper holds of it is no request.
#[tokio::test(start_paused = true)]
async fn s07_request_smuggling_an_unread_body_is_not_taken_for_a_request() {
    let keeper = BodyKeeper::default();
    let mut served = Served::by(keeper.clone());
    let body = GET.repeat(4000);
    let post = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let (first, rest) = body.split_at(GET.len());
    assert_eq!(served.exchange(&format!("{post}{first}")).await, (OK.into(), true));
    assert!(served.ask_for_buffers().await);
    assert_eq!(served.exchange(rest).await, (String::new(), true), "it is one request");
    assert_eq!(keeper.0.lock().len(), 1);
    let mut kept = keeper.0.lock().pop().unwrap();
    let mut read = Vec::new();
    while !kept.is_end_stream() {
        read.extend(kept.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    assert_eq!(read, body.as_bytes());
    drop(kept);
    assert!(!served.ask_for_buffers().await, "once it has been read");
    assert_eq!(served.exchange(GET).await.0, OK);
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_ends_as_it_is_asked_to() {
    for reason in [CloseReason::Idle, CloseReason::Drain, CloseReason::Policy] {
        for before in ["", GET] {
            let mut served = Served::by(READS);
            assert!(!served.exchange(before).await.1);
            served.connection.close(reason);
            assert_eq!(hear(&mut served.client).await, "|", "{reason:?}");
            assert_eq!(served.ended.await.unwrap(), reason);
        }
    }
    let mut served = Served::by(READS);
    served.exchange(GET).await;
    drop(served.client);
    assert_eq!(served.ended.await.unwrap(), CloseReason::Done, "its client has gone");
}

/// Whoever sends a request at the moment of the hand-over has its answer, and knows that it is the last.
#[tokio::test(start_paused = true)]
async fn a_connection_of_a_replaced_process_answers_once_more() {
    let last = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n|";
    let half = ("GET / HT", "TP/1.1\r\nhost: a\r\n\r\n");
    for (name, before, says) in [
        ("before its first byte", vec![], GET),
        ("at rest, without buffers", vec![GET], GET),
        ("at rest, with buffers", vec![GET, GET], GET),
        ("with half a head, the first", vec![half.0], half.1),
        ("with half a head, a later one", vec![GET, GET, half.0], half.1),
    ] {
        let mut served = Served::by(READS);
        for said in before {
            served.exchange(said).await;
        }
        served.connection.close(CloseReason::HandedOver);
        assert_eq!(hear(&mut served.client).await, "", "{name}: it waits");
        served.client.write_all(says.as_bytes()).await.unwrap();
        assert_eq!(hear(&mut served.client).await, last, "{name}");
        assert_eq!(served.ended.await.unwrap(), CloseReason::HandedOver, "{name}");
    }
    let mut served = Served::by(READS);
    served.exchange(GET).await;
    served.connection.close(CloseReason::HandedOver);
    assert_eq!(hear(&mut served.client).await, "");
    served.connection.close(CloseReason::DrainDeadline);
    assert_eq!(hear(&mut served.client).await, "|", "the grace is over");
    assert_eq!(served.ended.await.unwrap(), CloseReason::DrainDeadline);
}
