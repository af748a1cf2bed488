//! The HTTP version a request had before the mesh hop made HTTP/2 of it, in a header between our
//! own proxies. The app's side answers in kind, and the header never reaches an app.

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Version};

const HEADER: HeaderName = HeaderName::from_static("x-postern-version");

/// Notes the version for the next proxy.
pub fn note(headers: &mut HeaderMap, version: Version) {
    let text = match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    headers.insert(HEADER, HeaderValue::from_static(text));
}

/// Takes the version out. Only a peer on `postern/1` is asked; what it does not say, or says
/// wrongly, is HTTP/2, the version of the hop itself.
pub fn take(headers: &mut HeaderMap) -> Version {
    match headers.remove(HEADER).as_ref().map(HeaderValue::as_bytes) {
        Some(b"1.1" | b"1.0") => Version::HTTP_11,
        _ => Version::HTTP_2,
    }
}
