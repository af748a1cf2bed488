//! Where the token of a request is, and how it is removed.

use std::borrow::{Borrow, Cow};

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use policy::{TokenPlace, TokenRules};

use super::TokenRefusal;
use crate::http::query;

/// A token and where it was found.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::traffic) struct LocatedToken<'r> {
    /// Index of the place among those that were looked at: of [`TokenRules::places`], for a JSON Web Token.
    pub(in crate::traffic) place: usize,
    /// The token's bytes, not verified at all.
    pub(in crate::traffic) token: Cow<'r, [u8]>,
}

/// Finds the request's token. `target_query` is without `?`.
///
/// # Errors
/// Two tokens, equal or not, in one place or in two: the app might read the other one (S-39).
pub(super) fn locate<'r>(
    rules: &'r TokenRules,
    headers: &'r HeaderMap,
    target_query: Option<&'r str>,
) -> Result<Option<LocatedToken<'r>>, TokenRefusal> {
    locate_in(rules.places(), headers, target_query)
}

/// The same in these places, which are in their order ([`TokenPlace::in_order`]).
///
/// # Errors
/// As [`locate`].
pub(in crate::traffic) fn locate_in<'r, P: Borrow<TokenPlace>>(
    places: &'r [P],
    headers: &'r HeaderMap,
    target_query: Option<&'r str>,
) -> Result<Option<LocatedToken<'r>>, TokenRefusal> {
    let mut found = None;
    let mut take =
        |place: usize, token: Cow<'r, [u8]>| match found.replace(LocatedToken { place, token }) {
            None => Ok(()),
            Some(_) => Err(TokenRefusal::TwoTokens),
        };
    for (index, place) in places.iter().enumerate() {
        match place.borrow() {
            TokenPlace::Header { name, prefix } => {
                for value in headers.get_all(&**name) {
                    let better =
                        places[..index].iter().any(|other| describes(other.borrow(), name, value));
                    if let Some(token) = after_prefix(value, prefix).filter(|_| !better) {
                        take(index, Cow::Borrowed(token))?;
                    }
                }
            }
            TokenPlace::Parameter(name) => {
                for value in query::values(target_query.unwrap_or(""), name) {
                    take(index, value)?;
                }
            }
            TokenPlace::Cookie(name) => {
                for value in cookies(headers, name) {
                    take(index, Cow::Borrowed(value))?;
                }
            }
        }
    }
    Ok(found)
}

/// Whether a place is where this value of a field is.
pub(super) fn describes(place: &TokenPlace, header: &str, value: &HeaderValue) -> bool {
    matches!(place, TokenPlace::Header { name, prefix } if **name == *header && after_prefix(value, prefix).is_some())
}

/// What follows the prefix; a scheme may be followed by more than one blank (RFC 9110 §11.4).
fn after_prefix<'v>(value: &'v HeaderValue, prefix: &str) -> Option<&'v [u8]> {
    let bytes = value.as_bytes();
    let (start, rest) = bytes.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix.as_bytes()).then(|| rest.trim_ascii_start())
}

/// The values of a cookie over all lines (RFC 6265 §4.2.1, RFC 9113 §8.2.3), without quotes around them.
fn cookies<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(COOKIE).into_iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    pairs.filter_map(move |pair| cookie_value(pair, name))
}

fn cookie_value<'c>(pair: &'c [u8], name: &str) -> Option<&'c [u8]> {
    let equals = pair.iter().position(|b| *b == b'=')?;
    let (key, value) = (&pair[..equals], pair[equals + 1..].trim_ascii());
    let unquoted = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
    (key.trim_ascii() == name.as_bytes()).then_some(unquoted)
}

/// Removes a token from the headers, when it was found there. A parameter is removed by [`query::remove`].
pub(in crate::traffic) fn hide(place: &TokenPlace, headers: &mut HeaderMap) {
    match place {
        TokenPlace::Header { name, prefix } => {
            let Ok(name) = HeaderName::try_from(&**name) else { return };
            replace_lines(headers, &name, |value| {
                after_prefix(value, prefix).is_none().then(|| value.clone())
            });
        }
        TokenPlace::Cookie(cookie) => {
            replace_lines(headers, &COOKIE, |line| without_cookie(line, cookie))
        }
        TokenPlace::Parameter(_) => {}
    }
}

/// Writes every line of a field anew, or leaves it out.
fn replace_lines(
    headers: &mut HeaderMap,
    name: &HeaderName,
    line: impl Fn(&HeaderValue) -> Option<HeaderValue>,
) {
    let kept: Vec<HeaderValue> = headers.get_all(name).iter().filter_map(line).collect();
    headers.remove(name);
    for value in kept {
        headers.append(name, value);
    }
}

fn without_cookie(line: &HeaderValue, cookie: &str) -> Option<HeaderValue> {
    let pairs = line.as_bytes().split(|b| *b == b';').map(<[u8]>::trim_ascii);
    let kept: Vec<&[u8]> =
        pairs.filter(|pair| !pair.is_empty() && cookie_value(pair, cookie).is_none()).collect();
    (!kept.is_empty()).then(|| HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()).flatten()
}
