//! What of a session's output goes to one side, and how far the end of that direction has got.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};

use crate::connection::net::{CHUNK, Io};

/// A piece smaller than this is written together with those behind it: a session hands on every message by itself, and
/// each write is a system call, a TLS record or a frame.
const SMALL: usize = 4 << 10;

/// The bytes for one side that have not been written yet.
#[derive(Default)]
pub(super) struct Outgoing {
    queue: VecDeque<Bytes>,
    /// How many bytes are in the queue.
    queued: usize,
    /// What is being written.
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
    /// The other side has ended; this one does not know yet.
    Seen,
    PassedOn,
}

impl Outgoing {
    /// Takes the pieces that a session adds.
    pub(super) fn add(&mut self, pieces: &mut VecDeque<Bytes>) {
        self.queued += pieces.iter().map(Bytes::len).sum::<usize>();
        self.queue.append(pieces);
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.chunk.is_empty() && self.queue.is_empty()
    }

    /// How many bytes wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.chunk.len() + self.queued
    }

    /// The other side has said its last.
    pub(super) fn end(&mut self) {
        if self.end == End::NotYet {
            self.end = End::Seen;
        }
    }

    /// Whether the other side may still say something.
    pub(super) fn is_open(&self) -> bool {
        self.end == End::NotYet
    }

    /// Whether this side has everything, and knows that no more will come.
    pub(super) fn is_over(&self) -> bool {
        self.end == End::PassedOn
    }

    /// Writes what the side takes; ready when nothing is left.
    ///
    /// # Errors
    /// The side's.
    pub(super) fn poll_write(
        &mut self,
        to: &mut impl Io,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.chunk.has_remaining() {
                ready!(to.poll_write_chunk(cx, &mut self.chunk))?;
                self.unflushed = true;
            }
            let Some(chunk) = next_chunk(&mut self.queue) else { return Poll::Ready(Ok(())) };
            self.queued = self.queued.saturating_sub(chunk.len());
            self.chunk = chunk;
        }
    }

    /// Flushes what has been written, and passes the end on once all of it has been; ready when nothing is left to do.
    ///
    /// # Errors
    /// The side's.
    pub(super) fn poll_finish(
        &mut self,
        to: &mut impl Io,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_write(to, cx))?;
        if self.unflushed {
            ready!(Pin::new(&mut *to).poll_flush(cx))?;
            self.unflushed = false;
        }
        if self.end == End::Seen {
            ready!(Pin::new(to).poll_shutdown(cx))?;
            self.end = End::PassedOn;
        }
        Poll::Ready(Ok(()))
    }
}

/// The next piece, or small ones in one.
fn next_chunk(queue: &mut VecDeque<Bytes>) -> Option<Bytes> {
    let first = queue.pop_front()?;
    let mut together = first.len();
    let followers = queue.iter().take_while(|next| {
        together += next.len();
        next.len() < SMALL && together <= CHUNK
    });
    let followers = if first.len() < SMALL { followers.count() } else { 0 };
    if followers == 0 {
        return Some(first);
    }
    let mut gathered = BytesMut::with_capacity(together.min(CHUNK));
    gathered.extend_from_slice(&first);
    queue.drain(..followers).for_each(|next| gathered.extend_from_slice(&next));
    Some(gathered.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_written_in_one_and_large_ones_as_they_are() {
        for (name, pieces, expect) in [
            ("nothing", vec![], vec![]),
            ("one", vec![10], vec![10]),
            ("small ones", vec![10, 20, 30], vec![60]),
            ("nothing among them", vec![0, 0, 5], vec![5]),
            ("a large one", vec![SMALL, 1], vec![SMALL, 1]),
            ("small ones around a large one", vec![1, 2, SMALL, 3, 4], vec![3, SMALL, 7]),
            ("more than a chunk", vec![SMALL - 1; 20], vec![16 * (SMALL - 1), 4 * (SMALL - 1)]),
        ] {
            let mut queue: VecDeque<Bytes> =
                pieces.iter().map(|length| vec![b'x'; *length].into()).collect();
            let chunks: Vec<usize> =
                std::iter::from_fn(|| next_chunk(&mut queue)).map(|chunk| chunk.len()).collect();
            assert_eq!(chunks, expect, "{name}");
        }
    }
}
