//! Parameters in the query of a request's target.

use std::borrow::Cow;

use http::uri::PathAndQuery;
use http::{Uri, request::Parts};

/// The values of a parameter, decoded, its name compared in the form the app would decode. `query` is without its `?`.
pub(crate) fn values<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = Cow<'q, [u8]>> {
    pairs(query)
        .filter(move |(key, _)| &*decoded(key) == name.as_bytes())
        .map(|(_, value)| decoded(value))
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Percent escapes decoded (RFC 3986 §2.1); an invalid escape stays.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    let hex = |byte: Option<&u8>| {
        byte.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok())
    };
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

/// Removes a parameter from the target.
pub(crate) fn remove(name: &str, parts: &mut Parts) {
    let Some(query) = parts.uri.query() else { return };
    let kept = query.split('&').filter(|pair| {
        let key = pair.split_once('=').map_or(*pair, |(key, _)| key);
        &*decoded(key) != name.as_bytes()
    });
    let kept = kept.collect::<Vec<_>>().join("&");
    let path = parts.uri.path();
    let target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{kept}") };
    // A part of a valid target is a valid target.
    if let Ok(target) = PathAndQuery::try_from(target) {
        parts.uri = Uri::from(target);
    }
}
