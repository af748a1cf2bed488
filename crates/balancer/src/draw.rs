//! Several draws from the one random number that is handed in for a pick.

/// A sequence of random numbers (SplitMix64, Steele, Lea and Flood 2014): one addition and one mix for each.
pub(crate) struct Draws(u64);

/// The golden ratio in 64 bits, the step of the sequence.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draws {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Whether an event of this probability happens; always from 1 on.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        probability >= 1.0 || unit(self.next()) < f64::from(probability)
    }
}

/// Maps all of `u64` onto the numbers below `bound`, evenly but for one part in 2^64 / `bound`; onto 0 where that is 0.
pub(crate) fn scale(random: u64, bound: u64) -> u64 {
    u64::try_from((u128::from(random) * u128::from(bound)) >> 64).unwrap_or(0)
}

/// Maps all of `u64` onto 0 (included) to 1 (not).
pub(crate) fn unit(random: u64) -> f64 {
    // 53 bits are what an f64 holds exactly.
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// The finalizer of SplitMix64: each bit of the input changes half of the output's.
pub(crate) const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_the_published_sequence() {
        let mut draws = Draws::new(1_234_567);
        let expect = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([draws.next(), draws.next()], expect);
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        for (random, bound, expect) in
            [(0, 10, 0), (u64::MAX, 10, 9), (u64::MAX / 2, 10, 4), (u64::MAX, 0, 0), (9, 1, 0)]
        {
            assert_eq!(scale(random, bound), expect, "{random} below {bound}");
        }
        assert!(unit(0) == 0.0 && unit(u64::MAX) < 1.0);
    }

    #[test]
    fn a_chance_comes_as_often_as_it_says() {
        let mut draws = Draws::new(1);
        let hits = (0..10_000).filter(|_| draws.chance(0.3)).count();
        assert!((2_800..3_200).contains(&hits), "{hits}");
        assert!(draws.chance(1.0) && !draws.chance(0.0));
    }
}
