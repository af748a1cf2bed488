//! Path patterns: compared to the canonical path and to every other reading an app may have (S-12).

use std::fmt;

use super::{PatternError, TextPattern};
use crate::CanonicalPath;
use crate::path::{literal, merge_slashes};

/// Matches a path: exact, prefix, suffix, any, or a template with `{*}` and `{**}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathPattern {
    pub(super) canonical: PatternShape,
    /// The pattern with its own escapes decoded, for the decoded reading of a path.
    pub(super) decoded: PatternShape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PatternShape {
    Text(TextPattern),
    Template(Vec<TemplatePart>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TemplatePart {
    Literal(Box<str>),
    /// `{*}`: one segment, not empty.
    Segment,
    /// `{**}`: whatever follows, slashes included, possibly nothing.
    Rest,
}

impl PathPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        if text.contains(['?', '#']) {
            return Err("the query is not part of the path: no ? and no #".into());
        }
        let shape = match text.contains(['{', '}']) {
            true => PatternShape::Template(parse_template(text)?),
            false => PatternShape::Text(parse_text(text)?),
        };
        let canonical = shape.clone().map_literals(&literal::canonical)?;
        let decoded = shape.map_literals(&literal::decoded)?;
        Ok(Self { canonical, decoded })
    }

    /// The whole segments every matching path begins with, without the leading slash, as the canonical and as the
    /// decoded reading spell them; `None` when the first one is left open.
    pub(crate) fn literal_segments(&self) -> Option<[&str; 2]> {
        Some([self.canonical.literal_segments()?, self.decoded.literal_segments()?])
    }

    /// True when *every* reading of the path matches: what an `ALLOW` rule needs.
    pub(crate) fn matches_all_readings(&self, path: &CanonicalPath<'_>) -> bool {
        self.canonical.matches(path.as_str())
            && path.decoded().is_none_or(|path| self.decoded.matches(path))
    }

    /// True when the canonical path matches, whatever other readings do.
    pub(crate) fn matches_canonical(&self, path: &CanonicalPath<'_>) -> bool {
        self.canonical.matches(path.as_str())
    }

    /// True when *any* reading of the path matches, as sent included: enough for a `DENY` rule.
    pub(crate) fn matches_any_reading(&self, path: &CanonicalPath<'_>) -> bool {
        self.matches_canonical(path) || self.matches_decoded(path) || self.matches_raw(path)
    }

    /// True when the path matches as an app reads it that decodes every escape before it looks for slashes.
    pub(crate) fn matches_decoded(&self, path: &CanonicalPath<'_>) -> bool {
        self.decoded.matches(path.decoded().unwrap_or(path.as_str()))
    }

    /// True when the path matches as it was sent.
    pub(crate) fn matches_raw(&self, path: &CanonicalPath<'_>) -> bool {
        self.canonical.matches(path.raw())
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces = match &self.canonical {
            PatternShape::Text(text) => return text.fmt(f),
            PatternShape::Template(pieces) => pieces,
        };
        pieces.iter().try_for_each(|piece| match piece {
            TemplatePart::Literal(literal) => f.write_str(literal),
            TemplatePart::Segment => f.write_str("{*}"),
            TemplatePart::Rest => f.write_str("{**}"),
        })
    }
}

fn parse_text(text: &str) -> Result<TextPattern, PatternError> {
    let pattern = TextPattern::parse(text)?;
    match &pattern {
        TextPattern::Exact(literal) | TextPattern::Prefix(literal) if !literal.starts_with('/') => {
            return Err("a path begins with /".into());
        }
        TextPattern::Exact(literal) | TextPattern::Suffix(literal) => {
            refuse_odd_segments(literal, true)?
        }
        TextPattern::Prefix(literal) => refuse_odd_segments(literal, false)?,
        TextPattern::Present => {}
    }
    Ok(pattern)
}

