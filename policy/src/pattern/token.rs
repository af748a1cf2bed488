//! Request principals: `<issuer>/<subject>` of a verified token.

use super::{PatternError, TextPattern};
use crate::TokenClaims;

/// Matches the issuer and the subject apart, so that `https://a` with subject `b/c` never passes for `https://a/b` with
/// subject `c`.
///
/// The pattern is split at its *last* slash: issuers are URLs, subjects rarely hold one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenPattern {
    pub(super) issuer: Option<TextPattern>,
    pub(super) subject: Option<TextPattern>,
}

impl TokenPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = match TextPattern::parse(text)? {
            TextPattern::Present => Self { issuer: None, subject: None },
            TextPattern::Exact(text) => Self::split(&text, TextPattern::Exact, TextPattern::Exact)?,
            TextPattern::Prefix(text) => {
                Self::split(&text, TextPattern::Exact, TextPattern::Prefix)?
            }
            TextPattern::Suffix(text) => match text.contains('/') {
                true => Self::split(&text, TextPattern::Suffix, TextPattern::Exact)?,
                false => Self { issuer: None, subject: Some(TextPattern::Suffix(text)) },
            },
        };
        Ok(pattern)
    }

    fn split(
        text: &str,
        issuer: fn(Box<str>) -> TextPattern,
        subject: fn(Box<str>) -> TextPattern,
    ) -> Result<Self, PatternError> {
        let advice = "write <issuer>/<subject>, or <issuer>/* for all subjects of one issuer";
        let (iss, sub) = text.rsplit_once('/').ok_or(PatternError::from(advice))?;
        // The last slash of `https://issuer` belongs to the scheme: the writer left the subject out.
        if iss.ends_with(":/") {
            return Err(advice.into());
        }
        let any = matches!(subject("".into()), TextPattern::Prefix(_)) && sub.is_empty();
        let subject = match any {
            true => None,
            false if sub.is_empty() => return Err(advice.into()),
            false => Some(subject(sub.into())),
        };
        Ok(Self { issuer: (!iss.is_empty()).then(|| issuer(iss.into())), subject })
    }

    /// True when the token has a subject and both parts match.
    pub(crate) fn matches(&self, token: &TokenClaims) -> bool {
        let Some(subject) = token.subject.as_deref().filter(|subject| !subject.is_empty()) else {
            return false;
        };
        let holds = |pattern: &Option<TextPattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        };
        !token.issuer.is_empty()
            && holds(&self.issuer, &token.issuer)
            && holds(&self.subject, subject)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn s17_identity_matching_request_principals() {
        for (pattern, issuer, subject, expect) in [
            ("https://a/b", "https://a", "b", true),
            ("https://a/b", "https://a/b", "", false),
            ("https://a/b/c", "https://a", "b/c", false),
            ("https://a/b/c", "https://a/b", "c", true),
            ("https://a//c", "https://a/", "c", true),
            ("https://a/*", "https://a", "anyone", true),
            ("https://a/*", "https://a.evil", "anyone", false),
            ("https://a/adm*", "https://a", "admin", true),
            ("*/b", "https://x", "b", true),
            ("*b", "https://x", "ab", true),
            ("*.example/b", "https://x.example", "b", true),
            ("*", "https://x", "b", true),
            ("*", "https://x", "", false),
        ] {
            let token = TokenClaims {
                issuer: issuer.into(),
                subject: Some(subject.into()),
                ..TokenClaims::default()
            };
            assert_eq!(TokenPattern::parse(pattern).unwrap().matches(&token), expect, "{pattern}");
        }
        assert!(!TokenPattern::parse("*").unwrap().matches(&TokenClaims::default()));
        for refused in ["", "alice", "https://a*", "https://a", "iss/", "a*b/c"] {
            assert!(TokenPattern::parse(refused).is_err(), "{refused}");
        }
    }
}
