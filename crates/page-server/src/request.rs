//! A request to a page server.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

/// A request as a page sees it.
#[derive(Debug)]
pub struct PageRequest {
    local: SocketAddr,
    head: Parts,
    body: Incoming,
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFailure {
    /// It is larger than the page takes.
    TooLarge,
    /// The connection broke off, or the framing is wrong.
    Broken,
}

impl PageRequest {
    pub(crate) fn new(local: SocketAddr, request: Request<Incoming>) -> Self {
        let (head, body) = request.into_parts();
        Self { local, head, body }
    }

    /// The address of ours that the client dialled.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Whether its one `Host` names the loopback: `localhost`, `127.0.0.1` or `[::1]`, with any port or none. A page of
    /// another name that a browser was led to by DNS does not (SECURITY-CASES S-43: DNS rebinding).
    #[must_use]
    pub fn names_loopback(&self) -> bool {
        names_loopback(self.headers())
    }

    /// The whole body, of at most `most` bytes. The page sets the deadline: it knows what it waits for.
    ///
    /// # Errors
    /// The body is larger, or does not arrive whole.
    pub async fn body(self, most: usize) -> Result<Bytes, BodyFailure> {
        match Limited::new(self.body, most).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(BodyFailure::TooLarge),
            Err(_) => Err(BodyFailure::Broken),
        }
    }
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter().filter_map(|h| h.to_str().ok());
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn s43_admin_and_debug_only_a_loopback_host() {
        let check = |hosts: &[&str], expect: bool| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_str(host).unwrap());
            }
            assert_eq!(names_loopback(&headers), expect, "{hosts:?}");
        };
        check(&["localhost:15000"], true);
        check(&["127.0.0.1:15000"], true);
        check(&["127.0.0.1"], true);
        check(&["[::1]:15000"], true);
        check(&["evil.example"], false);
        check(&["localhost.evil.example:15000"], false);
        check(&["localhost", "evil"], false);
        check(&[], false);
    }
}