/// No pattern has dot segments or doubled slashes, escaped or not: whatever the level of normalisation, a path is also
/// judged as an app reads it that resolves and merges them ([`CanonicalPath::decoded`]). `whole`: the literal reaches
/// to the end of the path.
fn refuse_odd_segments(literal: &str, whole: bool) -> Result<(), PatternError> {
    let decoded = literal::decoded(literal)?;
    // What stands before the first slash may be the end of a longer segment.
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let open = segments.peek().is_none() && !whole;
        match segment.split_once(';') {
            None if is_dots(segment) && !open => return Err(DOTS.into()),
            Some((name, _)) if is_dots(name) => return Err(DOTS_WITH_PARAMETER.into()),
            _ => {}
        }
    }
    if decoded.contains("//") {
        let written = merge_slashes(&decoded);
        return Err(PatternError(format!(
            "a path is judged as an app reads it that merges slashes, too; write one: {written}"
        )));
    }
    Ok(())
}

const DOTS: &str =
    "a path is judged as an app reads it that resolves dot segments, too; write it without them";
const DOTS_WITH_PARAMETER: &str = "a request with . or .. before a ; is refused with 400 at every level: no such path comes this far; write it without them";

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

fn parse_template(text: &str) -> Result<Vec<TemplatePart>, PatternError> {
    if !text.starts_with('/') {
        return Err("a path begins with /".into());
    }
    refuse_odd_segments(text, true)?;
    let mut pieces = Vec::new();
    let mut literal = String::new();
    for segment in text.split('/').skip(1) {
        literal.push('/');
        let operator = match segment {
            "{*}" => TemplatePart::Segment,
            "{**}" => TemplatePart::Rest,
            _ if segment.contains(['{', '}', '*']) => {
                return Err("a segment is plain text, {*} or {**}, and nothing of both".into());
            }
            _ => {
                literal.push_str(segment);
                continue;
            }
        };
        if pieces.contains(&TemplatePart::Rest) {
            return Err("{**} is the last operator of a template".into());
        }
        pieces.push(TemplatePart::Literal(std::mem::take(&mut literal).into()));
        pieces.push(operator);
    }
    if !literal.is_empty() {
        pieces.push(TemplatePart::Literal(literal.into()));
    }
    Ok(pieces)
}

impl PatternShape {
    fn map_literals(
        self,
        change: &impl Fn(&str) -> Result<String, PatternError>,
    ) -> Result<Self, PatternError> {
        Ok(match self {
            Self::Text(text) => Self::Text(text.map_literal(change)?),
            Self::Template(pieces) => Self::Template(
                pieces
                    .into_iter()
                    .map(|piece| match piece {
                        TemplatePart::Literal(literal) => {
                            Ok(TemplatePart::Literal(change(&literal)?.into()))
                        }
                        operator => Ok(operator),
                    })
                    .collect::<Result<_, PatternError>>()?,
            ),
        })
    }

    fn literal_segments(&self) -> Option<&str> {
        let (literal, whole) = match self {
            Self::Text(TextPattern::Exact(literal)) => (literal, true),
            Self::Text(TextPattern::Prefix(literal)) => (literal, false),
            Self::Text(_) => return None,
            Self::Template(pieces) => match pieces.first() {
                Some(TemplatePart::Literal(literal)) => (literal, pieces.len() == 1),
                _ => return None,
            },
        };
        let rest = literal.strip_prefix('/')?;
        if whole {
            return Some(rest);
        }
        // What stands after the last slash may go on.
        rest.rsplit_once('/').map(|(segments, _)| segments)
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Text(text) => text.matches(path),
            Self::Template(pieces) => template_matches(pieces, path),
        }
    }
}

