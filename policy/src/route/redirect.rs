//! Answers that lead elsewhere (`RequestRedirect`).

use std::sync::Arc;

use super::PathChange;
use crate::CanonicalPath;

/// A redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The scheme it leads to; `None`: that of the request.
    pub scheme: Option<RedirectScheme>,
    /// The host it leads to; `None`: that of the request.
    pub hostname: Option<Arc<str>>,
    /// The change of the path; `None`: that of the request.
    pub path: Option<PathChange>,
    /// The port it leads to; `None`: the scheme's where a scheme is written, else the one the request came to.
    pub port: Option<u16>,
    /// The status: 301, 302, 303, 307 or 308. Default 302.
    pub status: u16,
}

/// A scheme of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RedirectScheme {
    /// `http`, port 80.
    Http,
    /// `https`, port 443.
    Https,
}

impl RedirectScheme {
    /// The scheme as a URL has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Its port.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The request that is redirected.
#[derive(Debug, Clone, Copy)]
pub struct RedirectedRequest<'a> {
    /// The scheme it came by: `http` in a sidecar, whose clients speak plaintext.
    pub scheme: RedirectScheme,
    /// Its host without port, canonical.
    pub host: &'a str,
    /// The port it came to: the Service's port, or the listener's.
    pub port: u16,
    /// Its path and query.
    pub path: &'a CanonicalPath<'a>,
}

impl Redirect {
    /// The value of `Location` (RFC 9110 §10.2.2), always an absolute URL; the query stays. The port is left out where it
    /// is the scheme's.
    pub fn location(&self, request: &RedirectedRequest<'_>) -> String {
        let scheme = self.scheme.unwrap_or(request.scheme);
        let port = self.port.or(self.scheme.map(RedirectScheme::port)).unwrap_or(request.port);
        let host = self.hostname.as_deref().unwrap_or(request.host);
        let mut location = format!("{}://{host}", scheme.as_str());
        if port != scheme.port() {
            location.push_str(&format!(":{port}"));
        }
        match &self.path {
            Some(change) => location.push_str(&change.apply(request.path.as_str())),
            None => location.push_str(request.path.as_str()),
        }
        if let Some(query) = request.path.query() {
            location.push('?');
            location.push_str(query);
        }
        location
    }
}
