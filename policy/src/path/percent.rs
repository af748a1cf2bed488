//! Percent escapes (RFC 3986 §2.1) and the bytes that need one.

use std::borrow::Cow;

use super::PathError;

/// Letters, digits, `-`, `.`, `_`, `~` (RFC 3986 §2.3): an escape of one means the same as the byte itself.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Bytes that stand for themselves in a path: RFC 3986 `pchar` without `%`, the slash, and what apps are sent unescaped
/// all the same.
pub(super) fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'%' | b'\\' | b'#' | b'?')
}

/// The byte escaped at the head of `rest`, which begins after its `%`.
pub(super) fn escaped_byte(rest: &[u8]) -> Result<u8, PathError> {
    let digit = |at: usize| rest.get(at).and_then(|b| char::from(*b).to_digit(16));
    match (digit(0), digit(1)) {
        (Some(high), Some(low)) => u8::try_from(high * 16 + low).map_err(|_| PathError::BadEscape),
        _ => Err(PathError::BadEscape),
    }
}

/// Adds `%XX` in upper case.
pub(super) fn push_escape(out: &mut String, byte: u8) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    out.push('%');
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

/// A query as it is sent on: `#` and bytes beyond ASCII escaped, everything else untouched; its meaning is the app's.
pub(super) fn escape_query(query: &str) -> Result<Cow<'_, str>, PathError> {
    let stands = |b: u8| b.is_ascii_graphic() && b != b'#';
    if query.bytes().all(stands) {
        return Ok(Cow::Borrowed(query));
    }
    let mut out = String::with_capacity(query.len() + 8);
    for byte in query.bytes() {
        match byte {
            0 => return Err(PathError::Nul),
            1..=b' ' | 0x7f => return Err(PathError::Control),
            _ if stands(byte) => out.push(char::from(byte)),
            _ => push_escape(&mut out, byte),
        }
    }
    Ok(Cow::Owned(out))
}

/// Refuses a second spelling of a character: overlong sequences and the five- and six-byte forms (RFC 3629 §3, §10).
///
/// Other bytes that are no UTF-8 are let through: old apps take Latin-1 in escapes, and it spells nothing twice.
pub(super) fn refuse_overlong(bytes: &[u8]) -> Result<(), PathError> {
    for (at, lead) in bytes.iter().enumerate() {
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        let continues = (0x80..0xC0).contains(&next);
        let overlong = match lead {
            0xC0 | 0xC1 => continues,
            0xE0 => (0x80..0xA0).contains(&next),
            0xF0 => (0x80..0x90).contains(&next),
            0xF8..=0xFD => continues,
            _ => false,
        };
        if overlong {
            return Err(PathError::Overlong);
        }
    }
    Ok(())
}
