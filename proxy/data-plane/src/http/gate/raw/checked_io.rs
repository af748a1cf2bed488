//! HTTP/1 connections whose incoming bytes pass a [`RawCheck`].

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::RawCheck;

/// What a connection and its users share: the library owns the connection, and reports only that it could not read what
/// arrived.
#[derive(Debug, Default)]
pub struct RawExchange(Mutex<RawExchangeState>);

#[derive(Debug, Default)]
struct RawExchangeState {
    /// A request is sent, and the connection has not taken note of it yet.
    next: Option<RawCheck>,
    /// A byte has arrived since.
    begun: bool,
    refused: Option<&'static str>,
    /// How many messages have arrived, if nothing of another one has.
    whole: Option<u64>,
}

impl RawExchange {
    /// A request is sent: what arrives from now on is its answer.
    pub fn begin(&self, head_only: bool) {
        let next = Some(RawCheck::answer(head_only));
        *self.0.lock() = RawExchangeState { next, ..Default::default() };
    }

    /// Whether a byte of the answer has arrived.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.lock().begun
    }

    /// How many messages have arrived, if what has arrived ends with the end of one.
    #[must_use]
    pub fn whole_messages(&self) -> Option<u64> {
        self.0.lock().whole
    }

    /// Why the check refused what arrived, if it did.
    #[must_use]
    pub fn refused(&self) -> Option<&'static str> {
        self.0.lock().refused
    }
}

/// An HTTP/1 connection whose incoming bytes pass a [`RawCheck`]. Writing is untouched.
#[derive(Debug)]
pub struct CheckedIo<T> {
    inner: T,
    check: RawCheck,
    exchange: Arc<RawExchange>,
}

impl<T> CheckedIo<T> {
    /// A connection that requests come on.
    pub fn requests(inner: T) -> (Self, Arc<RawExchange>) {
        Self::new(inner, RawCheck::default())
    }

    /// A connection that answers come on, each after [`RawExchange::begin`].
    pub fn answers(inner: T) -> (Self, Arc<RawExchange>) {
        Self::new(inner, RawCheck::nothing())
    }

    /// The connection itself. What it has checked so far is forgotten.
    pub fn into_inner(self) -> T {
        self.inner
    }

    fn new(inner: T, check: RawCheck) -> (Self, Arc<RawExchange>) {
        let exchange = Arc::new(RawExchange::default());
        (Self { inner, check, exchange: exchange.clone() }, exchange)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for CheckedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.check.is_in_body()
            && let Some(reason) = self.check.refused()
        {
            // What came before it has been handed on. The library would wait for an end that it understands.
            return Poll::Ready(Err(std::io::Error::new(std::io::ErrorKind::InvalidData, reason)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let this = &mut *self;
        let mut exchange = this.exchange.0.lock();
        if let Some(next) = exchange.next.take() {
            this.check = next;
        }
        let arrived = &mut buffer.filled_mut()[before..];
        exchange.begun |= !arrived.is_empty();
        this.check.feed(arrived);
        exchange.refused = this.check.refused();
        exchange.whole = this.check.whole_messages();
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for CheckedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
