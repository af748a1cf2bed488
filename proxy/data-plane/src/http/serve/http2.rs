//! HTTP/2 towards the client, as the `h2` library serves it.

use crate::http::gate::HeadLimits;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};

use super::{
    ConnectStream, ContinueExpectation, Handler, PreparedRequest, await_first, strip_for_http2,
};
use crate::connection::net::MeteredIo;
use crate::connection::registry::Connection;
use crate::http::body::Body;
use crate::http::headers::TrailerKind;
use crate::http::interim::{InterimResponse, InterimSender};
use crate::http::keep_alive::until_silent;
use crate::http::send_body;
use crate::http::shared_connection::MAX_FRAME;
use crate::labels::CloseReason;
use crate::limits::{Limits, REMEMBERED_RESETS};

/// Serves HTTP/2 until the connection ends, and says why it did. CONNECT streams are announced
/// only where `connect` says that the peer is one of ours.
pub async fn http2(
    io: MeteredIo,
    connection: &Connection,
    limits: &Limits,
    handler: impl Handler,
    connect: bool,
) -> CloseReason {
    await_first(&io, connection);
    let builder = http2_builder(limits, connect);
    let handshake =
        tokio::time::timeout(limits.header_timeout, builder.handshake::<_, Bytes>(io)).await;
    let Ok(Ok(mut serving)) = handshake else {
        return CloseReason::Error;
    };
    let pings = serving.ping_pong();
    // Our proxies open byte streams on connections of their own: all streams of one have the same window.
    let mut carries_bytes = false;
    let mut dead = pin!(until_silent(pings, limits, || connection.in_flight() > 0));
    loop {
        tokio::select! {
            accepted = serving.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    if connect && !carries_bytes && request.method() == Method::CONNECT {
                        // Fails while the peer has not confirmed our first SETTINGS; then the next stream tries again.
                        let window = limits.opaque_buffer.0;
                        carries_bytes = serving.set_initial_window_size(window).is_ok();
                    }
                    begin(handler.clone(), request, respond, limits);
                }
                Some(Err(_)) => return CloseReason::Error,
                None => return connection.closing().unwrap_or(CloseReason::Done),
            },
            reason = connection.asked_to_close() => match reason.is_graceful() {
                true => serving.graceful_shutdown(),
                false => return reason,
            },
            () = &mut dead => return CloseReason::Error,
        }
    }
}

/// The library's server within our limits.
pub(super) fn http2_builder(limits: &Limits, connect: bool) -> h2::server::Builder {
    // A peer of ours may turn out to open byte streams, whose windows are larger.
    let widest =
        if connect { limits.opaque_buffer.max(limits.stream_buffer) } else { limits.stream_buffer };
    let connection_window = limits.connection_window(widest);
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(limits.stream_buffer.0)
        .initial_connection_window_size(connection_window)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(limits.concurrent_streams)
        .max_header_list_size(
            u32::try_from(HeadLimits::of(limits).library_bytes()).unwrap_or(u32::MAX),
        )
        .max_send_buffer_size(limits.stream_buffer.bytes())
        .max_pending_accept_reset_streams(usize::try_from(limits.pending_resets).unwrap_or(1))
        .max_local_error_reset_streams(Some(limits.stream_errors()))
        .max_concurrent_reset_streams(REMEMBERED_RESETS);
    if connect {
        builder.enable_connect_protocol();
    }
    builder
}

/// Starts the task of one stream. That of a CONNECT stream is one of its own kind, which lasts long and holds little.
pub(super) fn begin(
    handler: impl Handler,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    limits: &Limits,
) {
    match *request.method() == Method::CONNECT {
        true => drop(tokio::spawn(connected(handler, request, respond))),
        false => {
            let head_only = request.method() == Method::HEAD;
            let unread = limits.body_stall_timeout;
            let prepared = prepare(request, limits);
            // Boxed, because the runtime moves the future it is given, several times.
            let answered = Box::pin(answer(handler, prepared, respond, head_only, unread));
            drop(tokio::spawn(answered));
        }
    }
}

/// Serves a CONNECT stream to its end.
async fn connected(
    handler: impl Handler,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let (head, receive) = request.into_parts();
    handler.stream(head, ConnectStream { respond, receive }).await;
}

/// A request for the handler.
fn prepare(request: Request<RecvStream>, limits: &Limits) -> PreparedRequest {
    let of = TrailerKind::of(request.headers());
    let interims = InterimSender::accepting();
    let body = |stream| Body::http2(stream).within(limits, of).with_interims(interims.clone());
    PreparedRequest::new(Box::new(request.map(body)), interims)
}

/// Answers one stream; gives up when the client resets it, so that a flood of resets leaves nothing running
/// (SECURITY-CASES S-01).
async fn answer(
    handler: impl Handler,
    prepared: PreparedRequest,
    mut respond: SendResponse<Bytes>,
    head_only: bool,
    unread: Duration,
) {
    let PreparedRequest { request, interims, mut expectation } = prepared;
    let answered = {
        let mut answering = pin!(handler.request(request));
        poll_fn(|cx| {
            while let Poll::Ready(interim) = interims.poll_next(cx) {
                say(&mut respond, &mut expectation, interim);
            }
            match answering.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => respond.poll_reset(cx).map(|_| None),
            }
        })
        .await
    };
    // Those that came with the answer.
    interims.drain().for_each(|interim| say(&mut respond, &mut expectation, interim));
    let begun = answered.and_then(|mut response| {
        expectation.end(&mut response);
        begin_answer(response, respond, head_only)
    });
    if let Some((mut body, mut stream)) = begun {
        // A client that has gone needs no answer.
        let _ = send_body(&mut body, &mut stream, unread).await;
    }
}

/// An interim answer (RFC 9113 §8.1). A client that has gone needs none.
fn say(
    respond: &mut SendResponse<Bytes>,
    expectation: &mut ContinueExpectation,
    interim: InterimResponse,
) {
    if expectation.takes(&interim) {
        let mut response = Response::new(());
        *response.status_mut() = interim.status;
        *response.headers_mut() = interim.headers;
        let _ = respond.send_informational(response);
    }
}

/// Sends the head of an answer, and returns the body that follows, if one does. Where the request is not read to its
/// end, the library says so when the last of it is let go: by NO_ERROR (RFC 9113 §8.1), after everything that was sent.
/// A reset of ours would overtake the answer.
fn begin_answer(
    response: Response<Body>,
    mut respond: SendResponse<Bytes>,
    head_only: bool,
) -> Option<(Body, SendStream<Bytes>)> {
    let (mut parts, body) = response.into_parts();
    parts.version = http::Version::HTTP_2;
    strip_for_http2(&mut parts.headers);
    // An answer to HEAD has no content (RFC 9110 §9.3.2): hyper removes it on HTTP/1.1; here this does.
    let ends = head_only || body.is_empty();
    // A client that has gone needs no answer.
    let stream = respond.send_response(Response::from_parts(parts, ()), ends).ok()?;
    (!ends).then_some((body, stream))
}
