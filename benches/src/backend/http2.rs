//! The app in HTTP/2: small answers to requests, and an echo of gRPC messages, which are all of one size.

use anyhow::Result;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::TcpStream;

use crate::rows::{SMALL, answer_bytes_of_path};

/// The path of gRPC calls.
pub(crate) const CALL: &str = "/bench.Bench/Echo";
/// A message with its prefix: five bytes, then as many as a small answer has.
pub(crate) const MESSAGE: usize = 5 + SMALL;

/// Streams at a time, more than any proxy opens.
const STREAMS: u32 = 4096;
/// The windows of streams and of connections, in bytes.
const WINDOW: u32 = 1 << 20;

/// A message of gRPC: not compressed, its length, its bytes.
pub(crate) fn message() -> Bytes {
    let prefix = [0, 0, 0, 0, u8::try_from(SMALL).unwrap_or(0)];
    [&prefix[..], &[b'x'; SMALL]].concat().into()
}

/// Answers one connection's requests until it ends.
///
/// # Errors
/// When it breaks.
pub(super) async fn serve(stream: TcpStream) -> Result<()> {
    let mut settings = h2::server::Builder::new();
    settings.max_concurrent_streams(STREAMS);
    settings.initial_window_size(WINDOW).initial_connection_window_size(WINDOW * 16);
    let mut connection = settings.handshake::<_, Bytes>(stream).await?;
    let (small, message) = (Bytes::from(vec![b'x'; SMALL]), message());
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        if request.uri().path() == CALL {
            let message = message.clone();
            // A call that breaks is not the app's business.
            tokio::task::spawn_local(async move { drop(echo(request, respond, message).await) });
        } else {
            answer(&request, respond, &small)?;
        }
    }
    Ok(())
}

/// No task of its own: an answer is made at once.
fn answer(
    request: &Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    small: &Bytes,
) -> Result<()> {
    let found = answer_bytes_of_path(request.uri().path()) == Some(small.len());
    let response = Response::builder()
        .status(if found { 200 } else { 404 })
        .header("content-type", "text/plain")
        .header("content-length", if found { small.len() } else { 0 })
        .body(())?;
    let mut stream = respond.send_response(response, !found)?;
    if found {
        stream.send_data(small.clone(), true)?;
    }
    Ok(())
}

/// A message for each that has come, and trailers when the caller is done.
async fn echo(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    message: Bytes,
) -> Result<()> {
    let response = Response::builder().header("content-type", "application/grpc").body(())?;
    let mut answer: SendStream<Bytes> = respond.send_response(response, false)?;
    let mut body = request.into_body();
    let mut unanswered = 0;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        unanswered += piece.len();
        while unanswered >= MESSAGE {
            unanswered -= MESSAGE;
            answer.send_data(message.clone(), false)?;
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    answer.send_trailers(trailers)?;
    Ok(())
}
