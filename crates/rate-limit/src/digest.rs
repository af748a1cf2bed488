//! Keys of any length as 128 bits that nobody outside can choose.

use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};

/// A key, as tables know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub(crate) u128);

/// Makes digests. The same for all limits of a process and all its life, so that a caller is found again; of secret
/// numbers drawn once, so that nobody finds two keys of one digest (SipHash, twice).
#[derive(Debug, Default)]
pub struct KeyDigests([RandomState; 2]);

impl KeyDigests {
    /// The digest of a key.
    #[must_use]
    pub fn of(&self, key: &[u8]) -> KeyDigest {
        let [high, low] = &self.0;
        KeyDigest(u128::from(high.hash_one(key)) << 64 | u128::from(low.hash_one(key)))
    }
}

impl KeyDigest {
    /// Which of so many parts of a table it belongs to: by other bits than its place in that part.
    #[must_use]
    pub fn part(self, parts: usize) -> usize {
        let high = usize::try_from(self.0 >> 96).unwrap_or(0);
        high % parts.max(1)
    }
}

/// What has been hashed is not hashed again: the low half of a digest is its place in a table.
#[derive(Debug, Default)]
pub struct DigestHasher(u64);

/// The state of tables that are keyed by digests.
pub type ByDigest = BuildHasherDefault<DigestHasher>;

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut low = [0; 8];
        low.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.0 ^= u64::from_ne_bytes(low);
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 = u64::try_from(digest & u128::from(u64::MAX)).unwrap_or(0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
