//! Regular expressions of routes: linear in time, limited in size, always about the whole text.

use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

/// The most memory one compiled expression may take, in bytes: what 1,024 characters without wide repetitions need.
/// `(a{1000}){1000}` is refused by it.
const MAX_COMPILED_BYTES: usize = 64 << 10;
/// The longest text that is looked at, in bytes: four times the longest value that the standard lets a match name.
/// Work is the product of text and expression, and a caller chooses the text.
const MAX_TEXT_BYTES: usize = 16 << 10;
/// The deepest nesting of groups.
const MAX_NESTING: u32 = 16;

/// A regular expression in the syntax of the crate `regex` (RE2's, without look-around and back-references), over ASCII:
/// `.` is any byte but the end of a line, `\w` and `\d` are ASCII letters and digits. Case counts.
#[derive(Clone)]
pub struct RegularExpression {
    text: Arc<str>,
    regex: Regex,
}

impl RegularExpression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        // By itself first: `a)|(b` would be well formed between our parentheses, and mean something else.
        build(text)?;
        let regex = build(&format!("^(?:{text})$"))?;
        Ok(Self { text: text.into(), regex })
    }

    /// Whether the whole text matches. Takes time in proportion to it; what is longer than 16 KiB matches nothing.
    pub fn matches(&self, text: &[u8]) -> bool {
        text.len() <= MAX_TEXT_BYTES && self.regex.is_match(text)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn build(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .unicode(false)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| in_one_line(&error))
}

fn in_one_line(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            "it would take more than 64 KiB; write smaller repetitions".to_owned()
        }
        regex::Error::Syntax(text) => {
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
        other => other.to_string(),
    }
}

impl PartialEq for RegularExpression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RegularExpression {}

impl fmt::Debug for RegularExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegularExpression({:?})", self.text)
    }
}
