//! Headers made from a token's claims, for the app.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};
use policy::{ClaimHeader, JwtRule};
use serde_json::{Map, Value};

/// The longest value made, in bytes; a longer one is left out.
const MAX_VALUE_BYTES: usize = 8 << 10;

/// The headers of a rule. A claim that is missing, or is a list or an object, makes none.
pub(super) fn headers(
    rule: &JwtRule,
    payload: &str,
    claims: &Map<String, Value>,
) -> Vec<(HeaderName, HeaderValue)> {
    let payload = rule.payload_header.as_ref().map(|name| (name, payload.to_owned()));
    let payload = payload.into_iter().filter_map(|(name, text)| header(name, &text));
    payload.chain(made(&rule.claim_headers, claims)).collect()
}

/// A header for each claim that is there and is one value.
pub(crate) fn made<'a>(
    headers: &'a [ClaimHeader],
    claims: &'a Map<String, Value>,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<'a> {
    headers.iter().filter_map(|made| header(&made.header, &text(at(claims, &made.claim)?)?))
}

fn at<'c>(claims: &'c Map<String, Value>, path: &[Box<str>]) -> Option<&'c Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(claims.get(&**first)?, |value, name| value.get(&**name))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        _ => None,
    }
}

fn header(name: &str, text: &str) -> Option<(HeaderName, HeaderValue)> {
    let value = encoded(text);
    let name = HeaderName::try_from(name).ok()?;
    (value.len() <= MAX_VALUE_BYTES).then(|| Some((name, HeaderValue::try_from(value).ok()?)))?
}

/// Percent-encodes all that is not visible ASCII or a space inside, and `%` itself, so that no claim ends a line or
/// changes its meaning when decoded (S-10).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let inner_blank = byte == b' ' && at != 0 && at != last;
        if inner_blank || (byte.is_ascii_graphic() && byte != b'%') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_header_syntax_of_claims() {
        for (text, expect) in [
            ("alice", "alice"),
            ("Alice B", "Alice B"),
            ("a\r\nx-admin: 1", "a%0D%0Ax-admin: 1"),
            (" a ", "%20a%20"),
            (" ", "%20"),
            ("100%", "100%25"),
            ("é", "%C3%A9"),
            ("a\0b\tc", "a%00b%09c"),
            ("", ""),
        ] {
            assert_eq!(encoded(text), expect, "{text:?}");
        }
    }
}
