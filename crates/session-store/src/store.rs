//! The store, wherever it is.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use redis_link::{SettingsError, StoreAddress, StoreError, StoreSettings};

use crate::memory::{LeaseToken, Memory};
use crate::redis::Together;
use crate::revoked::{Revoked, unix_millis};
use crate::{Lease, MemoryBounds, Revocation, RevokedKey, SessionStoreError, StoreKey};

/// The longest sealed session, bytes: what is read of the store in one answer.
pub const MOST_SEALED: usize = 60 * 1024;

/// What keys in a Redis begin with.
const KEY_PREFIX: &str = "postern:ss";
/// The longest wait for a Redis: a request that needs its session waits for it.
const TIMEOUT: Duration = Duration::from_millis(100);

/// The store. Cheap to clone: all clones are one, and connections end with the last one.
#[derive(Debug, Clone)]
pub struct SessionStore(Place);

#[derive(Debug, Clone)]
enum Place {
    /// In this process.
    Memory(Arc<Alone>),
    /// In a Redis.
    Together(Arc<Together>),
}

#[derive(Debug)]
struct Alone {
    memory: Mutex<Memory>,
    revoked: Revoked,
}

impl SessionStore {
    /// In the memory of this process: what it knows ends with it, and no other process knows it.
    #[must_use]
    pub fn memory(bounds: MemoryBounds) -> Self {
        let memory = Mutex::new(Memory::new(bounds));
        Self(Place::Memory(Arc::new(Alone { memory, revoked: Revoked::new() })))
    }

    /// The Redis at these addresses, with all defaults: an answer is waited for 100 ms, keys begin with `postern:ss`.
    #[must_use]
    pub fn settings(addresses: Vec<StoreAddress>) -> StoreSettings {
        StoreSettings {
            timeout: TIMEOUT,
            key_prefix: KEY_PREFIX.to_owned(),
            ..StoreSettings::new(addresses)
        }
    }

    /// In a Redis that many processes share. Begins to connect, in a thread of its own; it is not waited for.
    ///
    /// # Errors
    /// [`SettingsError`]: the store itself is not waited for.
    pub fn redis(settings: StoreSettings) -> Result<Self, SettingsError> {
        Ok(Self(Place::Together(Together::start(settings)?)))
    }

    /// The sealed session, unless it has ended.
    ///
    /// # Errors
    /// [`SessionStoreError`]: it cannot be known now.
    pub async fn get(&self, id: StoreKey) -> Result<Option<Bytes>, SessionStoreError> {
        match &self.0 {
            Place::Memory(alone) => Ok(alone.memory.lock().get(&id, Instant::now())),
            Place::Together(together) => Ok(together.commands.get(&id).await?),
        }
    }

    /// Keeps a sealed session for so long, instead of the one that was there.
    ///
    /// # Errors
    /// [`SessionStoreError`]: it may not be kept. The one that was there may be gone.
    pub async fn put(
        &self,
        id: StoreKey,
        sealed: Bytes,
        ttl: Duration,
    ) -> Result<(), SessionStoreError> {
        if sealed.len() > MOST_SEALED {
            return Err(SessionStoreError::TooLarge(sealed.len()));
        }
        match &self.0 {
            Place::Memory(alone) => alone.memory.lock().put(id, sealed, ttl, Instant::now()),
            Place::Together(together) => Ok(together.commands.put(&id, &sealed, ttl).await?),
        }
    }

    /// Forgets a session.
    ///
    /// # Errors
    /// [`SessionStoreError`]: it may still be there.
    pub async fn remove(&self, id: StoreKey) -> Result<(), SessionStoreError> {
        match &self.0 {
            Place::Memory(alone) => alone.memory.lock().remove(&id),
            Place::Together(together) => together.commands.remove(&id).await?,
        }
        Ok(())
    }

    /// The right to do alone what this key names, for a term that can be renewed; `None` while another one has it.
    ///
    /// # Errors
    /// [`SessionStoreError`]: nobody has got it by this.
    pub async fn lease(
        &self,
        key: StoreKey,
        term: Duration,
    ) -> Result<Option<Lease>, SessionStoreError> {
        let mut token = LeaseToken::default();
        aws_lc_rs::rand::fill(&mut token).map_err(|_| SessionStoreError::NoRandom)?;
        let got = match &self.0 {
            Place::Memory(alone) => alone.memory.lock().lease(key, token, term, Instant::now())?,
            Place::Together(together) => together.commands.lease(&key, &token, term).await?,
        };
        Ok(got.then(|| Lease::new(self.clone(), key, token, term)))
    }

    pub(crate) async fn renew(
        &self,
        key: StoreKey,
        token: LeaseToken,
        term: Duration,
    ) -> Result<bool, SessionStoreError> {
        match &self.0 {
            Place::Memory(alone) => Ok(alone.memory.lock().renew(key, token, term, Instant::now())),
            Place::Together(together) => Ok(together.commands.renew(&key, &token, term).await?),
        }
    }

