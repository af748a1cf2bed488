//! Why a rule set cannot be read.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong with a rule set. A set with a problem is not loaded at all: a rule that is skipped in silence
/// is a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSetProblem {
    /// The file, as it was found.
    pub file: PathBuf,
    /// The line on which the directive begins, from 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// The rule's id, where the directive has one.
    pub rule: Option<u32>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for RuleSetProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if let Some(rule) = self.rule {
            write!(f, ": rule {rule}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for RuleSetProblem {}
