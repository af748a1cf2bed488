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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use http::{Request, Response};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const WINDOW: usize = 64 << 10;

    /// Both ends of one stream, whose receivers have this window.
    async fn pair() -> (Tunnel, Tunnel) {
        let (ours, theirs) = tokio::io::duplex(4 * WINDOW);
        let (accepted, theirs_end) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let window = u32::try_from(WINDOW).unwrap();
            let mut builder = h2::server::Builder::new();
            builder.initial_window_size(window).initial_connection_window_size(window);
            let mut serving = builder.handshake::<_, Bytes>(theirs).await.unwrap();
            let (request, mut respond) = serving.accept().await.unwrap().unwrap();
            let send = respond.send_response(Response::new(()), false).unwrap();
            let _ = accepted.send(Tunnel::new(send, request.into_body()));
            // Drives the connection.
            assert!(serving.accept().await.is_none());
        });
        let (mut sender, connection) = h2::client::handshake(ours).await.unwrap();
        tokio::spawn(connection);
        let (response, send) = sender.send_request(Request::new(()), false).unwrap();
        let receive = response.await.unwrap().into_body();
        (Tunnel::new(send, receive), theirs_end.await.unwrap())
    }

    async fn next(tunnel: &mut Tunnel) -> io::Result<Bytes> {
        poll_fn(|cx| tunnel.poll_read_chunk(cx)).await
    }

    /// Writes this many bytes, or those that are taken before nothing moves any more.
    async fn write(tunnel: &mut Tunnel, many: usize) -> usize {
        let mut chunk = Bytes::from(vec![b'x'; many]);
        while !chunk.is_empty() {
            let written = poll_fn(|cx| tunnel.poll_write_chunk(cx, &mut chunk));
            if tokio::time::timeout(Duration::from_secs(1), written).await.is_err() {
                break;
            }
        }
        many - chunk.len()
    }

    #[tokio::test(start_paused = true)]
    async fn s05_a_chunk_opens_the_window_when_the_next_is_asked_for() {
        let (mut sender, mut reader) = pair().await;
        assert_eq!(write(&mut sender, 2 * WINDOW).await, WINDOW);
        let mut read = next(&mut reader).await.unwrap().len();
        assert!(read < WINDOW / 2, "{read}");
        // It is in the reader's hands, and may not have been passed on.
        assert_eq!(write(&mut sender, WINDOW).await, 0);
        while read < WINDOW {
            read += next(&mut reader).await.unwrap().len();
        }
        // All but the last have been.
        let more = write(&mut sender, WINDOW).await;
        assert!(more > 0 && more < WINDOW, "{more}");
    }

    #[tokio::test(start_paused = true)]
    async fn f14_an_end_is_clean_and_a_drop_is_a_reset() {
        let (mut sender, mut reader) = pair().await;
        assert_eq!(write(&mut sender, 10).await, 10);
        sender.shutdown().await.unwrap();
        assert_eq!(next(&mut reader).await.unwrap().len(), 10);
        assert!(next(&mut reader).await.unwrap().is_empty());
        drop(reader);
        assert!(next(&mut sender).await.is_err());
    }
}
