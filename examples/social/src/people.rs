//! Who asks: what the sidecar says in front of a service.

use example_web::{Answer, text};
use http::{HeaderMap, StatusCode};

/// The header with the name of whoever asks. A sidecar sets it from a token that it has verified, and removes what a caller
/// sends in its place.
pub const USER: &str = "x-user";

/// Whether this is a name: 1 to 32 of `a-z`, `0-9` and `_`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=32).contains(&name.len()) && name.bytes().all(plain)
}

/// Who asks; none where nobody vouches for one.
#[must_use]
pub fn user(headers: &HeaderMap) -> Option<&str> {
    headers.get(USER)?.to_str().ok().filter(|name| is_name(name))
}

/// The answer to whoever has not logged in. In the mesh nobody gets this far without a token.
#[must_use]
pub fn nobody() -> Answer {
    text(StatusCode::UNAUTHORIZED, "log in first\n")
}