fn template_matches(pieces: &[TemplatePart], path: &str) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return path.is_empty() };
    match piece {
        TemplatePart::Literal(literal) => {
            path.strip_prefix(&**literal).is_some_and(|path| template_matches(rest, path))
        }
        TemplatePart::Segment => {
            let end = path.find('/').unwrap_or(path.len());
            end > 0 && template_matches(rest, &path[end..])
        }
        // The last operator: at most one literal follows, and it must end the path.
        TemplatePart::Rest => match rest {
            [TemplatePart::Literal(tail)] => path.ends_with(&**tail),
            _ => true,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::PathNormalization;

    #[track_caller]
    fn check(pattern: &str, path: &str, all: bool, any: bool) {
        let pattern = PathPattern::parse(pattern).unwrap();
        let path = CanonicalPath::parse(path, PathNormalization::MergeSlashes).unwrap();
        let found = (pattern.matches_all_readings(&path), pattern.matches_any_reading(&path));
        assert_eq!(found, (all, any), "{pattern:?} {path:?}");
    }

    #[test]
    fn s12_path_canonicalisation_patterns() {
        check("/admin", "/admin", true, true);
        check("/admin", "/Admin", false, false);
        check("/admin", "//admin", true, true);
        check("/admin/*", "/x/../admin/a", true, true);
        check("/admin/*", "/admin%2fa", false, true);
        check("/admin/*", "/%61dmin/a", true, true);
        check("/x/*", "/x%2Fy", false, true);
        check("/pub/*", "/pub/a%2fb", true, true);
        check("/v1/x:delete", "/v1/x%3Adelete", false, true);
        check("/café", "/caf%c3%a9", true, true);
        check("/a b", "/a%20b", true, true);
        check("*.php", "/a.php", true, true);
        check("*.php", "/a.ph%70", true, true);
        check("*", "/", true, true);
        for refused in [
            "",
            "admin",
            "admin*",
            "/a?b",
            "/a#b",
            "/a/../b",
            "/a/.",
            "/a//b",
            "/a*b",
            "*a*",
            "/a%zz",
            "/a\\b",
            "/a/{*}/*",
            "/a/{*}.txt",
            "/{**}/a/{*}",
            "{*}",
            "/a/{}",
            "/a/{x}",
            "/a/}{",
        ] {
            assert!(PathPattern::parse(refused).is_err(), "{refused}");
        }
    }

    /// What no reading of a path has can't be named, however it is escaped; what only looks like it can.
    #[test]
    fn s12_path_canonicalisation_patterns_with_escapes() {
        for (name, pattern, expect) in [
            ("plain dots", "/a/../b", "dot segments"),
            ("escaped dots", "/a/%2e%2e/b", "dot segments"),
            ("escaped dots at the end", "/a/%2E%2E", "dot segments"),
            ("one escaped dot", "/%2e/b", "dot segments"),
            ("half escaped dots", "/a/.%2e/b", "dot segments"),
            ("dots behind an escaped slash", "/a%2f..%2fb", "dot segments"),
            ("dots before an escaped slash, open", "/a/..%2f*", "dot segments"),
            ("dots in a template", "/{*}/%2e%2e/x", "dot segments"),
            ("dots that end a template", "/{*}/%2e", "dot segments"),
            ("dots in a suffix", "*/%2e%2e/x", "dot segments"),
            ("dots that are a suffix", "*%2f..", "dot segments"),
            ("escaped slashes", "/a%2F%2Fb", "write one: /a/b"),
            ("a slash and an escaped one", "/a/%2Fb", "write one: /a/b"),
            ("an escaped slash in a template", "/{*}/%2Fx", "write one: /{*}/x"),
            ("a backslash", "/admin\\x", "takes \\ for a slash"),
            ("an escaped backslash", "/admin%5Cx", "takes \\ for a slash"),
            ("an escaped backslash, prefix", "/admin%5c*", "takes \\ for a slash"),
            ("an escaped backslash, template", "/{*}/a%5Cb", "takes \\ for a slash"),
            ("dots with a parameter", "/a/..;/b", "before a ;"),
            ("a dot with a parameter", "/a/.;x=1", "before a ;"),
            ("dots with an escaped parameter", "/a/%2e.%3bx/b", "before a ;"),
            ("dots with a parameter, prefix", "/a/..;*", "before a ;"),
            ("dots with a parameter, template", "/a/..;x/{*}", "before a ;"),
            ("NUL", "/a%00", "no NUL"),
            ("overlong", "/a%c0%afb", "overlong"),
            ("an escaped control character", "/a%0a", ""),
            ("an escaped percent", "/a/%252e%252e/b", ""),
            ("dots in a name", "/a/..b/c../...", ""),
            ("dots that go on", "/a/%2e%2e*", ""),
            ("dots that a name ends in", "*%2e%2e/x", ""),
            ("a name and a parameter", "/a/..b;x/c", ""),
            ("an escaped slash", "/a%2Fb/c", ""),
            ("an escaped suffix", "*%2Fx", ""),
        ] {
            let found =
                PathPattern::parse(pattern).map_or_else(|error| error.to_string(), |_| "".into());
            let right = found.contains(expect) && found.is_empty() == expect.is_empty();
            assert!(right, "{name}: {pattern}: {found}");
        }
    }

    /// Whatever the level, a DENY rule fires on the very path it spells.
    #[test]
    fn s12_path_canonicalisation_patterns_match_what_they_spell() {
        use PathNormalization::{Base, DecodeAndMergeSlashes, MergeSlashes, None as AsSent};
        for spelled in [
            "/%61dmin",
            "/a%2Fb/c",
            "/a%2fb",
            "/caf%c3%a9",
            "/caf%E9",
            "/a%3Fb",
            "/a%0a",
            "/a%252e",
            "/a/..b;x",
            "/x%3Adelete",
            "/a%20b",
            "/a%23b",
            "/%7Bx%7D",
            "/a/%2e%2ex",
        ] {
            for level in [AsSent, Base, MergeSlashes, DecodeAndMergeSlashes] {
                let pattern = PathPattern::parse(spelled).unwrap();
                let path = CanonicalPath::parse(spelled, level).unwrap();
                assert!(pattern.matches_any_reading(&path), "{spelled} at {level:?}");
            }
        }
    }

    #[test]
    fn literal_segments() {
        for (pattern, expect) in [
            ("/a/b", Some(["a/b", "a/b"])),
            ("/a", Some(["a", "a"])),
            ("/a/*", Some(["a", "a"])),
            ("/a/b*", Some(["a", "a"])),
            ("/a/b/", Some(["a/b/", "a/b/"])),
            ("/a*", None),
            ("*a", None),
            ("*", None),
            ("/", Some(["", ""])),
            ("/a%2Fb/c", Some(["a%2Fb/c", "a/b/c"])),
            ("/a/{*}", Some(["a", "a"])),
            ("/a/b/{*}/c", Some(["a/b", "a/b"])),
            ("/a/b/{**}", Some(["a/b", "a/b"])),
            ("/{*}/a", None),
        ] {
            assert_eq!(
                PathPattern::parse(pattern).unwrap().literal_segments(),
                expect,
                "{pattern}"
            );
        }
    }

    #[test]
    fn path_templates() {
        for (pattern, path, expect) in [
            ("/foo/{*}", "/foo/bar", true),
            ("/foo/{*}", "/foo/bar/baz", false),
            ("/foo/{*}", "/foo/", false),
            ("/foo/{*}", "/foo", false),
            ("/foo/{*}/bar", "/foo/x/bar", true),
            ("/foo/{*}/bar", "/foo/x/y/bar", false),
            ("/foo/{*}/bar/{**}", "/foo/buzz/bar/", true),
            ("/foo/{*}/bar/{**}", "/foo/buzz/bar/baz/x", true),
            ("/foo/{*}/bar/{**}", "/foo/buzz/bar", false),
            ("/foo/{**}/", "/foo/bar/", true),
            ("/foo/{**}/", "/foo/bar", false),
            ("/{**}", "/", true),
            ("/{**}/end", "/a/b/end", true),
            ("/{**}/end", "/a/b/end/", false),
            ("/{*}/{*}", "/a/b", true),
        ] {
            check(pattern, path, expect, expect);
        }
    }

    #[test]
    fn s12_path_canonicalisation_templates_see_escaped_slashes() {
        check("/repo/{*}", "/repo/group%2Fproject", false, true);
        check("/repo/{**}", "/repo/group%2Fproject", true, true);
        check("/repo/{*}/x", "/repo/a%2fb/x", false, true);
    }
}
