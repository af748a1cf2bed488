//! What one process keeps in its memory. There is no clock in it: moments are handed in.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::SessionStoreError;
use crate::ending::Ending;
use crate::key::StoreKey;

/// What may be kept in memory at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBounds {
    /// Sessions, leases and single-use values, each. Default 100,000.
    pub entries: usize,
    /// Bytes of all sealed sessions. Default 64 MiB.
    pub session_bytes: usize,
}

impl Default for MemoryBounds {
    fn default() -> Self {
        Self { entries: 100_000, session_bytes: 64 * 1024 * 1024 }
    }
}

/// Whose lease it is.
pub(crate) type LeaseToken = [u8; 16];

#[derive(Debug)]
pub(crate) struct Memory {
    bounds: MemoryBounds,
    sessions: Ending<Instant, Bytes>,
    session_bytes: usize,
    leases: Ending<Instant, LeaseToken>,
    used: Ending<Instant, ()>,
}

impl Memory {
    pub(crate) fn new(bounds: MemoryBounds) -> Self {
        Self {
            bounds,
            sessions: Ending::new(),
            session_bytes: 0,
            leases: Ending::new(),
            used: Ending::new(),
        }
    }

    pub(crate) fn get(&self, id: &StoreKey, now: Instant) -> Option<Bytes> {
        let (end, sealed) = self.sessions.get(id)?;
        (now < *end).then(|| sealed.clone())
    }

    /// Instead of the one that was there.
    pub(crate) fn put(
        &mut self,
        id: StoreKey,
        sealed: Bytes,
        ttl: Duration,
        now: Instant,
    ) -> Result<(), SessionStoreError> {
        self.remove(&id);
        self.drop_ended_sessions(now);
        let bytes = self.session_bytes.saturating_add(sealed.len());
        if self.sessions.len() >= self.bounds.entries || bytes > self.bounds.session_bytes {
            return Err(SessionStoreError::Full(self.sessions.len()));
        }
        self.session_bytes = bytes;
        self.sessions.insert(id, end(now, ttl), sealed);
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: &StoreKey) {
        if let Some(sealed) = self.sessions.remove(id) {
            self.session_bytes -= sealed.len();
        }
    }

    fn drop_ended_sessions(&mut self, now: Instant) {
        self.sessions.drop_ended(now, |sealed| self.session_bytes -= sealed.len());
    }

    /// Whether nobody else has it.
    pub(crate) fn lease(
        &mut self,
        key: StoreKey,
        token: LeaseToken,
        term: Duration,
        now: Instant,
    ) -> Result<bool, SessionStoreError> {
        self.leases.drop_ended(now, drop);
        if self.leases.get(&key).is_some() {
            return Ok(false);
        }
        room(&self.leases, self.bounds.entries)?;
        self.leases.insert(key, end(now, term), token);
        Ok(true)
    }

    /// Whether it is still this holder's.
    pub(crate) fn renew(
        &mut self,
        key: StoreKey,
        token: LeaseToken,
        term: Duration,
        now: Instant,
    ) -> bool {
        self.leases.drop_ended(now, drop);
        let held = self.leases.get(&key).is_some_and(|(_, holder)| *holder == token);
        if held {
            self.leases.insert(key, end(now, term), token);
        }
        held
    }

    /// Nothing where it is another holder's by now.
    pub(crate) fn release(&mut self, key: &StoreKey, token: LeaseToken) {
        if self.leases.get(key).is_some_and(|(_, holder)| *holder == token) {
            self.leases.remove(key);
        }
    }

    /// Whether it is the first time.
    pub(crate) fn once(
        &mut self,
        key: StoreKey,
        ttl: Duration,
        now: Instant,
    ) -> Result<bool, SessionStoreError> {
        self.used.drop_ended(now, drop);
        if self.used.get(&key).is_some() {
            return Ok(false);
        }
        room(&self.used, self.bounds.entries)?;
        self.used.insert(key, end(now, ttl), ());
        Ok(true)
    }
}

fn room<V>(map: &Ending<Instant, V>, most: usize) -> Result<(), SessionStoreError> {
    if map.len() < most { Ok(()) } else { Err(SessionStoreError::Full(map.len())) }
}

/// A wait without end is one of a year.
fn end(now: Instant, ttl: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    now + ttl.min(YEAR)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(text: &str) -> StoreKey {
        StoreKey::of(&[text.as_bytes()])
    }

    fn small() -> Memory {
        Memory::new(MemoryBounds { entries: 2, session_bytes: 10 })
    }

    #[test]
    fn a_session_is_there_until_it_ends() {
        let (mut memory, now) = (small(), Instant::now());
        memory.put(key("a"), "one".into(), SECOND, now).unwrap();
        memory.put(key("a"), "other".into(), 2 * SECOND, now).unwrap();
        assert_eq!(memory.get(&key("a"), now + SECOND), Some("other".into()));
        assert_eq!(memory.get(&key("a"), now + 2 * SECOND), None);
        memory.remove(&key("a"));
        assert_eq!((memory.get(&key("a"), now), memory.session_bytes), (None, 0));
    }

    #[test]
    fn full_refuses_and_forgets_nobody() {
        let (mut memory, now) = (small(), Instant::now());
        memory.put(key("a"), "12345".into(), SECOND, now).unwrap();
        let found = memory.put(key("b"), "123456".into(), SECOND, now);
        assert_eq!(found, Err(SessionStoreError::Full(1)), "bytes");
        memory.put(key("b"), "1".into(), 2 * SECOND, now).unwrap();
        let found = memory.put(key("c"), "1".into(), SECOND, now);
        assert_eq!(found, Err(SessionStoreError::Full(2)), "entries");
        memory.put(key("c"), "123456789".into(), SECOND, now + SECOND).unwrap();
        assert_eq!((memory.sessions.len(), memory.session_bytes), (2, 10), "after an end");
    }

    #[test]
    fn a_lease_has_one_holder() {
        let (mut memory, now) = (small(), Instant::now());
        let (ann, bob) = ([1; 16], [2; 16]);
        assert_eq!(memory.lease(key("a"), ann, SECOND, now), Ok(true));
        assert_eq!(memory.lease(key("a"), bob, SECOND, now), Ok(false));
        assert!(memory.renew(key("a"), ann, 2 * SECOND, now));
        assert!(!memory.renew(key("a"), bob, 9 * SECOND, now));
        memory.release(&key("a"), bob);
        assert_eq!(memory.lease(key("a"), bob, SECOND, now + SECOND), Ok(false), "renewed");
        assert_eq!(memory.lease(key("a"), bob, SECOND, now + 2 * SECOND), Ok(true), "ended");
        assert!(!memory.renew(key("a"), ann, SECOND, now + 2 * SECOND), "lost");
        memory.release(&key("a"), bob);
        assert_eq!(memory.lease(key("a"), ann, SECOND, now + 2 * SECOND), Ok(true), "released");
    }

    #[test]
    fn once_is_once_until_its_end_even_when_it_is_full() {
        let (mut memory, now) = (small(), Instant::now());
        assert_eq!(memory.once(key("a"), SECOND, now), Ok(true));
        assert_eq!(memory.once(key("a"), SECOND, now), Ok(false));
        assert_eq!(memory.once(key("b"), Duration::MAX, now), Ok(true));
        assert_eq!(memory.once(key("c"), SECOND, now), Err(SessionStoreError::Full(2)));
        assert_eq!(memory.once(key("a"), SECOND, now), Ok(false));
        assert_eq!(memory.once(key("a"), SECOND, now + SECOND), Ok(true), "ended");
    }
}
