//! What is written to an HTTP/1 client beside the library, which knows one answer to a request: interim answers
//! before the final one, and the reason header in the refusals that the library writes by itself.
//!
//! The library writes what it has, then flushes, which it does only when nothing of it is left. So two moments are
//! known: an interim answer may be written while its request waits for the final answer and everything before it has
//! gone out; and what the library writes while no answer is expected is a refusal of its own, to bytes that are no
//! request. Where the client reads so slowly that these moments do not come, nothing is added.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use http::StatusCode;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::body::BodyGuard;
use crate::http::gate::GateRefusal;
use crate::http::gate::raw::RawExchange;
use crate::http::headers::REASON_HEADER;
use crate::http::interim::InterimResponse;

/// Bytes of interim answers that wait for a client that does not read (SECURITY-CASES S-05); more are dropped.
const MOST_AHEAD: usize = 64 * 1024;

/// The connection of a client, as the library sees it.
pub(super) struct ClientIo<T> {
    inner: T,
    writer: ClientWriter,
    /// Dropping the connection ends it in order.
    ends_when_dropped: bool,
}

/// The handle by which requests and the server write through a [`ClientIo`].
#[derive(Clone)]
pub(super) struct ClientWriter(Arc<Mutex<OutputState>>);

struct OutputState {
    expected: ExpectedOutput,
    /// Everything that the library has written has been flushed.
    flushed: bool,
    /// Bytes that were flushed still wait below, such as in TLS.
    stuck: bool,
    /// Requests that the library has handed on.
    requests: u64,
    /// An answer has switched protocols.
    switched: bool,
    /// Bodies of requests that have not been read to their end.
    bodies: u32,
    /// Bytes to be written before the library's next ones.
    pending: BytesMut,
    /// The check of the client's raw bytes, which knows why it refused them.
    raw: Arc<RawExchange>,
    refusal: Option<GateRefusal>,
}

/// What the library is to write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ExpectedOutput {
    /// Nothing: every answer has gone out whole.
    Nothing,
    /// An answer; whether the library has had all of it.
    Answer { given: bool },
    /// Anything: bytes after a switch of protocols, or after a refusal, are no answer; nor is the end.
    Anything,
}

/// One request, until the library has had all of its answer.
pub(super) struct RequestTurn(ClientWriter);

impl Drop for RequestTurn {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        if let ExpectedOutput::Answer { given } = &mut state.expected {
            *given = true;
        }
    }
}

impl RequestTurn {
    /// Notes that the request has a body: until the returned value is dropped, the library may have some of it.
    pub(super) fn begin_body(&self) -> Box<BodyTurn> {
        self.0.0.lock().bodies += 1;
        Box::new(BodyTurn(self.0.clone()))
    }

    /// Writes an interim answer, if it can still go out before the final answer and after everything else.
    pub(super) fn send_interim(&self, interim: &InterimResponse) {
        let mut state = self.0.0.lock();
        let text = head(interim);
        let in_turn = state.expected == ExpectedOutput::Answer { given: false } && state.flushed;
        if in_turn && state.pending.len() + text.len() <= MOST_AHEAD {
            state.pending.extend_from_slice(&text);
        }
    }

    /// The answer switches protocols: what follows it is not ours.
    pub(super) fn switch_protocols(&self) {
        let mut state = self.0.0.lock();
        state.expected = ExpectedOutput::Anything;
        state.switched = true;
    }
}

/// The body of a request, until its end has been read or nobody reads it any more.
pub(super) struct BodyTurn(ClientWriter);

impl BodyGuard for BodyTurn {}

impl Drop for BodyTurn {
    fn drop(&mut self) {
        self.0.0.lock().bodies -= 1;
    }
}

impl ClientWriter {
    /// Whether nothing is under way: as many requests have come as the library has handed on, whole, and each answer has
    /// gone out whole. Only to be asked right after the library was polled: it then has nothing of the client's either.
    pub(super) fn is_at_rest(&self) -> bool {
        let state = self.0.lock();
        state.expected == ExpectedOutput::Nothing
            && state.flushed
            && !state.stuck
            && state.pending.is_empty()
            && state.bodies == 0
            && state.raw.whole_messages() == Some(state.requests)
    }

