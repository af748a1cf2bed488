//! Copies opaque bytes in both directions, each half closed on its own.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;

use crate::clock::unix_now;
use crate::connection::net::{Io, StreamAborter};
use crate::connection::registry::Connection;
use crate::labels::CloseReason;

/// How many bytes one direction passes on before the other tasks of its worker have their turn: below a tenth of a
/// millisecond of work.
const TURN: usize = 256 << 10;

/// Copies until both directions have ended, the connection is asked to close, or either side breaks: then the other
/// side sees a reset and never a clean end (SECURITY-CASES F-14).
pub async fn copy_both_ways(
    mut client: impl Io,
    mut upstream: impl Io,
    connection: &Connection,
    aborters: &[StreamAborter],
) -> CloseReason {
    // Lent, so that neither side is closed before it is known how.
    let copied = tokio::select! {
        copied = copy(&mut client, &mut upstream) => copied,
        reason = until_cut(connection) => {
            aborters.iter().for_each(StreamAborter::abort);
            return reason;
        }
    };
    match copied {
        Ok(()) => CloseReason::Done,
        Err(error) => {
            aborters.iter().for_each(StreamAborter::abort);
            broken_reason(connection, &error)
        }
    }
}

/// Why a side broke.
pub(crate) fn broken_reason(connection: &Connection, error: &io::Error) -> CloseReason {
    // The mesh connection may have been cut before the notification arrived here.
    let cut = connection.closing().filter(|reason| !reason.is_graceful());
    cut.unwrap_or_else(|| match connection.has_expired(unix_now()) {
        // The other side cuts at the same second.
        true => CloseReason::CertificateEnded,
        false => cut_reason(error),
    })
}

/// Copies until both directions have ended.
///
/// # Errors
/// The first of either side.
async fn copy(client: &mut impl Io, upstream: &mut impl Io) -> io::Result<()> {
    let (mut up, mut down) = (HalfCopy::default(), HalfCopy::default());
    poll_fn(|cx| {
        let up = up.poll(client, upstream, cx)?;
        let down = down.poll(upstream, client, cx)?;
        match up.is_ready() && down.is_ready() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    })
    .await
}

/// One direction: what of the last chunk has not been written yet, and how far its end has got.
#[derive(Default)]
struct HalfCopy {
    chunk: Bytes,
    /// Something has been written, and not flushed since.
    unflushed: bool,
    end: End,
}

/// How far the end of a direction has got.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum End {
    #[default]
    NotYet,
    /// The source has ended, the other side does not know yet.
    Seen,
    PassedOn,
}

