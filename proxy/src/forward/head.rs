//! The head of a request, in the form that the next hop's HTTP version wants it.
//!
//! The gate leaves one `Host` header and a target in origin form. HTTP/2 wants both in its
//! pseudo-header fields (RFC 9113 §8.3.1).

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{Request, Uri, Version};

/// Puts host and target where HTTP/2 wants them. A head that cannot be put so stays as it is, and
/// the next hop refuses it.
pub(crate) fn for_http2<B>(request: &mut Request<B>) {
    let Some(host) = request.headers_mut().remove(HOST) else { return };
    let Ok(authority) = Authority::from_maybe_shared(host) else { return };
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_2;
}

/// Says that the next hop speaks HTTP/1.1.
pub(crate) fn for_http1<B>(request: &mut Request<B>) {
    *request.version_mut() = Version::HTTP_11;
}
