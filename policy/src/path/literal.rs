//! The literal parts of path patterns, in the spelling paths are compared in.

use super::percent::{escaped_byte, is_path_byte, is_unreserved, push_escape, refuse_overlong};
use crate::pattern::PatternError;

const BACKSLASH: &str =
    "a path is judged as an app reads it that takes \\ for a slash, too; write /";

/// A literal as the canonical path would spell it.
pub(crate) fn canonical(literal: &str) -> Result<String, PatternError> {
    let mut out = String::with_capacity(literal.len());
    for (byte, escaped) in bytes(literal)? {
        match escaped {
            true if is_unreserved(byte) => out.push(char::from(byte)),
            false if is_path_byte(byte) => out.push(char::from(byte)),
            _ => push_escape(&mut out, byte),
        }
    }
    Ok(out)
}

/// A literal as the decoded reading would spell it.
pub(crate) fn decoded(literal: &str) -> Result<String, PatternError> {
    let bytes: Vec<u8> = bytes(literal)?.into_iter().map(|(byte, _)| byte).collect();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The bytes a literal means, and whether each stood escaped; what no request can have is refused.
fn bytes(literal: &str) -> Result<Vec<(u8, bool)>, PatternError> {
    let mut bytes = Vec::with_capacity(literal.len());
    let mut rest = literal.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let escaped = byte == b'%';
        let meant = match escaped {
            true => {
                let advice =
                    "a % is followed by two hex digits; write %25 for the character itself";
                escaped_byte(rest).map_err(|_| PatternError::from(advice))?
            }
            false => byte,
        };
        if escaped {
            rest = rest.get(2..).unwrap_or_default();
        }
        match meant {
            b'\\' => return Err(BACKSLASH.into()),
            0 => return Err("a path holds no NUL: such a request is refused with 400".into()),
            ..b' ' | 0x7f if !escaped => return Err("a path holds no control character".into()),
            _ => bytes.push((meant, escaped)),
        }
    }
    let meant: Vec<u8> = bytes.iter().map(|(byte, _)| *byte).collect();
    refuse_overlong(&meant).map_err(|error| {
        PatternError(format!("{error}: such a request is refused with 400; write the character"))
    })?;
    Ok(bytes)
}
