//! The right to do something alone, for a while: to refresh the tokens of one session.

use std::fmt;
use std::time::Duration;

use crate::memory::LeaseToken;
use crate::{SessionStore, SessionStoreError, StoreKey};

/// A lease. It ends by itself after its term, so that a holder that dies keeps nobody; dropped, it is given back.
#[must_use = "dropped, it is given back"]
pub struct Lease {
    store: SessionStore,
    key: StoreKey,
    token: LeaseToken,
    term: Duration,
}

impl Lease {
    pub(crate) fn new(
        store: SessionStore,
        key: StoreKey,
        token: LeaseToken,
        term: Duration,
    ) -> Self {
        Self { store, key, token, term }
    }

    /// Begins the term anew. Whether it is still ours: it may have ended, and somebody else have got it.
    ///
    /// # Errors
    /// [`SessionStoreError`]: it cannot be known now.
    pub async fn renew(&self) -> Result<bool, SessionStoreError> {
        self.store.renew(self.key, self.token, self.term).await
    }

    /// Does this work and renews the lease meanwhile, three times a term. The work is not stopped when the lease is lost:
    /// a refresh token that was sent is used up, and its answer is the only one.
    pub async fn hold<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let pause = (self.term / 3).max(Duration::from_millis(1));
        loop {
            match tokio::time::timeout(pause, &mut work).await {
                Ok(done) => return done,
                // Without the store nobody else gets the lease either.
                Err(_) => drop(self.renew().await),
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.store.release(self.key, self.token);
    }
}

/// Its token is nobody's to read.
impl fmt::Debug for Lease {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Lease").field("term", &self.term).finish_non_exhaustive()
    }
}
