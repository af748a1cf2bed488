//! `Expect: 100-continue`, hidden from the library, which would answer it by itself.

use http::header::{EXPECT, HeaderMap, HeaderValue};

/// The one that exists (RFC 9110 §10.1.1).
pub(super) const EXPECTATION: &[u8] = b"100-continue";
/// Stands in the place of its last letter, so that the library does not know it; the gate knows no such one either.
pub(super) const HIDDEN: u8 = b'*';

/// Shows an expectation that was hidden from the library.
pub fn show_expectation(headers: &mut HeaderMap) {
    let Some(value) = headers.get_mut(EXPECT) else { return };
    let begin = &EXPECTATION[..EXPECTATION.len() - 1];
    if let Some((&HIDDEN, rest)) = value.as_bytes().split_last()
        && rest.eq_ignore_ascii_case(begin)
    {
        *value = HeaderValue::from_static("100-continue");
    }
}
