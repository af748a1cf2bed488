//! A caller's key as a key of the store.

use aws_lc_rs::digest::{SHA256, digest};
use redis_link::Slot;

/// Of the digest, bytes: nobody finds two keys that share 128 bits by trying.
const KEPT: usize = 16;

/// Where the state of one caller of one limit is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    key: Vec<u8>,
    slot: Slot,
}

impl Bucket {
    /// The bucket of a caller: `{PREFIX:DIGEST}`. A digest, because keys hold API keys and names of people, and are as
    /// long as a peer likes. The braces make of it what a Cluster hashes: it has one slot, whatever the prefix is.
    pub(crate) fn of(prefix: &str, key: &[u8]) -> Self {
        let digest = digest(&SHA256, key);
        let mut name = Vec::with_capacity(prefix.len() + 2 * KEPT + 3);
        name.push(b'{');
        name.extend_from_slice(prefix.as_bytes());
        name.push(b':');
        name.extend(
            digest.as_ref().iter().take(KEPT).flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]),
        );
        name.push(b'}');
        Self::named(name)
    }

    /// The bucket that nobody's requests are counted in: what a connection is tried with.
    pub(crate) fn probe(prefix: &str) -> Self {
        Self::named(format!("{{{prefix}:probe}}").into_bytes())
    }

    fn named(key: Vec<u8>) -> Self {
        Self { slot: Slot::of(&key), key }
    }

    /// Its name in the store.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its slot in a Cluster.
    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_digests_in_braces() {
        let bucket = Bucket::of("postern:rl", b"ann");
        // `printf ann | sha256sum`
        assert_eq!(bucket.key(), b"{postern:rl:49915e0d7d4b402e3017d010bc1c0e83}");
        assert_ne!(bucket, Bucket::of("postern:rl", b"anne"));
        assert_ne!(bucket, Bucket::of("other:rl", b"ann"));
        assert_eq!(Bucket::probe("postern:rl").key(), b"{postern:rl:probe}");
    }
}
