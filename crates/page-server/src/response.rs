//! The answers that pages give: a status, a content type, a text.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

/// A text for people.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// Prometheus takes no answer that does not say what it is
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// JSON.
pub const JSON: &str = "application/json";

/// The answer to a request.
pub type Page = Response<Full<Bytes>>;

/// An answer of this content type.
#[must_use]
pub fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Page {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A text for people.
#[must_use]
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Page {
    page(status, TEXT, body)
}

/// 405 with the methods that the page takes, such as `GET, HEAD` (RFC 9110 §15.5.6).
#[must_use]
pub fn method_not_allowed(allowed: &'static str, body: impl Into<Bytes>) -> Page {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, body);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
