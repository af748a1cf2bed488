//! A byte stream that is read in large pieces, whatever the size of the reads above it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use super::{BoxedIo, Io, chunk};

/// A read ahead that brings no more than this is the last one, until a read is filled again.
const FEW: usize = 4 << 10;

/// The stream below TLS. The TLS library asks for 4 KiB at a time, which makes five system calls of a full record. Where
/// a read is filled, there is more: then one call reads what has arrived, up to four records. What the library has not
/// taken yet stays with the connection; one that waits holds nothing.
pub struct ReadAheadIo {
    io: BoxedIo,
    ahead: BytesMut,
    /// The last read brought much.
    much: bool,
}

impl ReadAheadIo {
    /// Wraps `io`.
    #[must_use]
    pub fn new(io: BoxedIo) -> Self {
        Self { io, ahead: BytesMut::new(), much: false }
    }

    /// Wraps `io`, with bytes that were read from it before: they come first.
    #[must_use]
    pub fn after(ahead: Bytes, io: BoxedIo) -> Self {
        Self { io, ahead: BytesMut::from(ahead), much: false }
    }
}

impl Io for ReadAheadIo {}

impl AsyncRead for ReadAheadIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && !self.much {
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            self.much = buf.remaining() == 0;
            return Poll::Ready(Ok(()));
        }
        if self.ahead.is_empty() {
            self.ahead = ready!(chunk::poll_read(&mut self.io, cx))?;
            self.much = self.ahead.len() > FEW;
        } else {
            // The socket counts its reads for tokio's budget; those that do not reach it count as well, so that a peer
            // that sends without end leaves others their turn.
            ready!(coop::poll_proceed(cx)).made_progress();
        }
        let part = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..part]);
        self.ahead.advance(part);
        if self.ahead.is_empty() {
            // Lets go of the worker's buffer.
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAheadIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn everything_arrives_in_order_whatever_the_size_of_reads() {
        let sent: Vec<u8> = (0..200_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for size in [1, 5, 4096, 100_000] {
            let (mut client, server) = duplex(3000);
            let source = sent.clone();
            let sending = tokio::spawn(async move {
                client.write_all(&source).await.unwrap();
                client.shutdown().await.unwrap();
            });
            let mut io = ReadAheadIo::new(Box::new(server));
            let (mut seen, mut piece) = (Vec::new(), vec![0; size]);
            loop {
                match io.read(&mut piece).await.unwrap() {
                    0 => break,
                    read => seen.extend_from_slice(&piece[..read]),
                }
            }
            assert!(seen == sent, "read by {size}: {} of {} bytes", seen.len(), sent.len());
            sending.await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_that_waits_holds_no_buffer() {
        let (mut client, server) = duplex(100_000);
        let mut io = ReadAheadIo::new(Box::new(server));
        client.write_all(&[b'a'; 50_000]).await.unwrap();
        io.read_exact(&mut [0; 4096]).await.unwrap();
        assert_eq!(io.ahead.len(), 0, "a first read may be all there is");
        io.read_exact(&mut [0; 4096]).await.unwrap();
        assert_eq!(io.ahead.len(), 50_000 - 2 * 4096);
        io.read_exact(&mut vec![0; 50_000 - 2 * 4096]).await.unwrap();
        assert_eq!(io.ahead.capacity(), 0);
    }
}
