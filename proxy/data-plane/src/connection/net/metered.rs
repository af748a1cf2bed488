//! Counts a connection's bytes and notices when a request head begins.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;
use crate::connection::net::{BoxedIo, Io, poll_arrival};
use crate::connection::registry::{Connection, ConnectionPhase};
use crate::labels::Protocol;

/// A stream that counts bytes and pauses for its [`Connection`], and first returns the bytes that were read ahead for
/// protocol detection.
pub struct MeteredIo {
    io: BoxedIo,
    ahead: Bytes,
    connection: Arc<Connection>,
    clock: Arc<Clock>,
    is_socket: bool,
}

impl MeteredIo {
    /// Wraps `io`, of which `ahead` has been read already.
    #[must_use]
    pub fn new(io: BoxedIo, ahead: Bytes, connection: Arc<Connection>, clock: Arc<Clock>) -> Self {
        Self { io, ahead, connection, clock, is_socket: false }
    }

    /// The same for a TCP connection without TLS, whose end needs no more than its close.
    #[must_use]
    pub fn of_socket(self) -> Self {
        Self { is_socket: true, ..self }
    }

    /// Whether dropping it ends it in order: nothing has to be written for that, such as a close_notify.
    #[must_use]
    pub fn ends_when_dropped(&self) -> bool {
        self.is_socket
    }

    /// Waits, without a buffer, until the client has sent something, which is read ahead. False at the end of the stream.
    ///
    /// # Errors
    /// The stream's.
    pub fn poll_has_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.ahead.is_empty() {
            self.ahead = ready!(poll_arrival(&mut self.io, cx))?;
        }
        Poll::Ready(Ok(!self.ahead.is_empty()))
    }

    /// Seconds of the process clock.
    #[must_use]
    pub fn now(&self) -> u32 {
        self.clock.coarse()
    }

    /// After a pause the first bytes of HTTP/1 begin a request head, which has a deadline of its own. HTTP/2 has frames
    /// that begin no request, such as PING.
    fn received(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.connection.add_received(bytes);
        let http1 = self.connection.protocol() == Protocol::Http1;
        if http1 && self.connection.phase().0 == ConnectionPhase::Idle {
            self.connection.enter_phase(ConnectionPhase::Head, self.clock.coarse());
        }
    }
}

impl AsyncRead for MeteredIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.has_remaining() {
            let part = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(part));
            this.received(part);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        this.received(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl MeteredIo {
    /// Records a write: how much the client accepted, or since when it accepts nothing.
    fn sent(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                self.connection.is_read();
                self.connection.add_sent(*bytes);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.connection.is_unread(self.clock.coarse()),
        }
        written
    }
}

impl Io for MeteredIo {
    fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let chunk = match self.ahead.is_empty() {
            true => ready!(self.io.poll_read_chunk(cx))?,
            false => std::mem::take(&mut self.ahead),
        };
        self.received(chunk.len());
        Poll::Ready(Ok(chunk))
    }

    fn poll_write_chunk(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        let before = chunk.len();
        let written = self.io.poll_write_chunk(cx, chunk);
        self.sent(written.map_ok(|()| before - chunk.len())).map_ok(drop)
    }
}

impl AsyncWrite for MeteredIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        match flushed {
            // TLS buffers a little more than the client has accepted.
            Poll::Pending => self.connection.is_unread(self.clock.coarse()),
            Poll::Ready(_) => self.connection.is_read(),
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
