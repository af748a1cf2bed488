//! Frames of one direction: a length of four bytes, then as many bytes.

use bytes::{Buf, Bytes, BytesMut};
use message_access::SessionEnd;

/// The bytes of a frame's length.
pub(crate) const LENGTH_BYTES: usize = 4;

/// Cuts what arrives into frames. A frame that arrives in one piece is a slice of that piece; one in several pieces is
/// joined, in memory that grows with what has arrived and never with what was announced.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// The beginning of a frame that is not complete.
    begun: BytesMut,
    /// What follows it, not looked at yet.
    rest: Bytes,
}

impl Frames {
    /// Takes what has arrived.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if self.rest.is_empty() {
            self.rest = bytes;
        } else if !bytes.is_empty() {
            let mut joined = BytesMut::with_capacity(self.rest.len() + bytes.len());
            joined.extend_from_slice(&self.rest);
            joined.extend_from_slice(&bytes);
            self.rest = joined.freeze();
        }
    }

    /// The next frame with its length in front, where it has arrived.
    ///
    /// # Errors
    /// A frame longer than `limit` bytes, or of a negative length.
    pub(crate) fn next(&mut self, limit: usize) -> Result<Option<Bytes>, SessionEnd> {
        if self.begun.is_empty()
            && let Some(length) = announced(&self.rest, limit)?
            && self.rest.len() >= length
        {
            return Ok(Some(self.rest.split_to(length)));
        }
        self.take(LENGTH_BYTES);
        let Some(length) = announced(&self.begun, limit)? else { return Ok(None) };
        self.take(length);
        Ok((self.begun.len() == length).then(|| self.begun.split().freeze()))
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.begun.len() + self.rest.len()
    }

    /// Takes of the rest until the beginning has this length.
    fn take(&mut self, length: usize) {
        let missing = length.saturating_sub(self.begun.len()).min(self.rest.len());
        if let Some(bytes) = self.rest.get(..missing) {
            self.begun.extend_from_slice(bytes);
        }
        self.rest.advance(missing);
    }
}

/// A frame of which the length is not written yet. No answer of the session's own is longer than a length can say: what it
/// repeats is bounded in the request.
pub(crate) fn with_length(mut frame: Vec<u8>) -> Bytes {
    let length = i32::try_from(frame.len().saturating_sub(LENGTH_BYTES)).unwrap_or(0);
    if let Some(place) = frame.first_chunk_mut::<LENGTH_BYTES>() {
        *place = length.to_be_bytes();
    }
    frame.into()
}

/// How long the frame that begins here is, its length included.
pub(crate) fn announced(bytes: &[u8], limit: usize) -> Result<Option<usize>, SessionEnd> {
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes(*length))
        .map_err(|_| SessionEnd::Malformed("a frame of a negative length".to_owned()))?;
    if length > limit {
        return Err(SessionEnd::Limit(format!("a frame of {length} bytes, allowed are {limit}")));
    }
    Ok(Some(length + LENGTH_BYTES))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Result<Vec<Bytes>, SessionEnd> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for piece in pieces {
            frames.push(Bytes::copy_from_slice(piece));
            while let Some(frame) = frames.next(8)? {
                found.push(frame);
            }
        }
        Ok(found)
    }

    #[test]
    fn frames_are_the_same_however_they_arrive() {
        let stream: &[u8] = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x08abcdefgh\0\0\0\x01";
        let whole = all(&[stream]).unwrap();
        assert_eq!(whole.iter().map(Bytes::len).collect::<Vec<_>>(), [6, 4, 12]);
        for at in 0..=stream.len() {
            let (one, other) = stream.split_at(at);
            assert_eq!(all(&[one, other]).unwrap(), whole, "split at {at}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(all(&bytes).unwrap(), whole);
    }

    #[test]
    fn a_frame_in_one_piece_is_not_copied() {
        let stream = Bytes::from_static(b"\0\0\0\x02ab\0\0\0\x01c");
        let mut frames = Frames::default();
        frames.push(stream.clone());
        assert_eq!(frames.next(8).unwrap().unwrap().as_ptr(), stream.as_ptr());
        assert_eq!(frames.next(8).unwrap().unwrap().as_ptr(), stream[6..].as_ptr());
    }

    #[test]
    fn lengths_that_no_frame_has() {
        assert!(matches!(all(&[b"\0\0\0\x09"]), Err(SessionEnd::Limit(_))));
        assert!(matches!(all(&[b"\xff\xff\xff\xff"]), Err(SessionEnd::Malformed(_))));
        assert!(matches!(all(&[b"\x7f\xff\xff", b"\xff"]), Err(SessionEnd::Limit(_))));
    }
}
