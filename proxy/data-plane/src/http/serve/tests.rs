#![allow(clippy::unwrap_used, clippy::panic)]
use http::Method;

use crate::http::h2_client::H2Client;
use crate::http::h2_connect::ConnectError;
use crate::http::serve::*;
use crate::limits::Limits;

mod made_resets;

/// Refuses whatever comes.
#[derive(Clone)]
struct RefusingHandler;

impl Handler for RefusingHandler {
    async fn request(&self, _request: Box<Request<Body>>) -> Response<Body> {
        RequestError::Withdrawn.response(false)
    }

    fn malformed(&self, _refusal: GateRefusal) {}

    async fn stream(&self, _head: request::Parts, stream: ConnectStream) {
        stream.refuse(&RequestError::UnknownStream);
    }
}

/// A client whose server refuses everything.
async fn refused() -> H2Client {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let mut builder = h2::server::Builder::new();
        builder.enable_connect_protocol();
        let mut serving = builder.handshake::<_, Bytes>(theirs).await.unwrap();
        while let Some(Ok((request, respond))) = serving.accept().await {
            http2::begin(RefusingHandler, request, respond, &Limits::default());
        }
    });
    H2Client::open(Box::new(ours), &Limits::default()).await.unwrap()
}

#[tokio::test]
async fn a_refused_connect_stream_is_an_answer_and_no_reset() {
    let client = refused().await;
    assert!(client.takes_streams().await);
    match client.reserve_stream().unwrap().connect("10.0.0.1:80", "later").await {
        Err(ConnectError::Refused { status, reason }) => {
            assert_eq!((status.as_u16(), reason.as_str()), (501, "unknown_mesh_stream"));
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was accepted"),
    }
}

#[tokio::test]
async fn a_refusal_has_no_content_where_only_the_head_was_asked_for() {
    let client = refused().await;
    for method in [Method::HEAD, Method::GET] {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = "http://store/".parse().unwrap();
        *request.method_mut() = method.clone();
        let slot = client.reserve_stream().unwrap().until_ready().await.unwrap();
        let answer = slot.send(Box::new(request)).await.unwrap();
        assert_eq!(answer.status(), 403, "{method}");
        assert_eq!(answer.body().is_empty(), method == Method::HEAD, "{method}");
    }
}