    /// Nobody waits for it: where it is lost, the lease ends by itself.
    pub(crate) fn release(&self, key: StoreKey, token: LeaseToken) {
        match &self.0 {
            Place::Memory(alone) => alone.memory.lock().release(&key, token),
            Place::Together(together) => together.commands.release(&key, &token),
        }
    }

    /// Whether this is the first time in so long: for identifiers that count once (`jti`, `state`).
    ///
    /// # Errors
    /// [`SessionStoreError`]: it cannot be known now, which is no yes. In memory, where as many are remembered as may
    /// be: none is forgotten early.
    pub async fn once(&self, key: StoreKey, ttl: Duration) -> Result<bool, SessionStoreError> {
        match &self.0 {
            Place::Memory(alone) => alone.memory.lock().once(key, ttl, Instant::now()),
            Place::Together(together) => Ok(together.commands.once(&key, ttl).await?),
        }
    }

    /// Ends sessions early: here at once, in every process of the store within two seconds.
    ///
    /// # Errors
    /// [`SessionStoreError`]: this process knows it, and tells the others as soon as it can.
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), SessionStoreError> {
        match &self.0 {
            Place::Memory(alone) => {
                alone.revoked.add(&revocation, unix_millis(SystemTime::now()));
                Ok(())
            }
            Place::Together(together) => together.revoke(&revocation).await,
        }
    }

    /// Whether one of these was revoked for a session that began then, Unix time in milliseconds. Known without asking
    /// anybody, but for the first moments of a process.
    ///
    /// # Errors
    /// [`SessionStoreError`]: it cannot be known, because this process has never heard what was revoked before it
    /// started. Once it has, it goes on with what it knows.
    pub async fn is_revoked(
        &self,
        keys: &[RevokedKey],
        began: u64,
    ) -> Result<bool, SessionStoreError> {
        if self.revoked().holds(keys, began) {
            return Ok(true);
        }
        if let Place::Together(together) = &self.0 {
            together.until_heard().await?;
        }
        Ok(self.revoked().holds(keys, began))
    }

    /// The same by what this process knows now, for a session that was asked about before: whoever has it open is told when
    /// that changes ([`Self::revocations_heard`]).
    #[must_use]
    pub fn is_known_revoked(&self, keys: &[RevokedKey], began: u64) -> bool {
        self.revoked().holds(keys, began)
    }

    /// How often this process has heard of a revocation that was new to it. Another number: what is open may have ended.
    #[must_use]
    pub fn revocations_heard(&self) -> u64 {
        self.revoked().heard()
    }

    /// How many revocations are known, at most [`crate::MOST_REVOKED`].
    #[must_use]
    pub fn revocations(&self) -> usize {
        self.revoked().len()
    }

    /// Whether a revocation was forgotten before its end, because as many are known as may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.revoked().is_full(unix_millis(SystemTime::now()))
    }

    /// Whether the store is connected and asked; always, in memory.
    #[must_use]
    pub fn is_up(&self) -> bool {
        match &self.0 {
            Place::Memory(_) => true,
            Place::Together(together) => together.commands.link().is_up(),
        }
    }

    /// What is wrong, while something is: a connection that cannot be made, a wrong password, no answers in time.
    #[must_use]
    pub fn trouble(&self) -> Option<StoreError> {
        match &self.0 {
            Place::Memory(_) => None,
            Place::Together(together) => together.commands.link().trouble(),
        }
    }

    fn revoked(&self) -> &Revoked {
        match &self.0 {
            Place::Memory(alone) => &alone.revoked,
            Place::Together(together) => &together.revoked,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn store() -> SessionStore {
        SessionStore::memory(MemoryBounds::default())
    }

    #[tokio::test]
    async fn a_lease_that_is_dropped_is_given_back() {
        let (store, key) = (store(), StoreKey::of(&[b"a"]));
        let minute = Duration::from_secs(60);
        let lease = store.lease(key, minute).await.unwrap().unwrap();
        assert!(store.lease(key, minute).await.unwrap().is_none());
        drop(lease);
        assert!(store.lease(key, minute).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_lease_is_held_for_as_long_as_the_work_takes() {
        let (store, key) = (store(), StoreKey::of(&[b"a"]));
        let lease = store.lease(key, Duration::from_millis(300)).await.unwrap().unwrap();
        let done = lease.hold(async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            store.lease(key, Duration::from_secs(1)).await.unwrap().is_none()
        });
        assert!(done.await, "it is still held after its first term");
    }

    #[tokio::test]
    async fn a_session_of_too_many_bytes_is_refused() {
        let id = StoreKey::of(&[b"a"]);
        let sealed = Bytes::from(vec![0; MOST_SEALED + 1]);
        let found = store().put(id, sealed, Duration::from_secs(1)).await;
        assert_eq!(found, Err(SessionStoreError::TooLarge(MOST_SEALED + 1)));
    }
}
