//! Escapes within a language: HTML, JavaScript, CSS, C.

use super::{changed, hex_byte, hex_number, narrowed};

/// Undoes character references of HTML: numbers, and the names that hide what rules look for.
pub(super) fn html_entities(value: &[u8]) -> Option<Vec<u8>> {
    if !value.contains(&b'&') {
        return None;
    }
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        match (*first == b'&').then(|| entity(after)).flatten() {
            Some((byte, used)) => {
                decoded.push(byte);
                rest = after.get(used..).unwrap_or_default();
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    changed(value, decoded)
}

/// What stands after `&`: the byte it means, and how many bytes it takes, a semicolon included.
fn entity(after: &[u8]) -> Option<(u8, usize)> {
    let (byte, used) = match after {
        [b'#', b'x' | b'X', digits @ ..] => {
            let many = digits.iter().take(8).take_while(|byte| byte.is_ascii_hexdigit()).count();
            (narrowed(hex_number(digits.get(..many)?)?), many + 2)
        }
        [b'#', digits @ ..] => {
            let many = digits.iter().take(8).take_while(|byte| byte.is_ascii_digit()).count();
            let number = std::str::from_utf8(digits.get(..many)?).ok()?.parse().ok()?;
            (narrowed(number), many + 1)
        }
        _ => {
            let many = after.iter().take(8).take_while(|byte| byte.is_ascii_alphanumeric()).count();
            (named(after.get(..many)?)?, many)
        }
    };
    Some((byte, used + usize::from(after.get(used) == Some(&b';'))))
}

fn named(name: &[u8]) -> Option<u8> {
    Some(match name.to_ascii_lowercase().as_slice() {
        b"lt" => b'<',
        b"gt" => b'>',
        b"amp" => b'&',
        b"quot" => b'"',
        b"apos" => b'\'',
        b"nbsp" => 0xa0,
        b"tab" => b'\t',
        b"newline" => b'\n',
        b"colon" => b':',
        b"lpar" => b'(',
        b"rpar" => b')',
        b"sol" => b'/',
        b"bsol" => b'\\',
        b"semi" => b';',
        b"comma" => b',',
        b"period" => b'.',
        b"equals" => b'=',
        b"num" => b'#',
        b"dollar" => b'$',
        b"lcub" | b"lbrace" => b'{',
        b"rcub" | b"rbrace" => b'}',
        b"lsqb" | b"lbrack" => b'[',
        b"rsqb" | b"rbrack" => b']',
        b"grave" => b'`',
        _ => return None,
    })
}

/// Undoes the escapes of JavaScript strings.
pub(super) fn javascript(value: &[u8]) -> Option<Vec<u8>> {
    unescaped(value, |after| match after {
        [b'u', a, b, c, d, ..] if hex_number(&[*a, *b, *c, *d]).is_some() => {
            Some((hex_number(&[*a, *b, *c, *d]).map(narrowed), 5))
        }
        [b'u', b'{', digits @ ..] => {
            let many = digits.iter().take(8).take_while(|byte| byte.is_ascii_hexdigit()).count();
            let code = hex_number(digits.get(..many)?)?;
            (digits.get(many) == Some(&b'}')).then_some((Some(narrowed(code)), many + 3))
        }
        _ => c_sequence(after),
    })
}

/// Undoes the escapes of C strings.
pub(super) fn c_sequences(value: &[u8]) -> Option<Vec<u8>> {
    unescaped(value, c_sequence)
}

fn c_sequence(after: &[u8]) -> Option<(Option<u8>, usize)> {
    let byte = match after {
        [b'x', high, low, ..] if hex_byte(*high, *low).is_some() => {
            return Some((hex_byte(*high, *low), 3));
        }
        [b'0'..=b'7', ..] => {
            let many = after.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            let code =
                after.iter().take(many).fold(0_u32, |code, byte| code * 8 + u32::from(byte - b'0'));
            return Some((Some(narrowed(code)), many));
        }
        [b'a', ..] => 7,
        [b'b', ..] => 8,
        [b't', ..] => b'\t',
        [b'n', ..] => b'\n',
        [b'v', ..] => 11,
        [b'f', ..] => 12,
        [b'r', ..] => b'\r',
        [other, ..] => *other,
        [] => return None,
    };
    Some((Some(byte), 1))
}

/// Undoes the escapes of CSS: one to six hexadecimal digits and a space, or any character as itself.
pub(super) fn css(value: &[u8]) -> Option<Vec<u8>> {
    unescaped(value, |after| match after {
        [b'\n', ..] => Some((None, 1)),
        [first, ..] if first.is_ascii_hexdigit() => {
            let many = after.iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
            let code = hex_number(after.get(..many)?)?;
            let space = usize::from(after.get(many).is_some_and(u8::is_ascii_whitespace));
            Some((Some(narrowed(code)), many + space))
        }
        [other, ..] => Some((Some(*other), 1)),
        [] => None,
    })
}

/// Replaces each backslash by what `read` makes of what stands after it: a byte or nothing, and how much that took.
fn unescaped(value: &[u8], read: impl Fn(&[u8]) -> Option<(Option<u8>, usize)>) -> Option<Vec<u8>> {
    if !value.contains(&b'\\') {
        return None;
    }
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        match (*first == b'\\').then(|| read(after)).flatten() {
            Some((byte, used)) => {
                decoded.extend(byte);
                rest = after.get(used..).unwrap_or_default();
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    changed(value, decoded)
}
