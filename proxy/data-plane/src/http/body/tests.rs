#![allow(clippy::unwrap_used, clippy::panic)]
use http::{Request, Response};
use std::sync::Arc;

use http_body_util::BodyExt as _;
use parking_lot::Mutex;

use crate::http::body::*;
use crate::http::h2_client::H2Client;

#[tokio::test]
async fn s02_trailers_have_the_limits_of_a_head() {
    for (count, expect) in [(128, true), (129, false)] {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let mut serving = h2::server::handshake(theirs).await.unwrap();
            let (_request, mut respond) = serving.accept().await.unwrap().unwrap();
            let mut send = respond.send_response(Response::new(()), false).unwrap();
            let mut trailers = http::HeaderMap::new();
            for _ in 0..count {
                trailers.append("grpc-x", "y".parse().unwrap());
            }
            send.send_trailers(trailers).unwrap();
            let _ = serving.accept().await;
        });
        let limits = Limits::default();
        let client = H2Client::open(Box::new(ours), &limits).await.unwrap();
        let request = Request::builder().uri("http://store/").body(Body::empty()).unwrap();
        let body = client
            .reserve_stream()
            .unwrap()
            .until_ready()
            .await
            .unwrap()
            .send(Box::new(request))
            .await
            .unwrap()
            .into_body();
        let read = body.within(&limits, TrailerKind::Http).collect().await;
        assert_eq!(read.is_ok(), expect, "{count} trailers");
    }
}

/// The body of an answer of which `abc` has arrived when the server resets the stream, before or after its end.
async fn reset(reason: h2::Reason, ended: bool) -> Option<Bytes> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (heard, hear) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let mut serving = h2::server::handshake(theirs).await.unwrap();
        let (_request, mut respond) = serving.accept().await.unwrap().unwrap();
        let mut send = respond.send_response(Response::new(()), false).unwrap();
        send.send_data(Bytes::from_static(b"abc"), ended).unwrap();
        tokio::select! {
            _ = serving.accept() => {}
            _ = hear => {}
        }
        send.send_reset(reason);
        let _ = serving.accept().await;
    });
    let client = H2Client::open(Box::new(ours), &Limits::default()).await.unwrap();
    let request = Request::builder().uri("http://store/").body(Body::empty()).unwrap();
    let slot = client.reserve_stream().unwrap().until_ready().await.unwrap();
    let mut body = slot.send(Box::new(request)).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    heard.send(()).unwrap();
    body.collect().await.ok().map(|rest| [first, rest.to_bytes()].concat().into())
}

#[tokio::test]
async fn f14_upstream_resets_mid_body_whatever_it_says() {
    for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL, h2::Reason::INTERNAL_ERROR] {
        assert_eq!(reset(reason, false).await, None, "{reason:?}: a part is not the whole");
    }
    assert_eq!(reset(h2::Reason::NO_ERROR, true).await.as_deref(), Some(&b"abc"[..]));
}

/// Records its calls in a list that all guards of a body share.
struct TestGuard(&'static str, Arc<Mutex<Vec<String>>>);

impl BodyGuard for TestGuard {
    fn passed(&mut self, frame: &Frame<Bytes>) {
        let length = frame.data_ref().map_or(0, Bytes::len);
        self.1.lock().push(format!("{} passed {length}", self.0));
    }
    fn failed(&mut self, failure: BodyFailure, _: Option<BodyFailure>) {
        self.1.lock().push(format!("{} failed {failure:?}", self.0));
    }
    fn abandoned(&mut self) {
        self.1.lock().push(format!("{} abandoned", self.0));
    }
    fn ended(self: Box<Self>) {
        self.1.lock().push(format!("{} ended", self.0));
    }
}

/// Refuses bodies that begin with these bytes, and counts how many it saw.
struct TestInspector(&'static [u8], Arc<Mutex<usize>>);

impl BodyInspector for TestInspector {
    fn inspect(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        *self.1.lock() += bytes.len();
        if bytes.starts_with(self.0) { Err(BodyError::Withdrawn) } else { Ok(()) }
    }
}

fn guarded(text: &'static str) -> (Body, Arc<Mutex<Vec<String>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let guard = |name| Box::new(TestGuard(name, calls.clone()));
    (Body::from_bytes(text).with_guard(guard("first")).with_guard(guard("second")), calls)
}

#[tokio::test]
async fn guards_hear_in_their_order_how_a_body_ends() {
    let (body, calls) = guarded("abc");
    body.collect().await.unwrap();
    let read = ["first passed 3", "second passed 3", "first ended", "second ended"];
    assert_eq!(*calls.lock(), read);
    let (body, calls) = guarded("abc");
    drop(body);
    assert_eq!(*calls.lock(), ["first abandoned", "second abandoned"]);
    let (body, calls) = guarded("abc");
    let mut body = body;
    let inspector = || Box::new(TestInspector(b"ab", Arc::default()));
    assert!(body.inspect(10, inspector()).is_ok());
    assert!(body.inspect(10, inspector()).is_err(), "one tap");
    assert!(body.collect().await.is_err());
    assert_eq!(*calls.lock(), ["first failed Withdrawn", "second failed Withdrawn"]);
}

#[tokio::test]
async fn a_tap_sees_the_beginning_alone_and_cuts_what_it_refuses() {
    for (most, refuses, expect_seen, expect) in
        [(2, &b"x"[..], 2, true), (9, b"x", 3, true), (9, b"a", 3, false), (0, b"a", 0, true)]
    {
        let seen = Arc::new(Mutex::new(0));
        let inspector = Box::new(TestInspector(refuses, seen.clone()));
        let mut body = Body::from_bytes("abc");
        assert!(body.inspect(most, inspector).is_ok());
        let read = body.collect().await;
        assert_eq!((read.is_ok(), *seen.lock()), (expect, expect_seen), "{most} {refuses:?}");
    }
}

#[tokio::test]
async fn what_is_beyond_the_limit_does_not_pass() {
    for (row, sent, most, expect) in [
        ("less", "abc", 4, Ok("abc")),
        ("as much", "abc", 3, Ok("abc")),
        ("more", "abc", 2, Err(BodyFailure::TooLarge)),
        ("nothing may be sent", "a", 0, Err(BodyFailure::TooLarge)),
        ("nothing is sent", "", 0, Ok("")),
    ] {
        let mut body = Body::from_bytes(sent);
        let watch = body.watch_failure();
        body.limit(most);
        let read = body.collect().await.map(http_body_util::Collected::to_bytes);
        let read = read.map_err(|error| error.kind());
        assert_eq!(read, expect.map(|text| Bytes::from_static(text.as_bytes())), "{row}");
        assert_eq!(watch.broken(), expect.err(), "{row}");
    }
}
