//! HTTP/1.1 towards the client, and HTTP/1.0, as hyper serves it.

use crate::http::gate::HeadLimits;
use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

use super::client_io::{ClientIo, RequestTurn, refusal};
use super::{Handler, PreparedRequest, await_first};
use crate::connection::net::{MeteredIo, StreamAborter};
use crate::connection::registry::Connection;
use crate::http::body::{Body, BodyError};
use crate::http::gate::raw::{self, CheckedIo};
use crate::http::gate::{self, GateRefusal};
use crate::http::headers::TrailerKind;
use crate::http::interim::{InterimResponse, InterimSender};
use crate::labels::CloseReason;
use crate::limits::Limits;

/// Serves HTTP/1.1 until the connection ends, and says why it did. Where that cuts an answer, the connection is
/// aborted: nothing else marks the end of an answer without a length (SECURITY-CASES F-14).
///
/// A client that sends nothing costs no buffers: hyper, whose are the most of what a connection costs, is there only
/// from the first byte of a request on. It goes once the connection is at rest, after the first answer at once, and later
/// when it was asked for its buffers ([`Connection::ask_for_buffers`]): a client that came back once does so again.
pub async fn http1(
    mut io: MeteredIo,
    connection: &Connection,
    limits: &Limits,
    handler: impl Handler,
    aborter: &StreamAborter,
) -> CloseReason {
    await_first(&io, connection);
    let mut came_back = false;
    loop {
        if let Some(ended) = wait_at_rest(&mut io, connection).await {
            return ended;
        }
        connection.hold_buffers(true);
        let handler = handler.clone();
        // Boxed, so that nothing of it stays while the connection is at rest.
        match Box::pin(serve(io, connection, limits, handler, aborter, came_back)).await {
            Served::Ended(reason) => return reason,
            Served::AtRest(rested) => io = rested,
        }
        connection.hold_buffers(false);
        came_back = true;
    }
}

/// What has become of a connection.
enum Served {
    Ended(CloseReason),
    /// Nothing is under way on it.
    AtRest(MeteredIo),
}

/// Waits, without a buffer, until the client sends something; why the connection has ended instead, if it has. A client
/// that breaks off here ends in order, as it does for hyper.
async fn wait_at_rest(io: &mut MeteredIo, connection: &Connection) -> Option<CloseReason> {
    let done = || connection.closing().unwrap_or(CloseReason::Done);
    loop {
        tokio::select! {
            biased;
            more = poll_fn(|context| io.poll_has_more(context)) => match more {
                Ok(true) => return None,
                Ok(false) => break,
                Err(_) => return Some(done()),
            },
            reason = connection.asked_to_close() => match reason {
                // An end at this moment could meet a request on its way: the next answer is the last.
                CloseReason::HandedOver => {}
                reason if reason.is_graceful() => break,
                reason => return Some(reason),
            }
        }
    }
    if io.ends_when_dropped() {
        return Some(done());
    }
    tokio::select! {
        // The client may be gone.
        _ = io.shutdown() => Some(done()),
        reason = connection.asked_to_close() => Some(reason),
    }
}

