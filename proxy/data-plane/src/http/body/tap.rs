//! Inspects the beginning of a body as it passes, for filters that judge a message's contents.

use super::failure::BodyError;

/// Inspects the bytes of a body as they pass.
pub trait BodyInspector: Send {
    /// Sees the next bytes, before they are forwarded.
    ///
    /// # Errors
    /// The body is cut with this error, and the bytes are not forwarded.
    fn inspect(&mut self, bytes: &[u8]) -> Result<(), BodyError>;
}

/// An inspector and how much of the body it may still see. What follows passes unseen: a filter that must see all of a
/// body refuses longer ones by their `Content-Length`, or counts.
pub(super) struct BodyTap {
    inspector: Box<dyn BodyInspector>,
    left: usize,
}

impl BodyTap {
    /// Lets the inspector see up to `most` bytes.
    pub(super) fn new(most: usize, inspector: Box<dyn BodyInspector>) -> Self {
        Self { inspector, left: most }
    }

    /// Shows the inspector bytes that are about to be forwarded, as many as it may still see.
    pub(super) fn see(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        let seen = &bytes[..bytes.len().min(self.left)];
        self.left -= seen.len();
        if seen.is_empty() { Ok(()) } else { self.inspector.inspect(seen) }
    }
}
