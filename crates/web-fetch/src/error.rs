//! Why no document came in.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;

use crate::address::ForbiddenAddress;

/// Why no document came in. Of what the other side sent it repeats only a redirect's target, cut to 200 characters.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A URL, the first or a redirect's, that breaks a rule of [`crate::url`].
    #[error("`{text}` is no https address to fetch from: {rule}")]
    Url {
        /// The beginning of what was written.
        text: String,
        /// The rule.
        rule: &'static str,
    },
    /// An address that is not called.
    #[error("{host} is not called at {address}: {reason}")]
    Forbidden {
        /// As the URL has it.
        host: String,
        /// What it was resolved to.
        address: SocketAddr,
        /// Why not.
        reason: ForbiddenAddress,
    },
    /// The name means nothing.
    #[error("{host} cannot be resolved: {error}")]
    Resolve {
        /// As the URL has it.
        host: String,
        /// The resolver's.
        error: io::Error,
    },
    /// No TCP connection.
    #[error("{host}: cannot connect: {error}")]
    Connect {
        /// As the URL has it.
        host: String,
        /// Of the last address that was tried.
        error: io::Error,
    },
    /// No TLS connection.
    #[error("{host} did not prove itself: {error}")]
    Tls {
        /// As the URL has it.
        host: String,
        /// What the handshake failed for.
        error: io::Error,
    },
    /// No connection in time.
    #[error("{host}: no connection within {limit:?}")]
    ConnectTimeout {
        /// As the URL has it.
        host: String,
        /// The time it had.
        limit: Duration,
    },
    /// No HTTP answer.
    #[error("{host}: no answer: {error}")]
    Http {
        /// As the URL has it.
        host: String,
        /// The library's.
        error: hyper::Error,
    },
    /// Another status than 200.
    #[error("{host} answered {status}, expected 200")]
    Status {
        /// As the URL has it.
        host: String,
        /// Which.
        status: StatusCode,
    },
    /// A redirect more than is followed.
    #[error("{host} asks for more than {limit} redirects")]
    Redirects {
        /// The host that asked.
        host: String,
        /// How many are followed.
        limit: usize,
    },
    /// The document is larger than is taken.
    #[error("{0} sent more than 1 MiB")]
    TooLarge(String),
    /// The document is compressed or otherwise encoded.
    #[error("{0} sent an encoded body, which was not asked for")]
    Encoded(String),
    /// The connection broke within the document.
    #[error("{host} broke off within the document: {error}")]
    Body {
        /// As the URL has it.
        host: String,
        /// The library's.
        error: hyper::Error,
    },
    /// No document in time.
    #[error("no whole document within {0:?}")]
    Timeout(Duration),
}

impl FetchError {
    /// Why an address is not called, where that is the reason: a caller's setting may allow it.
    #[must_use]
    pub fn forbidden(&self) -> Option<ForbiddenAddress> {
        match self {
            Self::Forbidden { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}
