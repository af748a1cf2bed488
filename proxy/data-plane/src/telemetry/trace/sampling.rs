//! Which new traces are recorded.

use policy::yaml::parse_percentage;

use super::context::TraceId;

/// Traces in a million; a rate has no finer steps.
const MILLION: u32 = 1_000_000;
/// One above the largest [`TraceId::randomness`].
const RANDOMNESS_END: u64 = 1 << 56;

/// The share of new traces that is recorded, from none to all of them. Default 1 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplingRate {
    millionths: u32,
}

impl Default for SamplingRate {
    fn default() -> Self {
        Self { millionths: MILLION / 100 }
    }
}

impl SamplingRate {
    /// Reads a percentage from `0%` to `100%` with at most four digits behind the point.
    ///
    /// # Errors
    /// What to write.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let millionths = parse_percentage(text);
        let millionths =
            millionths.ok_or("write a percentage from 0% to 100%, such as 1% or 0.05%")?;
        Ok(Self { millionths })
    }

    /// Whether the trace with this random id is recorded. Everyone who decides by the same bits decides alike, and a
    /// higher rate takes what a lower one takes (OpenTelemetry, `TraceIdRatioBased`).
    #[must_use]
    pub fn takes(self, trace: TraceId) -> bool {
        let taken = u128::from(RANDOMNESS_END) * u128::from(self.millionths) / u128::from(MILLION);
        u128::from(trace.randomness()) + taken >= u128::from(RANDOMNESS_END)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_one_percent() {
        assert_eq!(SamplingRate::parse("1%"), Ok(SamplingRate::default()));
        assert!(SamplingRate::parse("1").is_err());
    }

    #[test]
    fn a_rate_takes_its_share() {
        const IDS: u64 = 10_000;
        let ids = || (0..IDS).map(|n| TraceId::from_random(7, n * (RANDOMNESS_END / IDS)));
        for (text, expect) in
            [("0%", 0), ("0.01%", 1), ("1%", 100), ("12.5%", 1250), ("100%", 10_000)]
        {
            let rate = SamplingRate::parse(text).unwrap();
            let taken = ids().filter(|id| rate.takes(*id)).count();
            assert!(taken.abs_diff(expect) <= 1, "{text} took {taken} of {IDS}");
        }
        let (none, all) =
            (SamplingRate::parse("0%").unwrap(), SamplingRate::parse("100%").unwrap());
        let (lowest, highest) = (TraceId::from_random(1, 0), TraceId::from_random(0, u64::MAX));
        assert!(!none.takes(highest) && all.takes(lowest));
    }

    #[test]
    fn a_higher_rate_takes_what_a_lower_one_takes() {
        let rates = ["0.5%", "1%", "30%", "100%"].map(|text| SamplingRate::parse(text).unwrap());
        for n in 0..1000u64 {
            let id = TraceId::from_random(n, n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let taken = rates.map(|rate| rate.takes(id));
            assert!(taken.is_sorted(), "{id:?}: {taken:?}");
        }
    }
}
