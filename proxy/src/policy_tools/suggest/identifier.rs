//! Which segments of a path name one thing among many.

/// True for numbers, UUIDs, hashes, random tokens, numbered names and addresses of mail; and for
/// what a pattern could not spell out, because `*` and braces mean something there.
pub(super) fn is_identifier(segment: &str) -> bool {
    segment.contains(['*', '{', '}', '@'])
        || is_number_or_date(segment)
        || is_uuid(segment)
        || is_hash(segment)
        || is_numbered(segment)
        || is_token(segment)
}

/// `42`, `2026-01-31`.
fn is_number_or_date(segment: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    segment.split('-').all(digits)
}

/// RFC 9562 §4: 8-4-4-4-12 hex digits.
fn is_uuid(segment: &str) -> bool {
    let lengths = segment.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && segment.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

fn is_hash(segment: &str) -> bool {
    segment.len() >= 16
        && segment.bytes().all(|b| b.is_ascii_hexdigit())
        && segment.bytes().any(|b| b.is_ascii_digit())
}

/// `order-1042`, `inv_20260131`: a word and at least three digits.
fn is_numbered(segment: &str) -> bool {
    segment.rsplit_once(['-', '_']).is_some_and(|(word, number)| {
        number.len() >= 3
            && number.bytes().all(|b| b.is_ascii_digit())
            && word.bytes().all(|b| b.is_ascii_alphabetic())
    })
}

/// Long, letters and digits mixed, and no part that reads as a word.
fn is_token(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let known = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let words = segment.split(|c: char| !c.is_ascii_lowercase());
    bytes.len() >= 16 && known && digits >= 2 && words.into_iter().all(|word| word.len() < 5)
}

#[cfg(test)]
mod tests {
    use super::is_identifier;

    #[test]
    fn segments() {
        for (segment, expect) in [
            ("42", true),
            ("0", true),
            ("2026-01-31", true),
            ("6f1b7c1e-9c0a-4d7e-8a52-0b8f5f1f7a11", true),
            ("9f86d081884c7d659a2feaa0c55ad015", true),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", true),
            ("V1StGXR8_Z5jdHi6B-myT", true),
            ("order-1042", true),
            ("ann@example.org", true),
            ("a*b", true),
            ("{id}", true),
            ("", false),
            ("v1", false),
            ("ann", false),
            ("utf-8", false),
            ("cart", false),
            ("deadbeefdeadbeef", false),
            ("shop.payments.v1.Payments", false),
            ("list-all-open-orders-2026-report", false),
            ("-", false),
        ] {
            assert_eq!(is_identifier(segment), expect, "{segment}");
        }
    }
}
