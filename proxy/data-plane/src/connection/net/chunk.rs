//! Bytes handed on in chunks: read into the worker's buffer, and written without being copied again.
//!
//! A connection that waits for bytes holds no buffer. Its worker has one, and a connection takes from it only what it
//! has read.

use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

/// The most bytes of one chunk: four full TLS records (RFC 8446 §5.1), less the head of an HTTP/2 frame (RFC 9113 §4.1)
/// around them.
pub const CHUNK: usize = 4 * (16 << 10) - 9;

/// A chunk smaller than this is copied out of the worker's buffer, so that a few bytes that nobody takes hold no more
/// than four times their own size.
const SMALLEST_SHARED: usize = CHUNK / 4;

thread_local! {
    /// The buffer of this worker. What has been taken out of it lives as long as it is needed; the rest is used again.
    static BUFFER: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// Reads what is there, at most [`CHUNK`] bytes. It is empty at the end of the stream.
///
/// # Errors
/// The stream's.
pub(super) fn poll_read<R: AsyncRead + Unpin + ?Sized>(
    io: &mut R,
    cx: &mut Context<'_>,
) -> Poll<io::Result<BytesMut>> {
    // Taken out while it is in use: what is read may itself be read in chunks, as TLS is.
    let mut buffer = BUFFER.take().unwrap_or_default();
    buffer.reserve(CHUNK);
    let read = pin!(io.read_buf(&mut (&mut buffer).limit(CHUNK))).poll(cx);
    let chunk = match buffer.len() {
        0 => BytesMut::new(),
        few if few < SMALLEST_SHARED => {
            let copied = BytesMut::from(&buffer[..]);
            buffer.clear();
            copied
        }
        _ => buffer.split(),
    };
    BUFFER.set(Some(buffer));
    read.map_ok(|_| chunk)
}

/// Writes from the front of `chunk` what the stream takes.
///
/// # Errors
/// The stream's, and [`io::ErrorKind::WriteZero`].
pub(super) fn poll_write<W: AsyncWrite + Unpin + ?Sized>(
    io: &mut W,
    cx: &mut Context<'_>,
    chunk: &mut Bytes,
) -> Poll<io::Result<()>> {
    match ready!(Pin::new(io).poll_write(cx, chunk))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        taken => {
            chunk.advance(taken);
            Poll::Ready(Ok(()))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_chunk_is_what_is_there() {
        for sent in [1, SMALLEST_SHARED - 1, SMALLEST_SHARED, CHUNK - 1, CHUNK, CHUNK + 1] {
            let (mut client, mut server) = duplex(2 * CHUNK);
            client.write_all(&vec![b'a'; sent]).await.unwrap();
            client.shutdown().await.unwrap();
            let mut read = Vec::new();
            loop {
                let chunk = poll_fn(|cx| poll_read(&mut server, cx)).await.unwrap();
                if chunk.is_empty() {
                    break;
                }
                assert_eq!(chunk.len(), CHUNK.min(sent - read.len()));
                read.extend_from_slice(&chunk);
            }
            assert_eq!(read, vec![b'a'; sent]);
        }
    }

    #[tokio::test]
    async fn chunks_that_are_kept_stay_as_they_are() {
        let (mut client, mut server) = duplex(CHUNK);
        let mut kept = Vec::new();
        for (letter, many) in [(b'a', 10), (b'b', CHUNK), (b'c', SMALLEST_SHARED), (b'd', 10)] {
            client.write_all(&vec![letter; many]).await.unwrap();
            kept.push(poll_fn(|cx| poll_read(&mut server, cx)).await.unwrap());
        }
        for (chunk, (letter, many)) in
            kept.iter().zip([(b'a', 10), (b'b', CHUNK), (b'c', SMALLEST_SHARED), (b'd', 10)])
        {
            assert_eq!(chunk[..], vec![letter; many]);
        }
    }

    #[tokio::test]
    async fn s05_a_few_bytes_hold_no_more_than_four_times_their_size() {
        let (mut client, mut server) = duplex(CHUNK);
        for many in [1, 100, SMALLEST_SHARED - 1, SMALLEST_SHARED, CHUNK] {
            client.write_all(&vec![b'a'; many]).await.unwrap();
            let chunk = poll_fn(|cx| poll_read(&mut server, cx)).await.unwrap();
            let held = chunk.capacity();
            assert!(held <= 4 * many.max(16), "{many} bytes hold {held}");
        }
    }
}
