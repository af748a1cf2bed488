//! Changes of header fields (`RequestHeaderModifier`, `ResponseHeaderModifier`).

use std::sync::Arc;

/// What is done to the fields of a message: first `remove`, then `set`, then `add`. A name stands in one of them only.
///
/// Names are tokens (RFC 9110 §5.1) in lower case, values printable ASCII with single blanks or tabs between words: both
/// are what every HTTP library takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldChanges {
    /// Put in the place of all fields of the name.
    pub set: Vec<(Arc<str>, Arc<str>)>,
    /// Added to what is there.
    pub add: Vec<(Arc<str>, Arc<str>)>,
    /// Taken away.
    pub remove: Vec<Arc<str>>,
}

impl FieldChanges {
    /// True when nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}
