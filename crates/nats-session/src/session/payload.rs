//! The bytes of a message behind its control line, as they come.

use message_access::SessionEnd;

use crate::feed::Feed;
use crate::line::malformed;

/// What is left of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payload {
    left: usize,
    pub(super) passes: bool,
}

/// What ends a message.
pub(super) const END: &[u8; 2] = b"\r\n";

impl Payload {
    /// A message of this length, and its end.
    pub(super) const fn new(bytes: usize, passes: bool) -> Self {
        Self { left: bytes.saturating_add(END.len()), passes }
    }

    /// Takes what has come of it: whether it is complete.
    ///
    /// # Errors
    /// The message does not end where it should: its length was a lie.
    pub(super) fn go_on(&mut self, feed: &mut Feed<'_>) -> Result<bool, SessionEnd> {
        let range = feed.some(self.left);
        let bytes = feed.range(&range);
        let ends = |place: usize, expected: u8| {
            self.left
                .checked_sub(place)
                .and_then(|at| bytes.get(at))
                .is_none_or(|byte| *byte == expected)
        };
        let right = ends(2, b'\r') && ends(1, b'\n');
        self.left = self.left.saturating_sub(bytes.len());
        if !self.passes || !right {
            feed.drop_range(&range);
        }
        if !right {
            return Err(malformed("a message that does not end where its control line says"));
        }
        Ok(self.left == 0)
    }
}
