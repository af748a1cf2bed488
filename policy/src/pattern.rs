//! What a policy's values match, read once into a type that proves it is well formed.
//!
//! Every pattern is one of four documented forms: exact, `prefix*`, `*suffix`, and `*` for "present and not empty". A
//! `*` anywhere else is refused: what people mean by it differs, and a rule that matches less than its writer thinks is
//! a hole.

mod address;
mod cover;
mod display;
mod host;
mod identity;
pub(crate) mod narrow;
mod path;
mod specificity;
mod text;
mod token;

pub(crate) use address::AddressPattern;
pub(crate) use cover::PatternCoverage;
pub(crate) use host::HostPattern;
pub(crate) use identity::{AccountPattern, IdPattern};
pub(crate) use path::PathPattern;
pub(crate) use specificity::PatternSpecificity;
pub(crate) use text::TextPattern;
pub(crate) use token::TokenPattern;

/// Why a pattern was refused; the text is the advice a person gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PatternError(pub(crate) String);

impl From<&str> for PatternError {
    fn from(advice: &str) -> Self {
        Self(advice.to_owned())
    }
}

/// A field and its negation: `x: any_of` and `notX: none_of`, both absent when empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldPatterns<T> {
    pub(crate) any_of: Vec<T>,
    pub(crate) none_of: Vec<T>,
}

impl<T> Default for FieldPatterns<T> {
    fn default() -> Self {
        Self { any_of: Vec::new(), none_of: Vec::new() }
    }
}

impl<T> FieldPatterns<T> {
    /// True when neither side is there: no restriction.
    pub(crate) fn is_empty(&self) -> bool {
        self.any_of.is_empty() && self.none_of.is_empty()
    }

    /// (any of X) and not (any of notX), for a fact of one value.
    pub(crate) fn holds(&self, matches: impl Fn(&T) -> bool) -> bool {
        (self.any_of.is_empty() || self.any_of.iter().any(&matches))
            && !self.none_of.iter().any(&matches)
    }
}
