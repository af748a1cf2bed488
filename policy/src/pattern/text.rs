//! The four forms of a text pattern.

use super::PatternError;

/// Matches text, byte for byte and with its case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextPattern {
    /// `*`: present and not empty.
    Present,
    /// The text itself.
    Exact(Box<str>),
    /// `prefix*`.
    Prefix(Box<str>),
    /// `*suffix`.
    Suffix(Box<str>),
}

impl TextPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Empty text, or a `*` that is not the only one at one end.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::Present);
        }
        let (form, literal): (fn(Box<str>) -> Self, &str) =
            match (text.strip_prefix('*'), text.strip_suffix('*')) {
                (Some(suffix), _) => (Self::Suffix, suffix),
                (None, Some(prefix)) => (Self::Prefix, prefix),
                (None, None) => (Self::Exact, text),
            };
        if literal.contains('*') {
            return Err(
                "a * stands alone, at the end (prefix*) or at the start (*suffix), and once".into(),
            );
        }
        if literal.is_empty() {
            return Err("write a value; * matches any that is not empty".into());
        }
        Ok(form(literal.into()))
    }

    /// True when the text matches.
    pub(crate) fn matches(&self, text: impl AsRef<[u8]>) -> bool {
        let text = text.as_ref();
        match self {
            Self::Present => !text.is_empty(),
            Self::Exact(exact) => text == exact.as_bytes(),
            Self::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            Self::Suffix(suffix) => text.ends_with(suffix.as_bytes()),
        }
    }

    /// The same form with its literal changed.
    pub(crate) fn map_literal<E>(
        self,
        change: impl FnOnce(&str) -> Result<String, E>,
    ) -> Result<Self, E> {
        Ok(match self {
            Self::Present => Self::Present,
            Self::Exact(text) => Self::Exact(change(&text)?.into()),
            Self::Prefix(text) => Self::Prefix(change(&text)?.into()),
            Self::Suffix(text) => Self::Suffix(change(&text)?.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn s17_identity_matching_text_forms() {
        for (pattern, text, expect) in [
            ("a.b", "a.b", true),
            ("a.b", "axb", false),
            ("foo", "foo-bar", false),
            ("foo*", "foo-bar", true),
            ("foo*", "foo", true),
            ("foo*", "Foo", false),
            ("*bar", "foo-bar", true),
            ("*bar", "bar-", false),
            ("*", "x", true),
            ("*", "", false),
        ] {
            assert_eq!(
                TextPattern::parse(pattern).unwrap().matches(text),
                expect,
                "{pattern} {text}"
            );
        }
        for refused in ["", "**", "a*b", "*a*", "a**", "**a"] {
            assert!(TextPattern::parse(refused).is_err(), "{refused}");
        }
    }
}
