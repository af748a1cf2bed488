//! What is wrong with a description.

use std::fmt;

/// One thing that is wrong with a description, or not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptionProblem {
    /// Where: a JSON pointer (RFC 6901) into the description; empty for the whole of it.
    pub pointer: String,
    /// The line it begins in, from 1; `None` where it is not known.
    pub line: Option<u32>,
    /// What was found, and what is expected instead.
    pub message: String,
}

impl fmt::Display for DescriptionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.message)
    }
}