impl HalfCopy {
    /// Passes on what can be passed on; ready at the end of this direction.
    fn poll(
        &mut self,
        from: &mut impl Io,
        to: &mut impl Io,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut passed = 0;
        while self.end == End::NotYet {
            while !self.chunk.is_empty() {
                ready!(to.poll_write_chunk(cx, &mut self.chunk))?;
                self.unflushed = true;
            }
            if passed >= TURN {
                return yield_now(cx);
            }
            match from.poll_read_chunk(cx)? {
                Poll::Ready(chunk) if chunk.is_empty() => self.end = End::Seen,
                Poll::Ready(chunk) => {
                    passed += chunk.len();
                    self.chunk = chunk;
                }
                Poll::Pending => {
                    ready!(self.poll_flush(to, cx))?;
                    return Poll::Pending;
                }
            }
        }
        if self.end == End::Seen {
            ready!(self.poll_flush(to, cx))?;
            ready!(Pin::new(to).poll_shutdown(cx))?;
            self.end = End::PassedOn;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, to: &mut impl Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// Resumes after all other tasks, sockets and timers included.
fn yield_now<T>(cx: &mut Context<'_>) -> Poll<T> {
    let _ = pin!(tokio::task::yield_now()).poll_unpin(cx);
    Poll::Pending
}

/// Opaque bytes have no point at which they could end gracefully, so only an abort cuts them: not a drain, but its
/// deadline; not the approaching end of a certificate, but the end itself.
pub(crate) async fn until_cut(connection: &Connection) -> CloseReason {
    loop {
        let reason = connection.asked_to_close().await;
        if !reason.is_graceful() {
            return reason;
        }
    }
}

fn cut_reason(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::TimedOut => CloseReason::Idle,
        _ => CloseReason::Error,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{
        AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex,
    };
    use tokio::task::JoinHandle;

    use super::*;
    use crate::connection::net::AbortableStream;
    use crate::connection::registry::Registry;
    use crate::labels::Direction;

    /// An app and a server with a copy between them; the pipes hold few bytes, so that chunks are written in parts.
    fn between() -> (DuplexStream, DuplexStream, JoinHandle<io::Result<()>>) {
        let (app, client) = duplex(1000);
        let (upstream, server) = duplex(700);
        (app, server, tokio::spawn(copy_owned(client, upstream)))
    }

    async fn copy_owned(mut client: impl Io, mut upstream: impl Io) -> io::Result<()> {
        copy(&mut client, &mut upstream).await
    }

    fn bytes(many: usize, seed: usize) -> Vec<u8> {
        (0..many).map(|at| u8::try_from((at * 31 + seed) % 251).unwrap()).collect()
    }

    #[tokio::test]
    async fn both_directions_arrive_whole_and_end_each_on_its_own() {
        let (mut app, mut server, copied) = between();
        let question = bytes(300_000, 1);
        let asked = question.clone();
        let asking = tokio::spawn(async move {
            app.write_all(&asked).await.unwrap();
            app.shutdown().await.unwrap();
            app
        });
        let mut seen = Vec::new();
        server.read_to_end(&mut seen).await.unwrap();
        assert!(seen == question, "{} of {} bytes", seen.len(), question.len());
        // The other direction goes on after the end of the first.
        let mut app = asking.await.unwrap();
        let answer = bytes(200_000, 2);
        let said = answer.clone();
        let answering = tokio::spawn(async move {
            server.write_all(&said).await.unwrap();
            server.shutdown().await.unwrap();
        });
        let mut seen = Vec::new();
        app.read_to_end(&mut seen).await.unwrap();
        assert!(seen == answer, "{} of {} bytes", seen.len(), answer.len());
        answering.await.unwrap();
        assert!(copied.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn an_end_of_one_direction_is_not_the_end() {
        let (mut app, mut server, copied) = between();
        app.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        tokio::task::yield_now().await;
        assert!(!copied.is_finished());
        copied.abort();
    }

    #[tokio::test]
    async fn f14_a_side_that_breaks_breaks_the_other() {
        let (app, mut server, copied) = between();
        // What the server says finds no reader any more.
        drop(app);
        let _ = server.write_all(&bytes(5000, 3)).await;
        assert!(copied.await.unwrap().is_err());
    }

    /// A client over TCP, beside an upstream whose other end does this with it.
    async fn heard_by_the_client(end: impl FnOnce(DuplexStream)) -> io::Result<usize> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        let accepted = AbortableStream::new(listener.accept().await.unwrap().0);
        let registry = Arc::new(Registry::new(1));
        let connection = registry.register(0, Direction::Outbound, address, address, 0);
        let (upstream, server) = duplex(700);
        let aborters = [accepted.aborter()];
        client.write_all(&bytes(10, 4)).await.unwrap();
        end(server);
        client.shutdown().await.unwrap();
        copy_both_ways(accepted, upstream, &connection, &aborters).await;
        client.read(&mut [0; 8]).await
    }

    #[tokio::test]
    async fn f14_an_upstream_that_breaks_is_an_abort_for_the_client() {
        // What the client has sent finds no reader any more.
        let broken = heard_by_the_client(drop).await;
        assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let ended = heard_by_the_client(|mut server| {
            tokio::spawn(async move {
                server.read_to_end(&mut Vec::new()).await.unwrap();
                server.shutdown().await
            });
        });
        assert_eq!(ended.await.unwrap(), 0);
    }

    /// Sends and takes without end, and never returns `Pending`.
    struct Endless;

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buf.put_slice(&[b'x'; 1024]);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
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

    impl Io for Endless {}

    #[tokio::test]
    async fn s04_bytes_without_end_leave_others_their_turn() {
        let copied = tokio::spawn(copy_owned(Endless, Endless));
        // On this single thread the timer fires only when the copy yields.
        let others = tokio::time::sleep(Duration::from_millis(1));
        tokio::time::timeout(Duration::from_secs(5), others).await.expect("others have a turn");
        assert!(!copied.is_finished());
        copied.abort();
    }
}
