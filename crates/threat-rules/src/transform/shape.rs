//! What makes one form of many: letters, whitespace, comments, paths, command lines.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use super::changed;

pub(super) fn lowercase(value: &[u8]) -> Option<Vec<u8>> {
    value.iter().any(u8::is_ascii_uppercase).then(|| value.to_ascii_lowercase())
}

pub(super) fn uppercase(value: &[u8]) -> Option<Vec<u8>> {
    value.iter().any(u8::is_ascii_lowercase).then(|| value.to_ascii_uppercase())
}

pub(super) fn remove_nulls(value: &[u8]) -> Option<Vec<u8>> {
    kept(value, |byte| *byte != 0)
}

pub(super) fn replace_nulls(value: &[u8]) -> Option<Vec<u8>> {
    value
        .contains(&0)
        .then(|| value.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect())
}

pub(super) fn remove_whitespace(value: &[u8]) -> Option<Vec<u8>> {
    kept(value, |byte| !space(*byte))
}

fn kept(value: &[u8], keep: impl Fn(&u8) -> bool) -> Option<Vec<u8>> {
    (!value.iter().all(&keep)).then(|| value.iter().copied().filter(|byte| keep(byte)).collect())
}

/// Whitespace as C and the rules have it, with the vertical tab and the no-break space of Latin-1.
fn space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 11 | 12 | 0xa0)
}

/// One space for each run of whitespace.
pub(super) fn compress_whitespace(value: &[u8]) -> Option<Vec<u8>> {
    let mut short = Vec::with_capacity(value.len());
    let mut within = false;
    for byte in value {
        let is = space(*byte);
        if !(is && within) {
            short.push(if is { b' ' } else { *byte });
        }
        within = is;
    }
    changed(value, short)
}

pub(super) fn trim(value: &[u8]) -> Option<Vec<u8>> {
    changed(value, value.trim_ascii().to_vec())
}

pub(super) fn trim_left(value: &[u8]) -> Option<Vec<u8>> {
    changed(value, value.trim_ascii_start().to_vec())
}

pub(super) fn trim_right(value: &[u8]) -> Option<Vec<u8>> {
    changed(value, value.trim_ascii_end().to_vec())
}

/// One space for each comment of C (`/* … */`); one that does not end takes the rest.
pub(super) fn replace_comments(value: &[u8]) -> Option<Vec<u8>> {
    without_comments(value, Some(b' '), &[])
}

/// Nothing in place of comments of C, SQL and HTML.
pub(super) fn remove_comments(value: &[u8]) -> Option<Vec<u8>> {
    without_comments(value, None, &[(b"<!--", b"-->"), (b"--", b"\n"), (b"#", b"\n")])
}

fn without_comments(
    value: &[u8],
    instead: Option<u8>,
    others: &[(&[u8], &[u8])],
) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        let kinds = std::iter::once((&b"/*"[..], &b"*/"[..])).chain(others.iter().copied());
        match kinds.into_iter().find(|(begin, _)| rest.starts_with(begin)) {
            Some((begin, end)) => {
                text.extend(instead);
                rest = after_next(rest.get(begin.len()..).unwrap_or_default(), end);
            }
            None => {
                text.push(*first);
                rest = after;
            }
        }
    }
    changed(value, text)
}

/// What stands after the first `end`; nothing where there is none.
fn after_next<'a>(text: &'a [u8], end: &[u8]) -> &'a [u8] {
    let place = text.windows(end.len()).position(|window| window == end);
    place.and_then(|place| text.get(place + end.len()..)).unwrap_or_default()
}

/// Nothing in place of the marks of comments; what they enclose stays.
pub(super) fn remove_comment_marks(value: &[u8]) -> Option<Vec<u8>> {
    const MARKS: [&[u8]; 6] = [b"<!--", b"-->", b"/*", b"*/", b"--", b"#"];
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        match MARKS.iter().find(|mark| rest.starts_with(mark)) {
            Some(mark) => rest = rest.get(mark.len()..).unwrap_or_default(),
            None => {
                text.push(*first);
                rest = after;
            }
        }
    }
    changed(value, text)
}

/// A command line as a shell would see it: without quotes, carets and backslashes, with single spaces, none before `/`
/// and `(`, in lower case.
pub(super) fn command_line(value: &[u8]) -> Option<Vec<u8>> {
    let mut line = Vec::with_capacity(value.len());
    let mut spaced = false;
    for byte in value {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !spaced {
                    line.push(b' ');
                }
                spaced = true;
            }
            b'/' | b'(' => {
                if spaced {
                    line.pop();
                }
                spaced = false;
                line.push(*byte);
            }
            _ => {
                spaced = false;
                line.push(byte.to_ascii_lowercase());
            }
        }
    }
    changed(value, line)
}

/// A path without `//`, `/./` and `/../`.
pub(super) fn path(value: &[u8]) -> Option<Vec<u8>> {
    changed(value, normal(value))
}

/// As [`path`], with `\` taken for `/` before.
pub(super) fn path_of_windows(value: &[u8]) -> Option<Vec<u8>> {
    let slashes: Vec<u8> =
        value.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
    changed(value, normal(&slashes))
}

fn normal(value: &[u8]) -> Vec<u8> {
    let rooted = value.first() == Some(&b'/');
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in value.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if rooted => {}
            _ => kept.push(segment),
        }
    }
    let mut normal = if rooted { b"/".to_vec() } else { Vec::new() };
    normal.extend(kept.join(&b'/'));
    let folder = value.ends_with(b"/") || value.ends_with(b"/.") || value.ends_with(b"/..");
    if folder && !kept.is_empty() {
        normal.push(b'/');
    }
    normal
}

/// The digest, which rules use as a short name of a value and never as a proof of anything.
pub(super) fn sha1(value: &[u8]) -> Option<Vec<u8>> {
    Some(digest(&SHA1_FOR_LEGACY_USE_ONLY, value).as_ref().to_vec())
}

/// As [`sha1`], longer.
pub(super) fn sha256(value: &[u8]) -> Option<Vec<u8>> {
    Some(digest(&SHA256, value).as_ref().to_vec())
}

/// How many bytes there are, as a number.
pub(super) fn length(value: &[u8]) -> Option<Vec<u8>> {
    Some(value.len().to_string().into_bytes())
}
