//! Does one pattern match all that another matches? For finding redundant rules.
//!
//! The answer may be no when it is yes (two patterns that together cover a third, templates that overlap), never yes
//! when it is no.

use super::path::{PatternShape, TemplatePart};
use super::{
    AccountPattern, AddressPattern, FieldPatterns, HostPattern, IdPattern, PathPattern,
    TextPattern, TokenPattern,
};

/// Patterns and fields that can be compared.
pub(crate) trait PatternCoverage {
    /// True when `self` matches whatever `other` matches.
    fn covers(&self, other: &Self) -> bool;
}

impl<T: PatternCoverage> PatternCoverage for FieldPatterns<T> {
    fn covers(&self, other: &Self) -> bool {
        let any = |patterns: &[T], value: &T| patterns.iter().any(|pattern| pattern.covers(value));
        let wanted = self.any_of.is_empty()
            || (!other.any_of.is_empty()
                && other.any_of.iter().all(|value| any(&self.any_of, value)));
        // What this field excludes must be excluded there, too.
        wanted && self.none_of.iter().all(|value| any(&other.none_of, value))
    }
}

impl PatternCoverage for u16 {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }
}

impl PatternCoverage for TextPattern {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present, _) => true,
            (Self::Exact(own), Self::Exact(text)) => own == text,
            (Self::Prefix(own), Self::Exact(text) | Self::Prefix(text)) => text.starts_with(&**own),
            (Self::Suffix(own), Self::Exact(text) | Self::Suffix(text)) => text.ends_with(&**own),
            _ => false,
        }
    }
}

impl PatternCoverage for IdPattern {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (own, Self::Exact(id)) => own.matches(id),
            (
                Self::Prefix { trust_domain, path },
                Self::Prefix { trust_domain: theirs, path: longer },
            ) => trust_domain == theirs && longer.starts_with(&**path),
            (Self::Suffix(own), Self::Suffix(longer)) => longer.ends_with(&**own),
            _ => false,
        }
    }
}

impl PatternCoverage for AccountPattern {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }
}

impl PatternCoverage for AddressPattern {
    fn covers(&self, other: &Self) -> bool {
        self.block().contains(&other.block())
    }
}

impl PatternCoverage for HostPattern {
    fn covers(&self, other: &Self) -> bool {
        self.name.covers(&other.name) && (self.port.is_none() || self.port == other.port)
    }
}

impl PatternCoverage for TokenPattern {
    fn covers(&self, other: &Self) -> bool {
        let part = |own: &Option<TextPattern>, other: &Option<TextPattern>| match (own, other) {
            (None, _) => true,
            (Some(own), Some(other)) => own.covers(other),
            (Some(_), None) => false,
        };
        part(&self.issuer, &other.issuer) && part(&self.subject, &other.subject)
    }
}

impl PatternCoverage for PathPattern {
    fn covers(&self, other: &Self) -> bool {
        shape_covers(&self.canonical, &other.canonical)
            && shape_covers(&self.decoded, &other.decoded)
    }
}

fn shape_covers(own: &PatternShape, other: &PatternShape) -> bool {
    match (own, other) {
        (PatternShape::Text(own), PatternShape::Text(other)) => own.covers(other),
        (own, PatternShape::Text(TextPattern::Exact(path))) => own.matches(path),
        (PatternShape::Text(TextPattern::Present), PatternShape::Template(_)) => true,
        (PatternShape::Text(TextPattern::Prefix(own)), PatternShape::Template(pieces)) => {
            matches!(pieces.first(), Some(TemplatePart::Literal(begin)) if begin.starts_with(&**own))
        }
        (own, other) => own == other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths() {
        for (own, other, expect) in [
            ("/a", "/a", true),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/*", true),
            ("/a/b/*", "/a/*", false),
            ("*", "/{*}/x", true),
            ("/a/*", "/a/{*}", true),
            ("/a/*", "/{*}/a", false),
            ("/a/{*}", "/a/b", true),
            ("/a/{*}", "/a/b/c", false),
            ("/a/{**}", "/a/b/c", true),
            ("/a/{*}", "/a/{*}", true),
            ("/a/{*}", "/a/*", false),
            ("/a/{*}", "/a/b%2Fc", false),
            ("*.php", "/x.php", true),
        ] {
            let parse = |text| PathPattern::parse(text).unwrap();
            assert_eq!(parse(own).covers(&parse(other)), expect, "{own} {other}");
        }
    }

    #[test]
    fn identities_and_addresses() {
        for (own, other, expect) in [
            ("*", "td/ns/a/sa/b", true),
            ("td/ns/a/*", "td/ns/a/sa/b", true),
            ("td/ns/a/*", "td/ns/a/sa/*", true),
            ("td/ns/a/*", "td2/ns/a/sa/b", false),
            ("*/sa/b", "*/ns/a/sa/b", true),
            ("*/sa/b", "td/ns/a/*", false),
            ("td/ns/a/sa/b", "*", false),
        ] {
            let parse = |text| IdPattern::parse(text).unwrap();
            assert_eq!(parse(own).covers(&parse(other)), expect, "{own} {other}");
        }
        for (own, other, expect) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("::/0", "10.0.0.1", false),
        ] {
            let parse = |text| AddressPattern::parse(text).unwrap();
            assert_eq!(parse(own).covers(&parse(other)), expect, "{own} {other}");
        }
    }

    #[test]
    fn fields() {
        let field = |any: &[&str], none: &[&str]| {
            let parse = |texts: &[&str]| {
                texts.iter().map(|text| TextPattern::parse(text).unwrap()).collect()
            };
            FieldPatterns { any_of: parse(any), none_of: parse(none) }
        };
        for (own, other, expect) in [
            (field(&[], &[]), field(&["a"], &["b"]), true),
            (field(&["a"], &[]), field(&[], &[]), false),
            (field(&["a*", "b"], &[]), field(&["ab", "b"], &[]), true),
            (field(&["a"], &[]), field(&["a", "b"], &[]), false),
            (field(&[], &["a"]), field(&[], &[]), false),
            (field(&[], &["a"]), field(&[], &["a*"]), true),
            (field(&[], &["a*"]), field(&[], &["a"]), false),
        ] {
            assert_eq!(own.covers(&other), expect, "{own:?} {other:?}");
        }
    }
}
