//! What a plain scalar means in YAML 1.2's core schema (§10.3.2), as far as messages and fields need it.

/// What an unquoted scalar would be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlainScalar {
    Null,
    Boolean(bool),
    Number,
    Text,
}

/// Resolves an unquoted scalar. YAML 1.1's `yes`, `on` and `off` count as booleans too: Kubernetes' own reader takes
/// them for such, so that a file means the same here and in a cluster.
pub(super) fn resolve(text: &str) -> PlainScalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => PlainScalar::Null,
        "true" | "True" | "TRUE" => PlainScalar::Boolean(true),
        "false" | "False" | "FALSE" => PlainScalar::Boolean(false),
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => PlainScalar::Boolean(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => PlainScalar::Boolean(false),
        _ if is_number(text) => PlainScalar::Number,
        _ => PlainScalar::Text,
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if let Some(hex) = digits.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    if let Some(octal) = digits.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|b| (b'0'..=b'7').contains(&b));
    }
    let begins = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    begins && digits.bytes().any(|b| b.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_schema() {
        for (text, expect) in [
            ("8080", PlainScalar::Number),
            ("-1", PlainScalar::Number),
            ("1.5", PlainScalar::Number),
            ("1e3", PlainScalar::Number),
            ("0x1F", PlainScalar::Number),
            ("0o17", PlainScalar::Number),
            (".5", PlainScalar::Number),
            (".", PlainScalar::Text),
            ("1.2.3", PlainScalar::Text),
            ("10.0.0.1", PlainScalar::Text),
            ("10s", PlainScalar::Text),
            ("inf", PlainScalar::Text),
            ("-", PlainScalar::Text),
            ("true", PlainScalar::Boolean(true)),
            ("on", PlainScalar::Boolean(true)),
            ("~", PlainScalar::Null),
            ("", PlainScalar::Null),
            ("cart", PlainScalar::Text),
        ] {
            assert_eq!(resolve(text), expect, "{text}");
        }
    }
}
