//! Who asks: what the sidecar says in front of a service.

use example_web::{Answer, text};
use http::{HeaderMap, StatusCode};

/// The header with the name of whoever has signed in. A sidecar sets it from a token that it has verified, and removes what
/// a caller sends in its place.
const USER: &str = "x-user";

/// Who asks; none where nobody vouches for one.
#[must_use]
pub fn user(headers: &HeaderMap) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let name = headers.get(USER)?.to_str().ok()?;
    ((1..=64).contains(&name.len()) && name.bytes().all(plain)).then_some(name)
}

/// The answer to whoever has not signed in. In the mesh nobody gets this far without a token.
#[must_use]
pub fn nobody() -> Answer {
    text(StatusCode::UNAUTHORIZED, "sign in first\n")
}
