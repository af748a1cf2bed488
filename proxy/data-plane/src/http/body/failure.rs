//! Why a body did not come to its end, readable also after it was given away.

use std::error::Error as _;
use std::io::{
    self,
    ErrorKind::{InvalidData, InvalidInput},
};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The HTTP/1.1 side broke.
    #[error("body: {0}")]
    Http1(#[from] hyper::Error),
    /// The HTTP/2 side broke.
    #[error("body: {0}")]
    Http2(#[from] h2::Error),
    /// The trailers are beyond `limits.headerFields`, `limits.headerBytes`.
    #[error("body: the trailers are too large")]
    TrailersTooLarge,
    /// Policy changed, and refuses the request now.
    #[error("body: policy no longer allows the request")]
    Withdrawn,
    /// No byte came for too long.
    #[error("body: no byte for {0:?}")]
    Stalled(Duration),
    /// It did not end within the time of the request.
    #[error("body: no end within the time of the request")]
    DeadlineExceeded,
    /// It has more bytes than a client may send.
    #[error("body: more bytes than a client may send")]
    TooLarge,
    /// Another attempt to send the request reads it now.
    #[error("body: another attempt has taken over")]
    Superseded,
}

impl BodyError {
    /// The kind of failure, which says whose fault it is.
    pub(super) fn kind(&self) -> BodyFailure {
        match self {
            Self::Http1(error) => {
                let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
                // This is how hyper reports chunks or trailers that are malformed or too large.
                let none = source.is_some_and(|e| matches!(e.kind(), InvalidInput | InvalidData));
                if none { BodyFailure::Malformed } else { BodyFailure::Off }
            }
            Self::Http2(error) if error.is_library() => BodyFailure::Malformed,
            Self::TrailersTooLarge => BodyFailure::Malformed,
            Self::Http2(_) => BodyFailure::Off,
            Self::Withdrawn => BodyFailure::Withdrawn,
            Self::Stalled(_) => BodyFailure::Stalled,
            Self::DeadlineExceeded => BodyFailure::DeadlineExceeded,
            Self::TooLarge => BodyFailure::TooLarge,
            Self::Superseded => BodyFailure::Off,
        }
    }
}

/// How a body failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFailure {
    /// It violates its protocol: chunk syntax, trailers, another length than announced.
    Malformed,
    /// The sender broke off.
    Off,
    /// No byte came for too long.
    Stalled,
    /// Policy refuses the request now.
    Withdrawn,
    /// It did not end within the time of the request.
    DeadlineExceeded,
    /// It has more bytes than a client may send.
    TooLarge,
}

/// Records the failure of a body that was given away.
#[derive(Debug, Clone, Default)]
pub struct BodyWatch(Option<Arc<OnceLock<BodyFailure>>>);

impl BodyWatch {
    /// The watch of a body that may fail.
    pub(super) fn begin() -> Self {
        Self(Some(Arc::default()))
    }

    pub(super) fn report_failure(&self, broken: BodyFailure) {
        if let Some(failure) = &self.0 {
            let _ = failure.set(broken);
        }
    }

    /// How the body failed, if it did.
    #[must_use]
    pub fn broken(&self) -> Option<BodyFailure> {
        self.0.as_ref()?.get().copied()
    }
}
