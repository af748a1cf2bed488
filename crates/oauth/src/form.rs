//! Names and values as forms and queries carry them (`application/x-www-form-urlencoded`, RFC 6749 appendix B).

use std::fmt;

use zeroize::Zeroizing;

/// The most fields that are read: a callback of a real provider has less than ten.
const MAX_FIELDS: usize = 32;
/// What a form is given room for at once: growing leaves pieces of its secrets behind.
const ROOM: usize = 8 * 1024;

/// Fields to be sent, in their order. They hold secrets: they are wiped, and `Debug` does not show them.
pub struct Form(Zeroizing<String>);

/// Why a form or query is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// More bytes than the reader takes.
    #[error("it is too long")]
    TooLong,
    /// More than 32 fields.
    #[error("it has more than 32 fields")]
    TooMany,
    /// A name stands there twice (RFC 6749 §3.1: must not).
    #[error("a field stands there twice")]
    Twice,
    /// An escape that is none, or bytes that are no UTF-8.
    #[error("a field is malformed")]
    Malformed,
}

impl Form {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self(Zeroizing::new(String::with_capacity(ROOM)))
    }

    /// With one field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        push_form_encoded(&mut self.0, name);
        self.0.push('=');
        push_form_encoded(&mut self.0, value);
        self
    }

    /// With one field more, unless its value is empty.
    #[must_use]
    pub fn with_some(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.with(name, value) }
    }

    /// As the body of a POST.
    #[must_use]
    pub fn into_body(self) -> Zeroizing<String> {
        self.0
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form(..)")
    }
}

/// Adds a text as forms have it: a blank is `+`, everything but letters, digits, `-`, `.`, `_`, `*` is escaped.
pub(crate) fn push_form_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'.' | b'_' | b'*' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => push_escape(out, byte),
        }
    }
}

/// Adds a field to the query of a URL. A blank is `%20`, which no reader takes for a plus.
pub(crate) fn push_query_field(url: &mut String, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(name);
    url.push('=');
    for byte in value.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            _ => push_escape(url, byte),
        }
    }
}

fn push_escape(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    out.push('%');
    out.push(digit(byte >> 4));
    out.push(digit(byte & 15));
}

/// Reads a form or query of at most `longest` bytes: names and values, each name once. Values may have control
/// characters, as the descriptions of some providers' errors do.
///
/// # Errors
/// [`FormError`].
pub fn parse_form(text: &str, longest: usize) -> Result<Vec<(String, String)>, FormError> {
    if text.len() > longest {
        return Err(FormError::TooLong);
    }
    let mut fields: Vec<(String, String)> = Vec::new();
    for field in text.split('&').filter(|field| !field.is_empty()) {
        if fields.len() == MAX_FIELDS {
            return Err(FormError::TooMany);
        }
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let name = decoded(name).ok_or(FormError::Malformed)?;
        if fields.iter().any(|(known, _)| *known == name) {
            return Err(FormError::Twice);
        }
        fields.push((name, decoded(value).ok_or(FormError::Malformed)?));
    }
    Ok(fields)
}

/// `None`: a broken escape, or no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => (hex(rest.next()?)? << 4) | hex(rest.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let form = Form::new().with("a b", "ä&=+%").with_some("empty", "").with("c", "");
        let body = form.into_body();
        assert_eq!(*body, "a+b=%C3%A4%26%3D%2B%25&c=");
        let read = parse_form(&body, 100).unwrap();
        assert_eq!(read, [("a b".into(), "ä&=+%".into()), ("c".into(), String::new())]);
        let mut url = "https://id.example/a?tenant=1".to_owned();
        push_query_field(&mut url, "scope", "openid a+b");
        assert_eq!(url, "https://id.example/a?tenant=1&scope=openid%20a%2Bb");
    }

    #[test]
    fn forms_that_are_refused() {
        let many = "a&".repeat(33);
        let distinct: Vec<_> = (0..33).map(|n| format!("a{n}=1")).collect();
        for (name, text, expect) in [
            ("nothing", "", None),
            ("only ampersands", "&&", None),
            ("33 fields", &distinct.join("&"), Some(FormError::TooMany)),
            ("twice", "a=1&a=1", Some(FormError::Twice)),
            ("twice, once escaped", "a=1&%61=1", Some(FormError::Twice)),
            ("twice, without values", &many, Some(FormError::Twice)),
            ("cut escape", "a=%4", Some(FormError::Malformed)),
            ("no digits", "a=%zz", Some(FormError::Malformed)),
            ("a sign", "a=%+1", Some(FormError::Malformed)),
            ("no UTF-8", "a=%ff", Some(FormError::Malformed)),
            ("control characters", "a=%00%0d%0a", None),
            ("too long", &"a".repeat(1001), Some(FormError::TooLong)),
        ] {
            assert_eq!(parse_form(text, 1000).err(), expect, "{name}");
        }
    }
}
