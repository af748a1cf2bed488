//! Percent-encoding (RFC 3986, section 2.1).

/// Undoes the escapes; `None` where one is broken or the result is no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = hex(rest.next()?)?;
            let low = hex(rest.next()?)?;
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// As [`decode`], with `+` for a space, as forms have it (URL Standard, section 5.1).
pub(crate) fn decode_form(text: &str) -> Option<String> {
    if text.contains('+') { decode(&text.replace('+', " ")) } else { decode(text) }
}

/// Escapes all but what `keep` says; the digits are in upper case.
pub(crate) fn encode(text: &str, keep: impl Fn(u8) -> bool) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if keep(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for digit in [byte >> 4, byte & 15] {
                encoded
                    .push(DIGITS.get(usize::from(digit)).map_or('0', |digit| char::from(*digit)));
            }
        }
    }
    encoded
}

/// Characters that never need an escape (RFC 3986, section 2.3).
pub(crate) fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Characters of a segment of a path (RFC 3986, section 3.3).
pub(crate) fn of_segment(byte: u8) -> bool {
    unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        let rows = [
            ("a%20b", Some("a b")),
            ("caf%c3%A9", Some("café")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%ff", None),
        ];
        for (text, expect) in rows {
            assert_eq!(decode(text).as_deref(), expect, "{text}");
        }
        assert_eq!(decode_form("a+b%2B").as_deref(), Some("a b+"));
        assert_eq!(encode("a é/", of_segment), "a%20%C3%A9%2F");
    }
}
