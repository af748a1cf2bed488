//! The patterns that policies name topics and other names by. A pattern says two things of what a client asks for: whether
//! all of it is [covered](TopicPattern::covers), which an ALLOW needs, and whether any of it is
//! [touched](TopicPattern::overlaps), which is enough for a DENY.

mod levels;
mod name;
mod topic;

pub use name::NamePattern;
pub use topic::TopicPattern;

use std::fmt;

/// Why a pattern cannot be read: a sentence that says what is expected instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternProblem(pub(crate) &'static str);

impl fmt::Display for PatternProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for PatternProblem {}