    /// Notes that a request has been read; its answer is expected until the returned value is dropped.
    pub(super) fn begin_request(&self) -> RequestTurn {
        let mut state = self.0.lock();
        state.expected = ExpectedOutput::Answer { given: false };
        state.requests += 1;
        drop(state);
        RequestTurn(self.clone())
    }

    /// The refusal that the library has written by itself, if it has.
    pub(super) fn refusal(&self) -> Option<GateRefusal> {
        self.0.lock().refusal
    }
}

fn head(InterimResponse { status, headers }: &InterimResponse) -> Vec<u8> {
    let phrase = status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {phrase}\r\n", status.as_str()).into_bytes();
    for (name, value) in headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// The library's refusal of bytes that are no request, with the reason.
pub(super) fn refusal(status: StatusCode, raw: Option<&'static str>) -> GateRefusal {
    let reason = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "headers_too_large",
        StatusCode::URI_TOO_LONG => "target_too_long",
        _ => raw.unwrap_or("malformed_request"),
    };
    GateRefusal { status, reason, close: true }
}

impl<T> ClientIo<T> {
    /// Wraps a connection whose bytes `raw` checks. Where dropping it ends it in order, its end costs no system call
    /// of its own.
    pub(super) fn new(
        inner: T,
        raw: Arc<RawExchange>,
        ends_when_dropped: bool,
    ) -> (Self, ClientWriter) {
        let (expected, pending) = (ExpectedOutput::Nothing, BytesMut::new());
        let state = OutputState {
            expected,
            flushed: true,
            stuck: false,
            requests: 0,
            switched: false,
            bodies: 0,
            pending,
            raw,
            refusal: None,
        };
        let writer = ClientWriter(Arc::new(Mutex::new(state)));
        (Self { inner, writer: writer.clone(), ends_when_dropped }, writer)
    }

    /// The connection that was wrapped.
    pub(super) fn into_inner(self) -> T {
        self.inner
    }
}

impl OutputState {
    /// Takes over what the library writes while no answer is expected, and adds the reason header.
    fn take_refusal(&mut self, text: &[u8]) -> bool {
        let status = text.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.and_then(|digits| StatusCode::from_bytes(digits).ok());
        let line = text.windows(2).position(|pair| pair == b"\r\n");
        let (Some(status), Some(line)) = (status, line) else { return false };
        let refusal = refusal(status, self.raw.refused());
        self.pending.extend_from_slice(&text[..line + 2]);
        let reason = format!("{}: {}\r\n", REASON_HEADER.as_str(), refusal.reason);
        self.pending.extend_from_slice(reason.as_bytes());
        self.pending.extend_from_slice(&text[line + 2..]);
        self.refusal = Some(refusal);
        true
    }
}

impl<T: AsyncWrite + Unpin> ClientIo<T> {
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.writer.0.lock();
        while !state.pending.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(context, &state.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.pending.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the library may write. `Some` when the text was a refusal, which has been taken over.
    fn poll_taken(
        &mut self,
        context: &mut Context<'_>,
        text: impl FnOnce() -> Vec<u8>,
    ) -> Poll<io::Result<Option<usize>>> {
        ready!(self.poll_ahead(context))?;
        let mut state = self.writer.0.lock();
        if state.expected == ExpectedOutput::Nothing {
            state.expected = ExpectedOutput::Anything;
            let text = text();
            if state.take_refusal(&text) {
                return Poll::Ready(Ok(Some(text.len())));
            }
        }
        state.flushed = false;
        Poll::Ready(Ok(None))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ClientIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ClientIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.poll_taken(context, || bytes.to_vec()))? {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Pin::new(&mut self.inner).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let text = || slices.iter().flat_map(|slice| slice.to_vec()).collect();
        match ready!(self.poll_taken(context, text))? {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Pin::new(&mut self.inner).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut state = self.writer.0.lock();
            state.flushed = true;
            state.stuck = false;
            if state.expected == (ExpectedOutput::Answer { given: true }) {
                state.expected = ExpectedOutput::Nothing;
            }
        }
        ready!(self.poll_ahead(context))?;
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if flushed.is_pending() {
            self.writer.0.lock().stuck = true;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ahead(context))?;
        let mut state = self.writer.0.lock();
        state.expected = ExpectedOutput::Anything;
        // What was switched to may end one direction and go on in the other.
        if self.ends_when_dropped && !state.switched {
            return Poll::Ready(Ok(()));
        }
        drop(state);
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