/// Serves requests until the connection ends, or is at rest and gives its buffers back.
async fn serve(
    io: MeteredIo,
    connection: &Connection,
    limits: &Limits,
    handler: impl Handler,
    aborter: &StreamAborter,
    came_back: bool,
) -> Served {
    let ends_when_dropped = io.ends_when_dropped();
    let (io, raw) = CheckedIo::requests(io);
    let (io, writer) = ClientIo::new(io, raw.clone(), ends_when_dropped);
    let bounds = *limits;
    let malformed = handler.clone();
    let turns = writer.clone();
    let broken = aborter.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (turn, aborter) = (turns.begin_request(), broken.clone());
        // The library announces an upgrade there, and nothing else.
        if !request.extensions().is_empty() {
            request.extensions_mut().insert(aborter.clone());
        }
        // Boxed, because hyper moves the future it is given, and ours is large.
        let prepared = prepare(request, &bounds, &turn);
        let answered = Box::pin(answer(handler.clone(), prepared, turn, aborter));
        async move {
            let mut response = answered.await;
            if connection.closing() == Some(CloseReason::HandedOver) {
                say_last(&mut response);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = Builder::new();
    gate::configure_http1(&mut builder, HeadLimits::of(limits));
    let mut serving = builder
        .header_read_timeout(None)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let may_rest = || {
        (!came_back || connection.is_asked_for_buffers())
            && connection.closing().is_none()
            && writer.is_at_rest()
    };
    loop {
        tokio::select! {
            // What has been read ahead is served, whatever else is asked of the connection.
            biased;
            ended = poll_fn(|context| match Pin::new(&mut serving).poll(context) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending if may_rest() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }) => return match ended {
                None => rest(serving.into_parts()),
                Some(Ok(())) => Served::Ended(connection.closing().unwrap_or(CloseReason::Done)),
                Some(Err(error)) => {
                    let refusal = refused_by_library(&error, raw.refused());
                    if let Some(refusal) = writer.refusal().or(refusal) {
                        malformed.malformed(refusal);
                    }
                    Served::Ended(CloseReason::Error)
                }
            },
            reason = connection.asked_to_close() => match reason {
                // The next answer says that it is the last; until then the connection stays as it is.
                CloseReason::HandedOver => {}
                reason if reason.is_graceful() => Pin::new(&mut serving).graceful_shutdown(),
                reason => {
                    if connection.in_flight() > 0 {
                        aborter.abort();
                    }
                    return Served::Ended(reason);
                }
            },
        }
    }
}

/// Takes the connection back from hyper. If hyper had read anything of a request by then, the two would disagree about
/// where a message ends: that cannot be, and such a connection is not served on.
fn rest<S>(parts: Option<Parts<TokioIo<ClientIo<CheckedIo<MeteredIo>>>, S>>) -> Served {
    match parts {
        Some(parts) if parts.read_buf.is_empty() => {
            Served::AtRest(parts.io.into_inner().into_inner().into_inner())
        }
        _ => Served::Ended(CloseReason::Error),
    }
}

/// What hyper has refused by itself, where that was not seen on its way out.
fn refused_by_library(error: &hyper::Error, raw: Option<&'static str>) -> Option<GateRefusal> {
    let status = match error {
        e if e.is_parse_too_large() => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        e if e.is_parse() || raw.is_some() => StatusCode::BAD_REQUEST,
        _ => return None,
    };
    Some(refusal(status, raw))
}

/// A request for the handler. HTTP/1.0 knows no interim answers (RFC 9110 §15.2).
fn prepare(mut request: Request<Incoming>, limits: &Limits, turn: &RequestTurn) -> PreparedRequest {
    raw::show_expectation(request.headers_mut());
    let of = TrailerKind::of(request.headers());
    let interims = match request.version() {
        Version::HTTP_10 => InterimSender::default(),
        _ => InterimSender::accepting(),
    };
    let body = |body| {
        let body = Body::http1(body).within(limits, of).with_interims(interims.clone());
        if body.is_empty() { body } else { body.with_guard(turn.begin_body()) }
    };
    PreparedRequest::new(Box::new(request.map(body)), interims)
}

/// Answers one request; interim answers go out while it waits.
async fn answer(
    handler: impl Handler,
    prepared: PreparedRequest,
    turn: RequestTurn,
    aborter: StreamAborter,
) -> Response<AnswerBody> {
    let PreparedRequest { request, interims, mut expectation } = prepared;
    let old = request.version() == Version::HTTP_10;
    let mut say = |interim: InterimResponse| {
        if expectation.takes(&interim) {
            turn.send_interim(&interim);
        }
    };
    let mut response = {
        let mut answering = pin!(handler.request(request));
        poll_fn(|cx| {
            while let Poll::Ready(interim) = interims.poll_next(cx) {
                say(interim);
            }
            answering.as_mut().poll(cx)
        })
        .await
    };
    // Those that came with the answer.
    interims.drain().for_each(say);
    expectation.end(&mut response);
    *response.version_mut() = if old { version_for_old(&response) } else { Version::HTTP_11 };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        turn.switch_protocols();
    }
    response.map(|body| AnswerBody { body, aborter, _turn: turn })
}

/// Tells the client that no request follows this answer (RFC 9112 §9.6); hyper then ends the connection.
fn say_last(response: &mut Response<AnswerBody>) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The version by which hyper keeps an HTTP/1.0 client's connection, if the client wants it, and says so: only
/// where the answer's end can be told without it (RFC 9112 §9.3).
fn version_for_old(response: &Response<Body>) -> Version {
    let length = response.headers().contains_key(CONTENT_LENGTH);
    let ends = length || response.body().size_hint().exact().is_some();
    match ends && !response.headers().contains_key(CONNECTION) {
        true => Version::HTTP_11,
        false => Version::HTTP_10,
    }
}

/// An answer's body, with the turn that ends when the library has had all of it; one that breaks takes the
/// connection with it.
struct AnswerBody {
    body: Body,
    aborter: StreamAborter,
    _turn: RequestTurn,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(Some(Err(_)))) {
            self.aborter.abort();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
