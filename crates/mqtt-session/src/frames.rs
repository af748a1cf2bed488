//! Packets out of a stream of bytes (MQTT 5.0 §2.1), and runs of packets that pass unchanged.

use bytes::{Buf, Bytes, BytesMut};

use crate::codes::{PACKET_TOO_LARGE, Problem};
use crate::wire::Reader;

/// One packet, as a part of what was read.
pub(crate) struct Frame {
    chunk: Bytes,
    from: usize,
    to: usize,
    /// How long the fixed header is.
    header: usize,
}

impl Frame {
    /// All of it.
    fn bytes(&self) -> &[u8] {
        self.chunk.get(self.from..self.to).unwrap_or_default()
    }

    /// How long it is.
    pub(crate) const fn len(&self) -> usize {
        self.to - self.from
    }

    /// The first byte: what it is, and its flags.
    pub(crate) fn first(&self) -> u8 {
        self.bytes().first().copied().unwrap_or_default()
    }

    /// The last so many bytes, as a part of what was read.
    pub(crate) fn tail(&self, length: usize) -> Bytes {
        self.chunk.slice(self.to.saturating_sub(length)..self.to)
    }

    /// What follows the fixed header.
    pub(crate) fn body(&self) -> &[u8] {
        self.bytes().get(self.header..).unwrap_or_default()
    }
}

/// Parts what one side says into packets. Whatever is whole in one piece is not copied; of a packet that is not, no more
/// than its announced length is kept, which is checked first.
#[derive(Default)]
pub(crate) struct Frames {
    /// The beginning of a packet whose end has not come.
    begun: BytesMut,
    /// What has come since, or has not been looked at.
    chunk: Bytes,
    at: usize,
}

impl Frames {
    /// More has come.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        let left = self.chunk.len() - self.at;
        if left == 0 {
            self.chunk = bytes;
        } else {
            let mut joined = BytesMut::with_capacity(left + bytes.len());
            joined.extend_from_slice(self.chunk.get(self.at..).unwrap_or_default());
            joined.extend_from_slice(&bytes);
            self.chunk = joined.freeze();
        }
        self.at = 0;
    }

    /// How many bytes are kept.
    pub(crate) fn held(&self) -> usize {
        self.begun.len() + self.chunk.len() - self.at
    }

    /// Nothing more is read: what is left is thrown away.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The next packet, if all of it is there. `accepts` looks at a first byte before anything else is kept.
    pub(crate) fn next(
        &mut self,
        limit: usize,
        accepts: impl Fn(u8) -> Result<(), Problem>,
    ) -> Result<Option<Frame>, Problem> {
        if !self.begun.is_empty() {
            return self.finish(limit);
        }
        let left = self.chunk.get(self.at..).unwrap_or_default();
        let Some(first) = left.first() else { return Ok(None) };
        accepts(*first)?;
        match length(left, limit)? {
            Some((header, whole)) if whole <= left.len() => {
                let from = self.at;
                self.at += whole;
                Ok(Some(Frame { chunk: self.chunk.clone(), from, to: self.at, header }))
            }
            _ => {
                // Room for what has come: a length that is announced costs nothing yet.
                self.begun.extend_from_slice(left);
                self.chunk.clear();
                self.at = 0;
                Ok(None)
            }
        }
    }

    /// The packet that has begun. Its header may come byte by byte.
    fn finish(&mut self, limit: usize) -> Result<Option<Frame>, Problem> {
        let mut left = self.chunk.split_off(self.at);
        (self.chunk, self.at) = (Bytes::new(), 0);
        let (header, whole) = loop {
            match length(&self.begun, limit)? {
                Some(known) => break known,
                None if left.is_empty() => return Ok(None),
                None => self.begun.extend_from_slice(&left.split_to(1)),
            }
        };
        let missing = whole.saturating_sub(self.begun.len()).min(left.len());
        self.begun.extend_from_slice(left.get(..missing).unwrap_or_default());
        left.advance(missing);
        self.chunk = left;
        if self.begun.len() < whole {
            return Ok(None);
        }
        let chunk = std::mem::take(&mut self.begun).freeze();
        Ok(Some(Frame { chunk, from: 0, to: whole, header }))
    }
}

/// How long the fixed header is, and the whole packet.
fn length(begun: &[u8], limit: usize) -> Result<Option<(usize, usize)>, Problem> {
    let mut reader = Reader::new(begun.get(1..).unwrap_or_default());
    let digits = reader.rest().iter().take(4).position(|byte| byte & 0x80 == 0);
    if digits.is_none() && reader.rest().len() < 4 {
        return Ok(None);
    }
    let remaining = reader.variable()?;
    let header = begun.len() - reader.rest().len();
    let whole = usize::try_from(remaining).unwrap_or(usize::MAX).saturating_add(header);
    match whole > limit {
        true => Err(Problem { code: PACKET_TOO_LARGE, what: "a packet longer than the limit" }),
        false => Ok(Some((header, whole))),
    }
}

/// Packets that pass and lie one behind the other leave as one piece.
#[derive(Default)]
pub(crate) struct Run {
    chunk: Bytes,
    from: usize,
    to: usize,
}

impl Run {
    /// One more packet passes. What is given back lies elsewhere and goes first.
    pub(crate) fn add(&mut self, frame: Frame) -> Option<Bytes> {
        if frame.from == self.to && std::ptr::eq(frame.chunk.as_ptr(), self.chunk.as_ptr()) {
            self.to = frame.to;
            return None;
        }
        let before = self.take();
        *self = Self { chunk: frame.chunk, from: frame.from, to: frame.to };
        before
    }

    /// What has gathered.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let Self { chunk, from, to } = std::mem::take(self);
        (from < to).then(|| chunk.slice(from..to))
    }
}
