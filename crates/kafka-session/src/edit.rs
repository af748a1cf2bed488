//! Changes to a frame: places and what stands there instead.

use std::ops::Range;

use bytes::Bytes;

use crate::frame::LENGTH_BYTES;

/// What stands at a place of a frame instead of what did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) at: Range<usize>,
    pub(crate) with: Vec<u8>,
}

impl Edit {
    /// This instead.
    pub(crate) const fn replace(at: Range<usize>, with: Vec<u8>) -> Self {
        Self { at, with }
    }

    /// Nothing instead.
    pub(crate) const fn remove(at: Range<usize>) -> Self {
        Self { at, with: Vec::new() }
    }
}

/// One more change; what is removed behind something removed is one change with it, because a listing may have hundreds of
/// thousands of names.
pub(crate) fn push(edits: &mut Vec<Edit>, edit: Edit) {
    match edits.last_mut() {
        Some(last)
            if last.with.is_empty() && edit.with.is_empty() && last.at.end == edit.at.start =>
        {
            last.at.end = edit.at.end;
        }
        _ => edits.push(edit),
    }
}

/// The frame with these changes and the length that follows from them; `None` where that is longer than any frame.
/// Changes stand in the order of their places, and do not overlap.
pub(crate) fn apply(frame: &[u8], edits: &[Edit]) -> Option<Bytes> {
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut changed = Vec::with_capacity(frame.len() + added);
    let mut from = 0;
    for edit in edits {
        debug_assert!(from <= edit.at.start, "changes out of order: {edits:?}");
        changed.extend_from_slice(frame.get(from..edit.at.start)?);
        changed.extend_from_slice(&edit.with);
        from = edit.at.end;
    }
    changed.extend_from_slice(frame.get(from..)?);
    let length = i32::try_from(changed.len().checked_sub(LENGTH_BYTES)?).ok()?;
    changed.get_mut(..LENGTH_BYTES)?.copy_from_slice(&length.to_be_bytes());
    Some(Bytes::from(changed))
}
