//! Media types and the ranges that a description names (RFC 9110, section 8.3).

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// A media type, in lower case, and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType {
    main: String,
    sub: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads a media type or a range of them. What apps read in several ways is none: a parameter twice, one in pieces or
    /// in another character set (RFC 2231), quoted text with an escape, a quote or a semicolon.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let (main, sub) = parts.next()?.trim().split_once('/')?;
        if !is_token(main) || !is_token(sub) {
            return None;
        }
        let mut parameters = Vec::new();
        for part in parts {
            let (name, value) = part.trim().split_once('=')?;
            let name = name.to_ascii_lowercase();
            let is_known = parameters.iter().any(|(known, _)| *known == name);
            if !is_token(&name) || name.contains('*') || is_known {
                return None;
            }
            parameters.push((name, value_of(value)?.to_owned()));
        }
        Some(Self { main: main.to_ascii_lowercase(), sub: sub.to_ascii_lowercase(), parameters })
    }

    /// The media type of a message; `Err` where it names several or none that can be read.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, ()> {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value
                .to_str()
                .ok()
                .and_then(Self::read)
                .filter(|found| found.main != "*")
                .map(Some)
                .ok_or(()),
            _ => Err(()),
        }
    }

    /// Whether `other` is of this range.
    pub(crate) fn takes(&self, other: &Self) -> bool {
        (self.main == "*" || self.main == other.main)
            && (self.sub == "*" || self.sub == other.sub)
            && self.parameters.iter().all(|(name, value)| {
                other.parameter(name).is_some_and(|found| found.eq_ignore_ascii_case(value))
            })
    }

    /// How narrow a range is; the narrowest of those that take a media type is the one that is meant.
    pub(crate) fn narrowness(&self) -> usize {
        usize::from(self.main != "*") + usize::from(self.sub != "*") + self.parameters.len()
    }

    /// More than one media type.
    pub(crate) fn is_range(&self) -> bool {
        self.sub == "*"
    }

    /// JSON, or something written in it (RFC 6839, section 3.1).
    pub(crate) fn is_json(&self) -> bool {
        self.main == "application" && self.sub == "json" || self.sub.ends_with("+json")
    }

    /// JSON is UTF-8 (RFC 8259, section 8.1), and so are the forms that are looked into: whatever else a `charset` says
    /// would be read in two ways.
    pub(crate) fn has_charset_that_is_read(&self) -> bool {
        self.parameter("charset").is_none_or(|charset| {
            charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("us-ascii")
        })
    }

    pub(crate) fn is_form(&self) -> bool {
        self.main == "application" && self.sub == "x-www-form-urlencoded"
    }

    pub(crate) fn is_multipart_form(&self) -> bool {
        self.main == "multipart" && self.sub == "form-data"
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The value of a parameter: a token, or quoted text.
fn value_of(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').filter(|text| !text.contains(['\\', '"'])),
        None => Some(value).filter(|value| is_token(value)),
    }
}

/// A token (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ranges_take_media_types() {
        let rows = [
            ("application/json", "application/json", true),
            ("application/json", "Application/JSON; charset=utf-8", true),
            ("application/json", "application/problem+json", false),
            ("application/*", "application/problem+json", true),
            ("*/*", "text/plain", true),
            ("text/*", "application/json", false),
            ("application/json; v=1", "application/json; v=1", true),
            ("application/json; v=1", "application/json; v=2", false),
            ("application/json; v=1", "application/json", false),
        ];
        for (range, other, expect) in rows {
            let (range, other) = (MediaType::read(range).unwrap(), MediaType::read(other).unwrap());
            assert_eq!(range.takes(&other), expect, "{range:?} {other:?}");
        }
    }

    #[test]
    fn what_is_no_media_type() {
        for text in [
            "",
            "json",
            "a/",
            "/b",
            "a/b/c",
            "a b/c",
            "a/b;c",
            "a/b; =d",
            "a/b; c=d; C=e",
            "a/b; c*=utf-8''d",
            "a/b; c*0=d",
            "a/b; c=\"d\\e\"",
            "a/b; c=\"d;e=f\"",
            "a/b; c=\"d\"e\"",
            "a/b; c=\"d",
            "a/b; c=d e",
        ] {
            assert_eq!(MediaType::read(text), None, "{text}");
        }
    }
}
