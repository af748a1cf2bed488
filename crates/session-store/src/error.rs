//! Why the store did nothing.

use redis_link::StoreError;

use crate::MOST_SEALED;

/// Why nothing was kept, found or decided. Whoever asked says that it cannot be known now (503), never that it is so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionStoreError {
    /// As many are kept as may be, and none of them has ended.
    #[error("no room for another one in memory: {0} are kept")]
    Full(usize),
    /// A sealed session of more bytes than any has.
    #[error("a sealed session of {0} bytes; it can have {MOST_SEALED}")]
    TooLarge(usize),
    /// The store of all proxies does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It has not answered since this process began.
    #[error("what was revoked before this process began is not known yet")]
    NotHeard,
    /// No random number for the token of a lease.
    #[error("no random numbers")]
    NoRandom,
}

impl SessionStoreError {
    /// A word for metrics and logs.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Full(_) => "full",
            Self::TooLarge(_) => "too_large",
            Self::Store(error) => error.label(),
            Self::NotHeard => "not_heard",
            Self::NoRandom => "no_random",
        }
    }
}
