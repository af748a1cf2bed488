//! The general case: paths with something to decode, fold, merge or escape.

use std::borrow::Cow;

use super::percent::{escaped_byte, is_path_byte, is_unreserved, push_escape, refuse_overlong};
use super::{PathError, PathNormalization};

/// The canonical path at a level, and the decoded reading where it differs.
pub(super) fn readings(
    path: &str,
    level: PathNormalization,
) -> Result<(Cow<'_, str>, Option<String>), PathError> {
    let (unified, bytes) = unify_escapes(path, level)?;
    refuse_overlong(&bytes)?;
    let canonical = match level {
        PathNormalization::None => unified,
        PathNormalization::Base => remove_dot_segments(&unified)?,
        _ => merge_slashes(&remove_dot_segments(&unified)?),
    };
    let decoded = decoded_reading(&canonical, level)?;
    let decoded = (decoded != canonical).then_some(decoded);
    Ok((Cow::Owned(canonical), decoded))
}

/// Brings every character to one form: escape or byte. Also gives all bytes, decoded, for the UTF-8 check.
fn unify_escapes(path: &str, level: PathNormalization) -> Result<(String, Vec<u8>), PathError> {
    let mut out = String::with_capacity(path.len() + 16);
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let escaped = byte == b'%';
        let meant = if escaped { escaped_byte(rest)? } else { byte };
        if escaped {
            rest = rest.get(2..).unwrap_or_default();
        }
        if meant == 0 {
            return Err(PathError::Nul);
        }
        bytes.push(meant);
        match escaped {
            true => push_escaped(&mut out, meant, level),
            false => push_literal(&mut out, meant, level)?,
        }
    }
    Ok((out, bytes))
}

/// Adds a byte that stood as itself.
fn push_literal(out: &mut String, byte: u8, level: PathNormalization) -> Result<(), PathError> {
    match byte {
        b'\\' if level >= PathNormalization::Base => out.push('/'),
        b'\\' => out.push('\\'),
        _ if is_path_byte(byte) => out.push(char::from(byte)),
        ..=b' ' | 0x7f => return Err(PathError::Control),
        _ => push_escape(out, byte),
    }
    Ok(())
}

/// Adds a byte that stood escaped.
fn push_escaped(out: &mut String, byte: u8, level: PathNormalization) {
    let slash = matches!(byte, b'/' | b'\\');
    if slash && level == PathNormalization::DecodeAndMergeSlashes {
        out.push('/');
    } else if level >= PathNormalization::Base && is_unreserved(byte) {
        out.push(char::from(byte));
    } else {
        push_escape(out, byte);
    }
}

/// RFC 3986 §5.2.4, but `..` above the root is refused instead of ignored.
fn remove_dot_segments(path: &str) -> Result<String, PathError> {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            ".." if kept.pop().is_none() => return Err(PathError::AboveRoot),
            "." | ".." => {
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    Ok(kept.iter().flat_map(|segment| ["/", segment]).collect())
}

/// Runs of slashes as one.
pub(crate) fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

/// The canonical path as an app reads it that decodes every escape first: slashes folded and merged.
///
/// Bytes that are no UTF-8 become U+FFFD: patterns can't name them, and what hides dots or slashes is ASCII.
fn decoded_reading(canonical: &str, level: PathNormalization) -> Result<String, PathError> {
    let mut bytes = Vec::with_capacity(canonical.len());
    let mut rest = canonical.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let byte = match byte {
            b'%' => {
                let meant = escaped_byte(rest)?;
                rest = rest.get(2..).unwrap_or_default();
                meant
            }
            _ => byte,
        };
        bytes.push(if byte == b'\\' { b'/' } else { byte });
    }
    let text = String::from_utf8_lossy(&bytes);
    let dots = text.split('/').any(|segment| matches!(segment, "." | ".."));
    match (dots, level) {
        _ if has_dots_with_parameter(&text) => Err(PathError::HiddenDots),
        (false, _) => Ok(merge_slashes(&text)),
        // Nothing was resolved at this level, so plain dot segments are expected.
        (true, PathNormalization::None) if is_one_way_to_resolve(canonical, &text) => {
            remove_dot_segments(&text)
        }
        (true, _) => Err(PathError::HiddenDots),
    }
}

/// True when a segment is `.` or `..` to an app that takes the parameters off first, as servlet containers do:
/// `..;x=1`.
fn has_dots_with_parameter(text: &str) -> bool {
    let mut names = text.split('/').filter_map(|segment| segment.split_once(';'));
    names.any(|(name, _)| matches!(name, "." | ".."))
}

/// True when all apps resolve the dot segments alike. What `..` takes away depends on whether empty segments count, and
/// on whether escaped slashes and backslashes part segments.
fn is_one_way_to_resolve(canonical: &str, decoded: &str) -> bool {
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    !decoded.contains("//") && slashes(canonical) == slashes(decoded)
}
