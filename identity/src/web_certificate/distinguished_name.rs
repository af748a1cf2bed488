//! A distinguished name as text (RFC 4514): escaped, so that no value can look like another attribute.

use std::fmt::Write as _;

use x509_parser::x509::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name};

use super::{WebCertificateError, malformed};

/// The longest text that is made, bytes.
const MAX_TEXT: usize = 2048;

/// The short names of RFC 4514 §3, and of mail addresses (RFC 2985 §5.2.1).
const SHORT_NAMES: [(&str, &str); 10] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The name, its last part first (§2.1): `CN=cart,O=Shop`.
///
/// # Errors
/// [`WebCertificateError::Malformed`] for values that are no text, and for a name of more than 2 KiB.
pub(super) fn text(name: &X509Name<'_>) -> Result<String, WebCertificateError> {
    let mut parts: Vec<String> = name.iter_rdn().map(part).collect::<Result<_, _>>()?;
    parts.reverse();
    let text = parts.join(",");
    if text.len() > MAX_TEXT {
        return Err(malformed("a subject of more than 2 KiB"));
    }
    Ok(text)
}

fn part(part: &RelativeDistinguishedName<'_>) -> Result<String, WebCertificateError> {
    let attributes = part.iter().map(attribute).collect::<Result<Vec<_>, _>>()?;
    Ok(attributes.join("+"))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Result<String, WebCertificateError> {
    let oid = attribute.attr_type().to_id_string();
    let name = SHORT_NAMES.iter().find(|(known, _)| *known == oid).map_or(&*oid, |(_, name)| name);
    Ok(format!("{name}={}", escaped(attribute.as_str().map_err(malformed)?)))
}

/// §2.4: what separates, a blank or `#` at the beginning, a blank at the end, and every control character.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        match letter {
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => text.extend(['\\', letter]),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\\{byte:02X}");
                }
            }
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_value_cannot_look_like_another_attribute() {
        for (row, value, expect) in [
            ("plain", "Shop of Things", "Shop of Things"),
            ("another attribute", "a,O=admin", "a\\,O\\=admin"),
            ("several values", "a+CN=b", "a\\+CN\\=b"),
            ("blanks around", " a ", "\\ a\\ "),
            ("one blank", " ", "\\ "),
            ("an encoded value", "#04", "\\#04"),
            ("a line break", "a\nb\0", "a\\0Ab\\00"),
            ("beyond ASCII", "Bäcker\u{85}", "Bäcker\\C2\\85"),
            ("empty", "", ""),
        ] {
            assert_eq!(escaped(value), expect, "{row}");
        }
    }
}
