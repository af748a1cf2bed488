//! The hash that names endpoints and keys of requests, the same in every process.

use crate::draw::mix;

/// A hash of 64 bits that is the same in every process, on every machine and in every version: FNV-1a,
/// then mixed, because FNV alone hardly moves the upper bits of short inputs.
///
/// It is no defence against inputs that are made to collide: with consistent hashing, callers choose what they share an
/// endpoint with in any case.
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv))
}

/// What an endpoint bids for a key (rendezvous hashing, Thaler and Ravishankar 1998): the highest bid takes the
/// request. When an endpoint goes, only its own keys move; when one comes, only those that it now takes. `endpoint` is
/// its key, [mixed](mix).
pub(crate) fn bid(key: u64, endpoint: u64) -> u64 {
    mix(key ^ endpoint)
}

/// The same where weights differ: the share of keys is that of the weight (Schindelhauer and Schomaker 2005).
pub(crate) fn weighted_bid(key: u64, endpoint: u64, weight: u32) -> f64 {
    // Never 0, whose logarithm is no number.
    let uniform = (bid(key, endpoint) >> 11) as f64 + 0.5;
    f64::from(weight) / -(uniform / (1_u64 << 53) as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_do_not_change() {
        let rows = [("", 0xf52a_15e9_a9b5_e89b_u64), ("10.0.0.1:8080", 0xe6be_330c_3d44_a2e2)];
        for (input, expect) in rows {
            assert_eq!(stable_hash(input.as_bytes()), expect, "{input}");
        }
    }

    #[test]
    fn the_extremes_of_a_hash_bid_finite_numbers() {
        // The mix is a bijection, so that some key gives each value; the ends are tried through the formula.
        for key in 0..10_000 {
            let bid = weighted_bid(key, key.rotate_left(17), u32::MAX);
            assert!(bid.is_finite() && bid > 0.0, "{key}");
        }
    }
}
