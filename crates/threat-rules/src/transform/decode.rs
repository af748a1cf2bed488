//! Encodings of whole values: percent, base64, hexadecimal.

use super::{changed, hex_byte, hex_number, narrowed};

/// Undoes percent-encoding and `+`; what is no valid escape stays as it is.
pub(super) fn url(value: &[u8]) -> Option<Vec<u8>> {
    percent(value, false, true)
}

/// As [`url`], but `+` is itself: a path.
pub(crate) fn path(value: &[u8]) -> Option<Vec<u8>> {
    percent(value, false, false)
}

/// As [`url`], and `%uXXXX`, which some servers understand.
pub(super) fn url_unicode(value: &[u8]) -> Option<Vec<u8>> {
    percent(value, true, true)
}

fn percent(value: &[u8], unicode: bool, plus: bool) -> Option<Vec<u8>> {
    if !value.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return None;
    }
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        let (byte, used) = match (first, after) {
            (b'+', _) if plus => (b' ', 0),
            (b'%', [b'u' | b'U', a, b, c, d, ..]) if unicode => match hex_number(&[*a, *b, *c, *d])
            {
                Some(code) => (narrowed(code), 5),
                None => (b'%', 0),
            },
            (b'%', [high, low, ..]) => match hex_byte(*high, *low) {
                Some(byte) => (byte, 2),
                None => (b'%', 0),
            },
            (byte, _) => (*byte, 0),
        };
        decoded.push(byte);
        rest = after.get(used..).unwrap_or_default();
    }
    changed(value, decoded)
}

/// Undoes base64 of either alphabet; stops where it ends, and leaves out what is no digit, as lenient decoders do.
pub(super) fn base64(value: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(value.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in value {
        let Some(digit) = base64_digit(*byte) else {
            if *byte == b'=' {
                break;
            }
            continue;
        };
        bits = (bits << 6 | digit) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push(u8::try_from(bits >> held & 0xff).unwrap_or_default());
        }
    }
    changed(value, decoded)
}

fn base64_digit(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

pub(super) fn base64_encode(value: &[u8]) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = Vec::with_capacity(value.len().div_ceil(3) * 4);
    for three in value.chunks(3) {
        let byte = |place: usize| u32::from(three.get(place).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4_usize {
            let digit = usize::try_from(bits >> (18 - 6 * place) & 63)
                .ok()
                .and_then(|digit| DIGITS.get(digit));
            encoded.push(if place <= three.len() { digit.copied().unwrap_or(b'=') } else { b'=' });
        }
    }
    changed(value, encoded)
}

/// Undoes hexadecimal digits; a value that is none stays as it is.
pub(super) fn hex(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() % 2 == 1 {
        return None;
    }
    let pairs = value.chunks_exact(2).map(|pair| match pair {
        [high, low] => hex_byte(*high, *low),
        _ => None,
    });
    changed(value, pairs.collect::<Option<Vec<u8>>>()?)
}

pub(super) fn hex_encode(value: &[u8]) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or(b'0');
    changed(value, value.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}

/// Undoes hexadecimal literals of SQL (`0x414243`).
pub(super) fn sql_hex(value: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        if let (b'0', [b'x' | b'X', digits @ ..]) = (first, after) {
            let many = digits.iter().take_while(|byte| byte.is_ascii_hexdigit()).count() / 2 * 2;
            if let Some(bytes) =
                digits.get(..many).filter(|digits| !digits.is_empty()).and_then(hex)
            {
                decoded.extend(bytes);
                rest = digits.get(many..).unwrap_or_default();
                continue;
            }
        }
        decoded.push(*first);
        rest = after;
    }
    changed(value, decoded)
}

/// Writes characters beyond ASCII as `%uXXXX`, so that rules see them whole.
pub(super) fn utf8_to_escapes(value: &[u8]) -> Option<Vec<u8>> {
    if value.is_ascii() {
        return None;
    }
    let mut written = Vec::with_capacity(value.len() * 2);
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match u8::try_from(character) {
                Ok(byte) if byte.is_ascii() => written.push(byte),
                _ => written.extend(format!("%u{:04x}", u32::from(character)).bytes()),
            }
        }
        written.extend(chunk.invalid());
    }
    changed(value, written)
}
