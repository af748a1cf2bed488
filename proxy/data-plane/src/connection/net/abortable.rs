//! A TCP connection that can be ended by an abort after it has been wrapped in others.

use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Io;

/// A TCP connection whose close is an abort (RST) once its [`StreamAborter`] requests one: the other end then knows
/// that what it received is incomplete (SECURITY-CASES F-14).
pub struct AbortableStream {
    stream: TcpStream,
    aborter: StreamAborter,
}

/// Decides how a connection ends, also when its stream has been wrapped and moved. It does not keep the connection
/// open.
#[derive(Clone, Default)]
pub struct StreamAborter(Arc<AtomicBool>);

impl AbortableStream {
    /// Wraps a connection; it closes gracefully unless its aborter requests an abort.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, aborter: StreamAborter::default() }
    }

    /// The handle that decides how it ends.
    #[must_use]
    pub fn aborter(&self) -> StreamAborter {
        self.aborter.clone()
    }
}

impl StreamAborter {
    /// Makes the next close an abort.
    pub fn abort(&self) {
        self.0.store(true, Relaxed);
    }

    /// Makes the next close graceful again.
    pub fn close_in_order(&self) {
        self.0.store(false, Relaxed);
    }
}

impl Deref for AbortableStream {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for AbortableStream {
    fn drop(&mut self) {
        if self.aborter.0.load(Relaxed) {
            // It fails only on a socket that is already closed, and then nothing is left to do.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Io for AbortableStream {}

impl AsyncRead for AbortableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for AbortableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
