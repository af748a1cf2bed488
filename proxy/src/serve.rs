//! HTTP towards whoever called: hyper for HTTP/1.1, the `h2` library for HTTP/2.
//!
//! Both hand each request to one [`Handler`], and both end when their connection is asked to: at
//! once, or gracefully (`Connection: close`, GOAWAY) when what is under way may finish.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response, StatusCode, request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::config::{Limits, REMEMBERED_RESETS};
use crate::error::RequestError;
use crate::filter::gate::raw::Checked;
use crate::filter::gate::{self, Refusal};
use crate::filter::headers::TrailersOf;
use crate::forward::body::Body;
use crate::forward::keep_alive::until_silent;
use crate::forward::send_body;
use crate::forward::tunnel::Tunnel;
use crate::net::Metered;
use crate::registry::{Connection, Phase};
use crate::telemetry::{CloseReason, RequestRecord};

/// What answers the requests of one connection.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers a request.
    fn request(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;

    /// Notes a request that was refused before it could be handed over.
    fn malformed(&self, refusal: Refusal);

    /// Serves a CONNECT stream of HTTP/2 to its end.
    fn stream(
        &self,
        head: request::Parts,
        stream: ConnectStream,
    ) -> impl Future<Output = ()> + Send;
}

/// The end of handling a request: its answer or the refusal, with the record that is written when
/// the answer has been handed on.
pub(crate) fn conclude(
    answered: Result<Response<Body>, RequestError>,
    mut record: Box<RequestRecord>,
    grpc: bool,
) -> Response<Body> {
    let response = match answered {
        Ok(response) => {
            record.answered(&response);
            response
        }
        Err(error) => {
            record.refused(&error);
            error.response(grpc)
        }
    };
    response.map(|body| body.with_record(record))
}

/// A CONNECT stream that has been neither accepted nor refused.
pub struct ConnectStream {
    respond: SendResponse<Bytes>,
    receive: RecvStream,
}

impl ConnectStream {
    /// Accepts the stream.
    ///
    /// # Errors
    /// The library's, when the client has gone.
    pub fn accept(mut self) -> Result<Tunnel, h2::Error> {
        let send = self.respond.send_response(Response::new(()), false)?;
        Ok(Tunnel::new(send, self.receive))
    }

    /// Refuses the stream with the error's status and reason.
    pub fn refuse(mut self, error: &RequestError) {
        let (mut parts, _) = error.response(false).into_parts();
        strip_for_http2(&mut parts.headers);
        // The head ends the stream: a length other than 0 would make it malformed (RFC 9113 §8.1.1).
        parts.headers.remove(CONTENT_LENGTH);
        // The client may have gone; then nobody needs the answer.
        let _ = self.respond.send_response(Response::from_parts(parts, ()), true);
    }
}

/// Serves HTTP/1.1 until the connection ends, and says why it did.
pub async fn http1(
    io: Metered,
    connection: &Connection,
    limits: &Limits,
    handler: impl Handler,
) -> CloseReason {
    let (io, raw) = Checked::requests(io);
    let bounds = *limits;
    let malformed = handler.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let handler = handler.clone();
        async move {
            let of = TrailersOf::of(request.headers());
            let request = request.map(|body| Body::http1(body).within(&bounds, of));
            // Boxed, because hyper moves the future it is given, and ours is large.
            Ok::<_, Infallible>(Box::pin(handler.request(request)).await)
        }
    });
    connection.enter(Phase::Idle, connection.phase().1);
    let mut builder = http1::Builder::new();
    gate::configure_http1(&mut builder, limits.head());
    let serving = builder
        .header_read_timeout(None)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    loop {
        tokio::select! {
            ended = &mut serving => return match ended {
                Ok(()) => connection.closing().unwrap_or(CloseReason::Done),
                Err(error) => {
                    if let Some(refusal) = refused_by_library(&error, raw.refused()) {
                        malformed.malformed(refusal);
                    }
                    CloseReason::Error
                }
            },
            reason = connection.asked_to_close() => match reason.is_graceful() {
                true => serving.as_mut().graceful_shutdown(),
                false => return reason,
            },
        }
    }
}

