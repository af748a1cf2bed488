//! Whether the conditions of a match hold for a request.

use std::borrow::Cow;

use super::RouteRequest;
use crate::HeaderSource;
use crate::route::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, TextMatch};

/// Everything but the path, by which the match was found.
pub(super) fn hold_beside_path(condition: &RouteMatch, request: &RouteRequest<'_>) -> bool {
    let method = condition.method.as_deref().is_none_or(|method| method == request.method);
    method
        && condition.headers.iter().all(|header| header_holds(header, request))
        && condition.query.iter().all(|query| query_holds(query, request.path.query()))
}

/// The condition on the path.
pub(super) fn path_holds(condition: &PathMatch, path: &str) -> bool {
    match condition {
        PathMatch::Exact(exact) => **exact == *path,
        PathMatch::Prefix(prefix) => is_below(path, prefix),
        PathMatch::Pattern(pattern) => pattern.matches(path.as_bytes()),
        PathMatch::Grpc { service, method } => {
            let Some((called, procedure)) = grpc_names(path) else { return false };
            let holds = |wanted: &Option<TextMatch>, text: &str| {
                wanted.as_ref().is_none_or(|wanted| wanted.matches(text.as_bytes()))
            };
            holds(service, called) && holds(method, procedure)
        }
    }
}

/// True when `path` is the prefix, or goes on with a slash after it.
pub(super) fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Service and method of a gRPC path: `/service/method`.
fn grpc_names(path: &str) -> Option<(&str, &str)> {
    let names = path.strip_prefix('/')?.split_once('/')?;
    (!names.1.contains('/')).then_some(names)
}

/// The host is no field among the others in HTTP/2 (RFC 9113 §8.3.1), so it is compared in its one spelling everywhere.
fn header_holds(condition: &HeaderMatch, request: &RouteRequest<'_>) -> bool {
    if &*condition.name == "host" {
        return condition.value.matches(request.host.as_str().as_bytes());
    }
    match &condition.value {
        TextMatch::Exact(exact) => {
            is_joined_value(request.headers, &condition.name, exact.as_bytes())
        }
        TextMatch::Pattern(pattern) => {
            let value = joined_value(request.headers, &condition.name);
            value.is_some_and(|value| pattern.matches(&value))
        }
    }
}

/// Whether the field is there, and its lines with commas between them are this value.
fn is_joined_value(headers: &dyn HeaderSource, name: &str, expected: &[u8]) -> bool {
    // What is still to come; `None` once a line was something else.
    let mut left = Some(expected);
    let mut lines = 0;
    headers.values(name, &mut |value| {
        let after_comma = match lines {
            0 => left,
            _ => left.and_then(|left| left.strip_prefix(b",")),
        };
        left = after_comma.and_then(|left| left.strip_prefix(value));
        lines += 1;
    });
    lines > 0 && left.is_some_and(<[u8]>::is_empty)
}

/// The lines of the field with commas between them; `None` when it is absent.
fn joined_value(headers: &dyn HeaderSource, name: &str) -> Option<Vec<u8>> {
    let mut joined: Option<Vec<u8>> = None;
    headers.values(name, &mut |value| match &mut joined {
        None => joined = Some(value.to_vec()),
        Some(joined) => {
            joined.push(b',');
            joined.extend_from_slice(value);
        }
    });
    joined
}

fn query_holds(condition: &QueryMatch, query: Option<&str>) -> bool {
    let mut parameters = query
        .unwrap_or_default()
        .split('&')
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
    let named = |(name, _): &(&str, &str)| decoded(name).eq(condition.name.bytes());
    parameters.find(named).is_some_and(|(_, value)| match &condition.value {
        TextMatch::Exact(exact) => decoded(value).eq(exact.bytes()),
        TextMatch::Pattern(pattern) => pattern.matches(&decoded_value(value)),
    })
}

/// The bytes that a part of a query means: `+` is a blank, as forms write it; a `%` that begins no escape is itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        Some(match byte {
            b'+' => b' ',
            b'%' => match escaped(tail) {
                Some((byte, tail)) => {
                    rest = tail;
                    byte
                }
                None => byte,
            },
            _ => byte,
        })
    })
}

/// The byte of an escape, and what follows it; `text` begins after its `%`.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, tail) = text.split_at_checked(2)?;
    let digit = |at: usize| digits.get(at).and_then(|b| char::from(*b).to_digit(16));
    let byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    Some((byte, tail))
}

fn decoded_value(text: &str) -> Cow<'_, [u8]> {
    match text.contains(['%', '+']) {
        true => decoded(text).collect::<Vec<u8>>().into(),
        false => text.as_bytes().into(),
    }
}
