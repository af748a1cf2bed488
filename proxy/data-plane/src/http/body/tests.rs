#![allow(clippy::unwrap_used, clippy::panic)]
use http::{Request, Response};
use http_body_util::BodyExt as _;

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
        let body =
            client.place().unwrap().slot().await.unwrap().send(request).await.unwrap().into_body();
        let read = body.within(&limits, TrailerKind::Http).collect().await;
        assert_eq!(read.is_ok(), expect, "{count} trailers");
    }
}

/// The body of an answer of which `abc` has come when the server resets the stream, before or after its end.
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
    let slot = client.place().unwrap().slot().await.unwrap();
    let mut body = slot.send(request).await.unwrap().into_body();
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
