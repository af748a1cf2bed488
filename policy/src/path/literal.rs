//! The literal parts of path patterns, in the spelling paths are compared in.

use super::percent::{escaped_byte, is_path_byte, is_unreserved, push_escape};
use crate::pattern::PatternError;

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

/// The bytes a literal means, and whether each stood escaped.
fn bytes(literal: &str) -> Result<Vec<(u8, bool)>, PatternError> {
    let mut bytes = Vec::with_capacity(literal.len());
    let mut rest = literal.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let advice =
                    "a % is followed by two hex digits; write %25 for the character itself";
                bytes.push((escaped_byte(rest).map_err(|_| PatternError::from(advice))?, true));
                rest = rest.get(2..).unwrap_or_default();
            }
            b'\\' => {
                let advice =
                    "a path is judged as an app reads it that takes \\ for a slash, too; write /";
                return Err(advice.into());
            }
            0..b' ' | 0x7f => return Err("a path holds no control character".into()),
            _ => bytes.push((byte, false)),
        }
    }
    Ok(bytes)
}
