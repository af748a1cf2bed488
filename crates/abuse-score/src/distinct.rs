//! About how many different things were seen: linear counting (Whang and others, 1990) in 512 bits, whole numbers only.

use rate_limit::KeyDigest;

/// How many bits a set has. At 500 things, the most that a rule asks for, about 320 are set and the error is below a tenth.
const BITS: usize = 512;
const WORDS: usize = BITS / 64;

/// A set that only knows about how large it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DistinctSet([u64; WORDS]);

impl DistinctSet {
    /// Adds one. Its digest is secret, so that nobody finds things that fall together, or few that look like many.
    pub(crate) fn add(&mut self, digest: KeyDigest) {
        let bit = digest.part(BITS);
        if let Some(word) = self.0.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// About how many were added to this one.
    pub(crate) fn len(&self) -> u32 {
        estimate(self.0.iter().map(|word| word.count_ones()).sum())
    }

    /// About how many were added to either.
    pub(crate) fn len_with(&self, other: &Self) -> u32 {
        let both = self.0.iter().zip(&other.0).map(|(a, b)| (a | b).count_ones());
        estimate(both.sum())
    }
}

/// The least number of things by which so many bits are set on the average: each finds a bit that is still clear with the
/// share of bits that are.
fn estimate(bits: u32) -> u32 {
    const ONE: u64 = 1 << 32;
    let whole = BITS as u64 * ONE;
    // One less than a half: a number of bits stands for what sets it when rounded.
    let wanted = u64::from(bits).min(BITS as u64 - 1) * ONE - u64::from(bits > 0) * ONE / 2;
    let (mut clear, mut things) = (whole, 0);
    while whole - clear < wanted {
        clear -= clear / BITS as u64;
        things += 1;
    }
    things
}

#[cfg(test)]
mod tests {
    use super::*;
    use rate_limit::KeyDigests;

    #[test]
    fn few_are_counted_and_many_estimated() {
        let digests = KeyDigests::default();
        for (things, least, most) in
            [(0, 0, 0), (1, 1, 1), (5, 2, 9), (30, 18, 42), (100, 70, 130), (500, 370, 640)]
        {
            let mut set = DistinctSet::default();
            (0..things).for_each(|thing: u32| set.add(digests.of(&thing.to_be_bytes())));
            // Once more: the same are no others.
            (0..things).for_each(|thing: u32| set.add(digests.of(&thing.to_be_bytes())));
            let found = set.len();
            assert!((least..=most).contains(&found), "{things}: {found}");
            assert_eq!(set.len_with(&set), found);
        }
    }

    #[test]
    fn an_estimate_is_finite_and_grows() {
        let all: Vec<_> = (0..=600).map(estimate).collect();
        assert!(all.is_sorted());
        assert!(all.last().is_some_and(|most| *most < 5_000));
        assert_eq!(all.get(..4), Some(&[0, 1, 2, 3][..]));
    }
}
