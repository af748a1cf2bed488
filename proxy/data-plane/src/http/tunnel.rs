//! A CONNECT stream of an HTTP/2 connection as a byte stream (RFC 9113 §8.5).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::net::Io;
use crate::http::h2_send::poll_room;
use crate::http::shared_connection::StreamCount;

/// Both directions of one stream. Shutting it down ends our direction; dropping it before that
/// resets the stream, which the other side sees as an abort.
pub struct Tunnel {
    send: SendStream<Bytes>,
    receive: RecvStream,
    ahead: Bytes,
    /// Bytes of a chunk that has been handed out, of which the sender does not know yet that they are taken.
    handed_out: usize,
    ended: bool,
    /// Counts the stream on the connection that we opened it on.
    stream: Option<StreamCount>,
}

impl Tunnel {
    /// Joins the halves of an accepted CONNECT stream.
    #[must_use]
    pub fn new(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        Self { send, receive, ahead: Bytes::new(), handed_out: 0, ended: false, stream: None }
    }

    /// Counts the stream as under way until the tunnel is dropped.
    #[must_use]
    pub(crate) fn with_stream(mut self, stream: StreamCount) -> Self {
        self.stream = Some(stream);
        self
    }

    /// The next bytes of the peer; none at its end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            match ready!(self.receive.poll_data(cx)) {
                // An empty frame is no end.
                Some(Ok(data)) if data.is_empty() => {}
                Some(data) => return Poll::Ready(data.map_err(broken)),
                None => return Poll::Ready(Ok(Bytes::new())),
            }
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(wanted);
        let room = ready!(poll_room(&mut self.send, cx)).map_err(broken)?;
        Poll::Ready(Ok(room.min(wanted)))
    }
}

fn broken(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into()),
        false => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}

impl Io for Tunnel {
    /// A chunk is a DATA frame as it came. The window opens when the next one is asked for, because the last one has
    /// been passed on then: a slow reader holds the sender back.
    fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let taken = std::mem::take(&mut self.handed_out);
        if taken > 0 {
            let _ = self.receive.flow_control().release_capacity(taken);
        }
        let chunk = match self.ahead.is_empty() {
            true => ready!(self.poll_data(cx))?,
            false => std::mem::take(&mut self.ahead),
        };
        self.handed_out = chunk.len();
        Poll::Ready(Ok(chunk))
    }

    fn poll_write_chunk(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        let room = ready!(self.poll_room(cx, chunk.len()))?;
        Poll::Ready(self.send.send_data(chunk.split_to(room), false).map_err(broken))
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            self.ahead = ready!(self.poll_data(cx))?;
        }
        let part = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..part]);
        self.ahead.advance(part);
        // The window opens as bytes are taken, so a slow reader holds the sender back.
        let _ = self.receive.flow_control().release_capacity(part);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(cx, buf.len()))?;
        self.send.send_data(Bytes::copy_from_slice(&buf[..room]), false).map_err(broken)?;
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            self.ended = true;
            self.send.send_data(Bytes::new(), true).map_err(broken)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if !self.ended {
            self.send.send_reset(Reason::CANCEL);
        }
    }
}