/// What hyper has refused by itself, with the reason of the raw check if that made it so.
fn refused_by_library(error: &hyper::Error, raw: Option<&'static str>) -> Option<Refusal> {
    let (status, reason) = match raw {
        Some(reason) => (StatusCode::BAD_REQUEST, reason),
        None if error.is_parse_too_large() => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large")
        }
        None if error.is_parse() => (StatusCode::BAD_REQUEST, "malformed_request"),
        None => return None,
    };
    Some(Refusal { status, reason, close: true })
}

/// Serves HTTP/2 until the connection ends, and says why it did. CONNECT streams are announced
/// only where `connect` says that the peer is one of ours.
pub async fn http2(
    io: Metered,
    connection: &Connection,
    limits: &Limits,
    handler: impl Handler,
    connect: bool,
) -> CloseReason {
    connection.enter(Phase::Idle, connection.phase().1);
    let builder = http2_builder(limits, connect);
    let handshake =
        tokio::time::timeout(limits.header_timeout, builder.handshake::<_, Bytes>(io)).await;
    let Ok(Ok(mut serving)) = handshake else {
        return CloseReason::Error;
    };
    let pings = serving.ping_pong();
    let mut dead = pin!(until_silent(pings, limits, || connection.in_flight() > 0));
    loop {
        tokio::select! {
            accepted = serving.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    tokio::spawn(answer(handler.clone(), request, respond, *limits));
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
fn http2_builder(limits: &Limits, connect: bool) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(limits.stream_buffer.0)
        .initial_connection_window_size(limits.connection_window())
        .max_concurrent_streams(limits.concurrent_streams)
        .max_header_list_size(u32::try_from(limits.head().library_bytes()).unwrap_or(u32::MAX))
        .max_send_buffer_size(limits.stream_buffer.bytes())
        .max_pending_accept_reset_streams(usize::try_from(limits.pending_resets).unwrap_or(1))
        .max_local_error_reset_streams(Some(limits.stream_errors()))
        .max_concurrent_reset_streams(REMEMBERED_RESETS);
    if connect {
        builder.enable_connect_protocol();
    }
    builder
}

/// Answers one stream; gives up when the client resets it, so that a flood of resets leaves
/// nothing running (SECURITY-CASES S-01).
async fn answer(
    handler: impl Handler,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    limits: Limits,
) {
    if request.method() == Method::CONNECT {
        let (head, receive) = request.into_parts();
        return handler.stream(head, ConnectStream { respond, receive }).await;
    }
    let head_only = request.method() == Method::HEAD;
    let of = TrailersOf::of(request.headers());
    let request = request.map(|stream| Body::http2(stream).within(&limits, of));
    let response = tokio::select! {
        response = handler.request(request) => response,
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    // A client that has gone needs no answer.
    let _ = send_response(response, respond, head_only, limits.body_stall_timeout).await;
}

async fn send_response(
    response: Response<Body>,
    mut respond: SendResponse<Bytes>,
    head_only: bool,
    unread: Duration,
) -> Result<(), crate::forward::body::BodyError> {
    let (mut parts, body) = response.into_parts();
    parts.version = http::Version::HTTP_2;
    let closes = parts.headers.get(CONNECTION).is_some_and(|v| v == "close");
    strip_for_http2(&mut parts.headers);
    let head = Response::from_parts(parts, ());
    // An answer to HEAD has no content (RFC 9110 §9.3.2): hyper sees to it on HTTP/1.1, nobody here.
    if head_only || body.is_empty() {
        respond.send_response(head, true)?;
        return Ok(());
    }
    let send = respond.send_response(head, false)?;
    send_body(body, send, unread).await?;
    if closes {
        // The request's body is not read on (RFC 9113 §8.1).
        respond.send_reset(h2::Reason::NO_ERROR);
    }
    Ok(())
}

/// Takes out what HTTP/2 messages must not carry (RFC 9113 §8.2.2).
fn strip_for_http2(headers: &mut http::HeaderMap<HeaderValue>) {
    for name in [CONNECTION, http::header::TRANSFER_ENCODING, http::header::UPGRADE] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

#[cfg(test)]
mod tests;
