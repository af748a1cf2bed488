//! The HTTP server side: hyper for HTTP/1.1, the `h2` library for HTTP/2.
//!
//! Both pass each request to one [`Handler`], and both end when their connection is asked to: at once, or gracefully
//! (`Connection: close`, GOAWAY) when open requests may finish.

mod client_io;
mod http1;
mod http2;

use std::future::Future;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderValue};
use http::{Request, Response, StatusCode, Version, request};

use crate::connection::net::MeteredIo;
use crate::connection::registry::{Connection, ConnectionPhase};
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::http::field_set::FieldSet;
use crate::http::gate::GateRefusal;
use crate::http::interim::{InterimResponse, InterimSender};
use crate::http::tunnel::Tunnel;
use crate::labels::{Direction, Protocol};
pub use http1::http1;
pub use http2::http2;

/// Answers the requests of one connection.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers a request. It is boxed, because each future that it passes through would hold it whole, twice.
    fn request(&self, request: Box<Request<Body>>) -> impl Future<Output = Response<Body>> + Send;

    /// Records a request that was refused before it could be passed to the handler.
    fn malformed(&self, refusal: GateRefusal);

    /// Serves a CONNECT stream of HTTP/2 to its end.
    fn stream(
        &self,
        head: request::Parts,
        stream: ConnectStream,
    ) -> impl Future<Output = ()> + Send;
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
        // The client may be gone; then the answer is not needed.
        let _ = self.respond.send_response(Response::from_parts(parts, ()), true);
    }
}

/// A client of ours that has not sent a request yet has the head timeout for it. Our own apps, and other proxies, whose
/// connections carry many requests, may be idle from the beginning.
fn await_first(io: &MeteredIo, connection: &Connection) {
    let waits =
        connection.direction == Direction::Outbound || connection.protocol() == Protocol::Postern;
    connection
        .enter_phase(if waits { ConnectionPhase::Idle } else { ConnectionPhase::First }, io.now());
}

/// A client that may wait for the app's 100 before it sends the body (RFC 9110 §10.1.1).
#[derive(Debug, Clone, Copy)]
struct ContinueExpectation {
    waits: bool,
    continue_sent: bool,
}

impl ContinueExpectation {
    /// Of this request. Without a body there is nothing to wait for, and HTTP/1.0 has no such wait: the field is
    /// removed then.
    fn of(request: &mut Request<Body>) -> Self {
        let mut lines = request.headers().get_all(EXPECT).iter();
        let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        // Any other expectation is refused by the gate.
        let mut waits = lines.next().is_some_and(known) && lines.next().is_none();
        if waits && (request.version() == Version::HTTP_10 || request.body().is_empty()) {
            request.headers_mut().remove(EXPECT);
            waits = false;
        }
        Self { waits, continue_sent: false }
    }

    /// Whether an interim answer is for the client: 100 is for one that waits.
    fn takes(&mut self, interim: &InterimResponse) -> bool {
        let is_continue = interim.status == StatusCode::CONTINUE;
        self.continue_sent |= is_continue;
        self.waits || !is_continue
    }

    /// A client that waits for 100 before the body, and did not get it, may send the body or the next request: the two
    /// are indistinguishable, so the connection ends.
    fn end(self, response: &mut Response<Body>) {
        if self.waits && !self.continue_sent && response.status() != StatusCode::SWITCHING_PROTOCOLS
        {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// A request that is ready for its handler, with what the server keeps to itself meanwhile.
struct PreparedRequest {
    request: Box<Request<Body>>,
    /// Where the interim answers to it arrive.
    interims: InterimSender,
    expectation: ContinueExpectation,
}

impl PreparedRequest {
    /// Of a request as the library delivers it. `interims` accepts none where the client understands none.
    fn new(mut request: Box<Request<Body>>, interims: InterimSender) -> Self {
        let expectation = ContinueExpectation::of(&mut request);
        Self { request, interims, expectation }
    }
}

/// Removes what HTTP/2 messages must not carry (RFC 9113 §8.2.2).
fn strip_for_http2(headers: &mut http::HeaderMap<HeaderValue>) {
    if !FieldSet::of(headers).has_any(FieldSet::HOP_BY_HOP) {
        return;
    }
    for name in [CONNECTION, http::header::TRANSFER_ENCODING, http::header::UPGRADE] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

#[cfg(test)]
mod tests;
