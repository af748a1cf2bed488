//! Proofs of possession that were used (RFC 9449 §11.1), so that none is accepted twice.
//!
//! Shared by all workers, because a replay may come on any connection: a lock that workers share, in sixteen
//! shards, and only taken for tokens that are bound to a key.

use std::collections::HashMap;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;

const SHARDS: usize = 16;
/// Proofs a shard remembers; 16 shards of 8192 are 1,400 proofs a second for the 90 s that each is valid, in 6 MiB.
const MAX_PROOFS: usize = 8192;

/// The used proofs.
#[derive(Default)]
pub struct UsedProofs([Mutex<HashMap<[u8; 32], u64>>; SHARDS]);

impl UsedProofs {
    /// Records a proof by its key and `jti`, to be remembered until its age invalidates it. False when it was used
    /// before, or when the memory is full of proofs that are still valid: then a replay could not be recognised.
    pub(super) fn first_use(&self, thumbprint: &str, id: &str, until: u64, now: u64) -> bool {
        let mut digest = Context::new(&SHA256);
        for part in [thumbprint, id] {
            digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(part.as_bytes());
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest.finish().as_ref());
        let mut shard = self.0[usize::from(key[0]) % SHARDS].lock();
        if shard.get(&key).is_some_and(|until| now <= *until) {
            return false;
        }
        if shard.len() >= MAX_PROOFS {
            shard.retain(|_, until| now <= *until);
        }
        let room = shard.len() < MAX_PROOFS;
        if room {
            shard.insert(key, until);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s42_cache_key_collisions_of_proofs() {
        let used = UsedProofs::default();
        for (name, key, id, now, expect) in [
            ("first", "ab", "c", 100, true),
            ("again", "ab", "c", 101, false),
            ("other split of the same bytes", "a", "bc", 101, true),
            ("other id", "ab", "d", 101, true),
            ("still remembered at its end", "ab", "c", 190, false),
            ("forgotten when its age refuses it", "ab", "c", 191, true),
        ] {
            assert_eq!(used.first_use(key, id, now + 90, now), expect, "{name}");
        }
    }

    #[test]
    fn s40_token_dos_full_memory_refuses_until_proofs_age() {
        let used = UsedProofs::default();
        let taken =
            (0..SHARDS * MAX_PROOFS * 2).filter(|n| used.first_use("k", &n.to_string(), 90, 0));
        assert_eq!(taken.count(), SHARDS * MAX_PROOFS);
        assert!(!used.first_use("k", "one more", 90, 90));
        assert!(used.first_use("k", "one more", 181, 91));
    }
}
