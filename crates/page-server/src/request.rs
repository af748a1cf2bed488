//! A request to a page server.

use std::net::SocketAddr;

use bytes::Bytes;
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
