//! Reading without a buffer while nothing is there to be read.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

/// The most that is read at once; a request head is smaller, and a larger one is read on by whoever serves it.
const MOST: usize = 8 << 10;

/// Reads what has arrived, and keeps no buffer until it has: clients that send nothing for a long time cost none. The
/// result is empty at the end of the stream.
///
/// # Errors
/// The stream's.
pub fn poll_arrival(
    io: &mut (impl AsyncRead + Unpin + ?Sized),
    context: &mut Context<'_>,
) -> Poll<io::Result<Bytes>> {
    // On the stack, and not written to beforehand: it lasts for one call.
    let mut space = [const { MaybeUninit::uninit() }; MOST];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(io).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
}
