//! JWT-SVIDs that were issued already: given again until half of their life is over, and kept a
//! little longer for an authority that is away. Pure: time is handed in.

use std::collections::BTreeMap;

use identity::SpiffeId;
use zeroize::Zeroizing;

/// Sets of audiences that are remembered; the one that expires first makes room.
const MAX_CACHED: usize = 64;
/// A token with less life than this is of no use to anybody, seconds.
const LAST_SECONDS: u64 = 10;

/// Whose token, and for whom: the audiences sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey {
    identity: SpiffeId,
    audience: Vec<String>,
}

impl CacheKey {
    /// The order of the audiences says nothing.
    #[must_use]
    pub fn new(identity: &SpiffeId, audience: &[String]) -> Self {
        let mut audience = audience.to_vec();
        audience.sort();
        audience.dedup();
        Self { identity: identity.clone(), audience }
    }
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheLookup {
    /// In the first half of its life.
    Fresh(Zeroizing<String>),
    /// Good, but it is time for the next one.
    Aging(Zeroizing<String>),
    /// Nothing.
    Nothing,
}

/// The tokens.
#[derive(Default)]
pub struct TokenCache(BTreeMap<CacheKey, CachedToken>);

struct CachedToken {
    token: Zeroizing<String>,
    /// When it came and when it ends, Unix seconds.
    since: u64,
    until: u64,
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({} tokens)", self.0.len())
    }
}

impl TokenCache {
    /// Looks one up at this time (Unix seconds). A clock that stands before the token came says
    /// nothing about its age: it counts as aging.
    #[must_use]
    pub fn find(&self, key: &CacheKey, now: u64) -> CacheLookup {
        match self.0.get(key) {
            Some(cached) if now.saturating_add(LAST_SECONDS) >= cached.until => {
                CacheLookup::Nothing
            }
            Some(cached) if now < cached.since || now >= cached.half() => {
                CacheLookup::Aging(cached.token.clone())
            }
            Some(cached) => CacheLookup::Fresh(cached.token.clone()),
            None => CacheLookup::Nothing,
        }
    }

    /// Remembers one that came now and ends at `until` (Unix seconds).
    pub fn put(&mut self, key: CacheKey, token: Zeroizing<String>, now: u64, until: u64) {
        self.0.retain(|_, cached| cached.until > now);
        while self.0.len() >= MAX_CACHED && !self.0.contains_key(&key) {
            let first = self.0.iter().min_by_key(|(_, cached)| cached.until);
            let Some(first) = first.map(|(key, _)| key.clone()) else { break };
            self.0.remove(&first);
        }
        self.0.insert(key, CachedToken { token, since: now, until });
    }
}

impl CachedToken {
    fn half(&self) -> u64 {
        self.since + self.until.saturating_sub(self.since) / 2
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn key(audience: &[&str]) -> CacheKey {
        let id = SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/cart").unwrap();
        let audience: Vec<String> = audience.iter().map(|name| (*name).to_owned()).collect();
        CacheKey::new(&id, &audience)
    }

    fn token(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn a_token_is_given_again_until_half_of_its_life() {
        let mut cache = TokenCache::default();
        cache.put(key(&["a", "b"]), token("t"), 1000, 1300);
        let check = |name: &str, audience: &[&str], now: u64, expect: CacheLookup| {
            assert_eq!(cache.find(&key(audience), now), expect, "{name}");
        };
        check("at once", &["a", "b"], 1000, CacheLookup::Fresh(token("t")));
        check(
            "in another order, named twice",
            &["b", "a", "b"],
            1149,
            CacheLookup::Fresh(token("t")),
        );
        check("half of its life", &["a", "b"], 1150, CacheLookup::Aging(token("t")));
        check("near its end", &["a", "b"], 1290, CacheLookup::Nothing);
        check("the clock went back", &["a", "b"], 900, CacheLookup::Aging(token("t")));
        check("fewer audiences", &["a"], 1000, CacheLookup::Nothing);
        check("no time panics", &["a", "b"], u64::MAX, CacheLookup::Nothing);
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = TokenCache::default();
        for n in 0..200u64 {
            cache.put(key(&[&n.to_string()]), token("t"), 1000, 2000 + n);
        }
        assert_eq!(cache.0.len(), MAX_CACHED);
        assert_ne!(cache.find(&key(&["199"]), 1000), CacheLookup::Nothing);
        assert_eq!(cache.find(&key(&["0"]), 1000), CacheLookup::Nothing);
        assert!(!format!("{cache:?}").contains('t') || format!("{cache:?}") == "Cache(64 tokens)");
    }
}
