//! What is written to an HTTP/1 client beside the library, which knows one answer to a request: interim answers
//! before it, and the reason in its own refusals.
//!
//! The library writes what it has, then flushes, which it does only when nothing of it is left. So two moments are
//! known: an interim answer may be written while its request waits for the answer and all before has gone
//! out; and what is written while no answer is due is the library's own word, a refusal of bytes
//! that are no request. Where the client reads so slowly that these moments do not come, nothing is added.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use http::StatusCode;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::gate::GateRefusal;
use crate::http::gate::raw::RawExchange;
use crate::http::headers::REASON_HEADER;
use crate::http::interim::InterimResponse;

/// Bytes of interim answers that wait for a client that does not read (SECURITY-CASES S-05); more are dropped.
const MOST_AHEAD: usize = 64 * 1024;

/// The connection of a client, as the library sees it.
pub(super) struct ClientIo<T> {
    inner: T,
    voice: ClientWriter,
}

/// Says something on an [`ClientIo`].
#[derive(Clone)]
pub(super) struct ClientWriter(Arc<Mutex<OutputState>>);

struct OutputState {
    due: ExpectedOutput,
    /// Nothing of the library's is under way.
    flushed: bool,
    /// To be written before anything of the library's.
    ahead: BytesMut,
    /// What the look at the client's bytes has refused.
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
    /// What is no answer any more: bytes after a switch of protocols, or after a refusal.
    Anything,
}

/// One request, until the library has had all of its answer.
pub(super) struct RequestTurn(ClientWriter);

impl Drop for RequestTurn {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        if let ExpectedOutput::Answer { given } = &mut state.due {
            *given = true;
        }
    }
}

impl RequestTurn {
    /// Says an interim answer, if it can come before the answer and after everything else.
    pub(super) fn say(&self, interim: &InterimResponse) {
        let mut state = self.0.0.lock();
        let text = head(interim);
        let due = state.due == ExpectedOutput::Answer { given: false } && state.flushed;
        if due && state.ahead.len() + text.len() <= MOST_AHEAD {
            state.ahead.extend_from_slice(&text);
        }
    }

    /// The answer switches protocols: what follows it is not ours.
    pub(super) fn switches(&self) {
        self.0.0.lock().due = ExpectedOutput::Anything;
    }
}

impl ClientWriter {
    /// A request has been read.
    pub(super) fn turn(&self) -> RequestTurn {
        self.0.lock().due = ExpectedOutput::Answer { given: false };
        RequestTurn(self.clone())
    }

    /// What the library has refused by itself.
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

/// What the library says to bytes that are no request, and why.
pub(super) fn refusal(status: StatusCode, raw: Option<&'static str>) -> GateRefusal {
    let reason = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "headers_too_large",
        StatusCode::URI_TOO_LONG => "target_too_long",
        _ => raw.unwrap_or("malformed_request"),
    };
    GateRefusal { status, reason, close: true }
}

impl<T> ClientIo<T> {
    /// Wraps a connection, at whose bytes `raw` has a look.
    pub(super) fn new(inner: T, raw: Arc<RawExchange>) -> (Self, ClientWriter) {
        let (due, ahead) = (ExpectedOutput::Nothing, BytesMut::new());
        let state = OutputState { due, flushed: true, ahead, raw, refusal: None };
        let voice = ClientWriter(Arc::new(Mutex::new(state)));
        (Self { inner, voice: voice.clone() }, voice)
    }
}

impl OutputState {
    /// Takes what the library says while no answer is due, and says why.
    fn take_refusal(&mut self, text: &[u8]) -> bool {
        let status = text.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.and_then(|digits| StatusCode::from_bytes(digits).ok());
        let line = text.windows(2).position(|pair| pair == b"\r\n");
        let (Some(status), Some(line)) = (status, line) else { return false };
        let refusal = refusal(status, self.raw.refused());
        self.ahead.extend_from_slice(&text[..line + 2]);
        let reason = format!("{}: {}\r\n", REASON_HEADER.as_str(), refusal.reason);
        self.ahead.extend_from_slice(reason.as_bytes());
        self.ahead.extend_from_slice(&text[line + 2..]);
        self.refusal = Some(refusal);
        true
    }
}

impl<T: AsyncWrite + Unpin> ClientIo<T> {
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.voice.0.lock();
        while !state.ahead.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(context, &state.ahead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.ahead.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the library may write; what it says of its own accord has been taken then.
    fn poll_taken(
        &mut self,
        context: &mut Context<'_>,
        text: impl FnOnce() -> Vec<u8>,
    ) -> Poll<io::Result<Option<usize>>> {
        ready!(self.poll_ahead(context))?;
        let mut state = self.voice.0.lock();
        if state.due == ExpectedOutput::Nothing {
            state.due = ExpectedOutput::Anything;
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
            let mut state = self.voice.0.lock();
            state.flushed = true;
            if state.due == (ExpectedOutput::Answer { given: true }) {
                state.due = ExpectedOutput::Nothing;
            }
        }
        ready!(self.poll_ahead(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ahead(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
