//! What arrives, cut into lines, blocks and payloads. What passes unchanged leaves as slices of what arrived, as long as
//! they come; only lines and blocks that are cut by the end of a chunk are copied together.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// One chunk that arrived, and what is left of the chunk before it.
pub(crate) struct Feed<'a> {
    chunk: Bytes,
    /// Where to read on.
    at: usize,
    /// From here to [`at`](Self::at) everything passes, and is not in `out` yet.
    passing: usize,
    held: &'a mut BytesMut,
    out: &'a mut VecDeque<Bytes>,
}

/// A line: where it stands in the chunk, or the copy of it where it began in another.
pub(crate) enum Piece {
    Here(Range<usize>),
    Held(Bytes),
}

/// A line or block is longer than it may be.
pub(crate) struct TooLong;

impl<'a> Feed<'a> {
    pub(crate) const fn new(
        chunk: Bytes,
        held: &'a mut BytesMut,
        out: &'a mut VecDeque<Bytes>,
    ) -> Self {
        Self { chunk, at: 0, passing: 0, held, out }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.chunk.len()
    }

    fn rest(&self) -> &[u8] {
        self.chunk.get(self.at..).unwrap_or_default()
    }

    /// The bytes of a piece.
    pub(crate) fn bytes(&self, piece: &Piece) -> Bytes {
        match piece {
            Piece::Here(range) => self.chunk.slice(range.clone()),
            Piece::Held(bytes) => bytes.clone(),
        }
    }

    /// The next line with its end, or nothing until more arrives.
    pub(crate) fn line(&mut self, limit: usize) -> Result<Option<Piece>, TooLong> {
        let end = memchr::memchr(b'\n', self.rest()).map(|found| found + 1);
        self.cut(end, limit)
    }

    /// The next `length` bytes as one, or nothing until more arrives.
    pub(crate) fn block(&mut self, length: usize) -> Option<Piece> {
        let missing = length.saturating_sub(self.held.len());
        let end = Some(missing).filter(|missing| *missing <= self.rest().len());
        self.cut(end, usize::MAX).ok().flatten()
    }

    fn cut(&mut self, end: Option<usize>, limit: usize) -> Result<Option<Piece>, TooLong> {
        let length = end.unwrap_or(self.rest().len());
        if self.held.len().saturating_add(length) > limit {
            return Err(TooLong);
        }
        let (from, to) = (self.at, self.at.saturating_add(length));
        if end.is_some() && self.held.is_empty() {
            self.at = to;
            return Ok(Some(Piece::Here(from..to)));
        }
        self.flush();
        self.held.extend_from_slice(self.chunk.get(from..to).unwrap_or_default());
        (self.at, self.passing) = (to, to);
        Ok(end.map(|_| Piece::Held(self.held.split().freeze())))
    }

    /// Up to `length` bytes, that need not be kept together.
    pub(crate) fn some(&mut self, length: usize) -> Range<usize> {
        let from = self.at;
        self.at = from + length.min(self.rest().len());
        from..self.at
    }

    /// The bytes in that range.
    pub(crate) fn range(&self, range: &Range<usize>) -> &[u8] {
        self.chunk.get(range.clone()).unwrap_or_default()
    }

    /// The piece that was just cut passes.
    pub(crate) fn pass(&mut self, piece: Piece) {
        if let Piece::Held(bytes) = piece {
            self.flush();
            self.out.push_back(bytes);
        }
    }

    /// The piece that was just cut does not pass, or not yet.
    pub(crate) fn take(&mut self, piece: Piece) -> Bytes {
        match piece {
            Piece::Here(range) => {
                self.drop_range(&range);
                self.chunk.slice(range)
            }
            Piece::Held(bytes) => bytes,
        }
    }

    /// The range that was just cut does not pass.
    pub(crate) fn drop_range(&mut self, range: &Range<usize>) {
        if self.passing < range.start {
            self.out.push_back(self.chunk.slice(self.passing..range.start));
        }
        self.passing = range.end;
    }

    /// Sends bytes of our own, behind all that passes so far.
    pub(crate) fn say(&mut self, bytes: Bytes) {
        self.flush();
        self.out.push_back(bytes);
    }

    /// Hands over what passes so far.
    pub(crate) fn flush(&mut self) {
        if self.passing < self.at {
            self.out.push_back(self.chunk.slice(self.passing..self.at));
            self.passing = self.at;
        }
    }
}
