//! A byte stream that yields to the other tasks of its worker.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::net::BoxedIo;

/// How many bytes are read between two yields, at least: a few microseconds of work for a body, some milliseconds for a
/// peer that sends nothing but small heads. A yield costs well below a microsecond.
const TURN: usize = 256 << 10;

/// A stream from a server that may send without end, such as endless interim answers. The HTTP library reads for as
/// long as bytes are available, and tokio's budget counts reads, not bytes: without a yield in between, the other
/// connections and the deadlines of this worker would wait (SECURITY-CASES S-04).
pub struct YieldingIo {
    io: BoxedIo,
    /// Bytes that may still be read before the next yield.
    left: usize,
}

impl YieldingIo {
    /// Wraps `io`.
    #[must_use]
    pub fn new(io: BoxedIo) -> Self {
        Self { io, left: TURN }
    }
}

impl AsyncRead for YieldingIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.left = TURN;
            return yield_now(cx);
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.left = self.left.saturating_sub(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

/// Resumes after all other tasks, sockets and timers included; a plain wake would be polled before those.
fn yield_now<T>(cx: &mut Context<'_>) -> Poll<T> {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
    Poll::Pending
}

impl AsyncWrite for YieldingIo {
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
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::connection::net::Io;

    /// Always has more bytes, and never returns `Pending`.
    struct EndlessReader;

    impl AsyncRead for EndlessReader {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let all = buf.remaining();
            buf.initialize_unfilled().fill(b'x');
            buf.advance(all);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for EndlessReader {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Io for EndlessReader {}

    #[tokio::test]
    async fn s04_a_server_that_never_ends_leaves_others_their_turn() {
        let mut endless = YieldingIo::new(Box::new(EndlessReader));
        let reading = tokio::spawn(async move {
            let mut bytes = vec![0; 16 << 10];
            while endless.read(&mut bytes).await.is_ok() {}
        });
        // On this single thread the timer fires only when the reader yields.
        let others = tokio::time::sleep(Duration::from_millis(1));
        tokio::time::timeout(Duration::from_secs(5), others).await.expect("others have a turn");
        assert!(!reading.is_finished());
        reading.abort();
    }

    #[tokio::test]
    async fn nothing_is_lost_by_the_pauses() {
        let mut fair = YieldingIo::new(Box::new(EndlessReader));
        let mut bytes = vec![0; 3 * TURN + 1];
        fair.read_exact(&mut bytes).await.unwrap();
        assert!(bytes.iter().all(|byte| *byte == b'x'));
    }
}
