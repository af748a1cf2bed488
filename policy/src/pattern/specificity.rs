//! How closely a pattern means what it matches: where several match, the closest counts.

use super::path::{PatternShape, TemplatePart};
use super::{HostPattern, PathPattern, TextPattern};

/// The form, then how much of it is written out; more is closer. The default is that of no pattern at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct PatternSpecificity {
    form: u8,
    written: usize,
}

impl TextPattern {
    fn specificity(&self) -> PatternSpecificity {
        let (form, written) = match self {
            Self::Present => (1, 0),
            Self::Prefix(text) | Self::Suffix(text) => (2, text.len()),
            Self::Exact(text) => (3, text.len()),
        };
        PatternSpecificity { form, written }
    }
}

impl HostPattern {
    /// A host before a pattern, a longer pattern before a shorter one.
    pub(crate) fn specificity(&self) -> PatternSpecificity {
        let PatternSpecificity { form, written } = self.name.specificity();
        // With a port it means less.
        PatternSpecificity {
            form,
            written: written.saturating_mul(2) + usize::from(self.port.is_some()),
        }
    }
}

impl PathPattern {
    /// A path before a pattern, one with more written out before one with less.
    pub(crate) fn specificity(&self) -> PatternSpecificity {
        match &self.canonical {
            PatternShape::Text(text) => text.specificity(),
            PatternShape::Template(parts) => {
                let written = parts.iter().map(|part| match part {
                    TemplatePart::Literal(literal) => literal.len(),
                    TemplatePart::Segment | TemplatePart::Rest => 0,
                });
                PatternSpecificity { form: 2, written: written.sum() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_out_comes_first() {
        let paths = ["*", "/a*", "/a/{*}", "/a/b/*", "/a/b/{**}/c", "/"];
        let rank = |text: &str| PathPattern::parse(text).unwrap().specificity();
        assert!(paths.windows(2).all(|pair| rank(pair[0]) < rank(pair[1])));
        let hosts = ["*", "*.b", "*.a.b", "*.a.b:443", "x.a.b", "x.a.b:443"];
        let rank = |text: &str| HostPattern::parse(text).unwrap().specificity();
        assert!(hosts.windows(2).all(|pair| rank(pair[0]) < rank(pair[1])));
        assert!(PatternSpecificity::default() < rank("*"));
    }
}
