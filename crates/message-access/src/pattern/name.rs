//! Patterns of names without levels: Kafka topics, groups, client ids, queues, streams, transactional ids.

use std::fmt;

use super::PatternProblem;

/// A name, or all names with a prefix (`orders-*`); `*` alone is every name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamePattern {
    /// The name, or its beginning.
    text: Box<str>,
    prefix: bool,
}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Self, PatternProblem> {
        let (name, prefix) = split(text);
        match () {
            () if text.is_empty() => Err(PatternProblem("an empty name: write `*` for every name")),
            () if name.contains('*') => {
                Err(PatternProblem("`*` stands at the end only: `orders-*`"))
            }
            () if name.contains(char::is_control) => {
                Err(PatternProblem("a control character in a name"))
            }
            () => Ok(Self { text: name.into(), prefix }),
        }
    }

    /// Whether it is about names that begin so, and no others.
    pub(super) fn begins_with(&self, beginning: &str) -> bool {
        self.text.starts_with(beginning)
    }

    /// Whether all that is asked for matches: a name, or a pattern of the same form.
    #[must_use]
    pub fn covers(&self, asked: &str) -> bool {
        let (name, asks_prefix) = split(asked);
        match (self.prefix, asks_prefix) {
            (true, _) => name.starts_with(&*self.text),
            (false, true) => false,
            (false, false) => name == &*self.text,
        }
    }

    /// Whether any of what is asked for matches.
    #[must_use]
    pub fn overlaps(&self, asked: &str) -> bool {
        let (name, asks_prefix) = split(asked);
        match (self.prefix, asks_prefix) {
            (true, true) => name.starts_with(&*self.text) || self.text.starts_with(name),
            (true, false) => name.starts_with(&*self.text),
            (false, true) => self.text.starts_with(name),
            (false, false) => name == &*self.text,
        }
    }
}

/// As it is written.
impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.prefix { "*" } else { "" })
    }
}

fn split(text: &str) -> (&str, bool) {
    text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_and_what_overlaps() {
        let check = |pattern: &str, asked: &str, covers: bool, overlaps: bool| {
            let pattern = NamePattern::parse(pattern).unwrap();
            assert_eq!(pattern.covers(asked), covers, "{pattern:?} covers {asked}");
            assert_eq!(pattern.overlaps(asked), overlaps, "{pattern:?} overlaps {asked}");
        };
        check("orders", "orders", true, true);
        check("orders", "orders2", false, false);
        check("orders", "order", false, false);
        check("orders", "orders*", false, true);
        check("orders", "*", false, true);
        check("orders*", "orders", true, true);
        check("orders*", "orders.new", true, true);
        check("orders*", "ord", false, false);
        check("orders*", "ord*", false, true);
        check("orders*", "orders.*", true, true);
        check("orders*", "payments*", false, false);
        check("*", "*", true, true);
        check("*", "anything", true, true);
    }

    #[test]
    fn shown_as_it_is_written() {
        for text in ["orders", "orders-*", "*"] {
            assert_eq!(NamePattern::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for text in ["", "a*b", "**", "a\nb", "*x"] {
            assert!(NamePattern::parse(text).is_err(), "{text:?}");
        }
    }
}
