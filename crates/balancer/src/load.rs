//! What one more request at an endpoint would cost: peak-EWMA of its latency, and the requests under way.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The load of one endpoint. Two words: what is known of its latency, and how many requests are under way.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// An [`Estimate`], packed; 0 for none.
    estimate: AtomicU64,
    in_flight: AtomicU32,
}

/// The cost of one more request beside the first at an endpoint that has never answered, seconds.
const UNMEASURED: f32 = 1.0;

/// An answer is forgotten by 1/e in so long, milliseconds.
const DECAY: f32 = 10_000.0;

impl Load {
    /// One request more is under way.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// One request has ended.
    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// How many requests are under way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// What one more request would cost, seconds. The estimate decays while nothing is heard, so that an endpoint that
    /// was slow is tried again; what is under way there counts by the whole estimate, so that it is one request that
    /// tries, and not all of them until it has answered. One that never answered is tried at once, by one request.
    pub(crate) fn cost(&self, now: u64) -> f32 {
        let in_flight = self.in_flight() as f32;
        match Estimate::unpack(self.estimate.load(Relaxed)) {
            Some(estimate) => {
                let decayed = estimate.latency * estimate.forgotten(now);
                decayed + estimate.latency * in_flight
            }
            None if in_flight == 0.0 => 0.0,
            None => UNMEASURED * (in_flight + 1.0),
        }
    }

    /// Learns of an answer: a slower one is believed at once, a faster one by and by.
    pub(crate) fn record(&self, now: u64, latency: Duration) {
        let latency = latency.as_secs_f32();
        self.update(|known| match known {
            Some(known) => Some(known.and_then_answered(now, latency)),
            None => Some(Estimate { latency, at: milliseconds(now) }),
        });
    }

    /// Learns that an answer would have taken longer than this.
    pub(crate) fn record_at_least(&self, now: u64, latency: Duration) {
        let latency = latency.as_secs_f32();
        self.update(|known| match known {
            Some(known) if known.latency > latency => None,
            _ => Some(Estimate { latency, at: milliseconds(now) }),
        });
    }

    /// What its latency is taken to be; `None` before the first answer.
    pub(crate) fn latency(&self) -> Option<Duration> {
        let estimate = Estimate::unpack(self.estimate.load(Relaxed))?;
        Duration::try_from_secs_f32(estimate.latency).ok()
    }

    /// Forgets what its latency was.
    pub(crate) fn forget(&self) {
        self.estimate.store(0, Relaxed);
    }

    fn update(&self, change: impl Fn(Option<Estimate>) -> Option<Estimate>) {
        let change = |word| change(Estimate::unpack(word)).map(Estimate::pack);
        // An error says that there was nothing to change.
        let _unchanged = self.estimate.fetch_update(Relaxed, Relaxed, change);
    }
}

/// Latency and the time it was learned at, which fit one atomic word: readers never see one without the other.
#[derive(Debug, Clone, Copy)]
struct Estimate {
    /// Seconds.
    latency: f32,
    /// Milliseconds, of which the lower 32 bits: an endpoint that was silent for 50 days is taken for a newer one.
    at: u32,
}

impl Estimate {
    fn unpack(word: u64) -> Option<Self> {
        let at = u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
        let latency = f32::from_bits(u32::try_from(word >> 32).unwrap_or(0));
        (word != 0).then_some(Self { latency, at })
    }

    /// Never 0, as latency is never below the smallest positive number.
    fn pack(self) -> u64 {
        let latency = self.latency.max(f32::MIN_POSITIVE);
        u64::from(latency.to_bits()) << 32 | u64::from(self.at)
    }

    /// The share of an estimate that is left: 1 at once, 1/e after [`DECAY`].
    fn forgotten(self, now: u64) -> f32 {
        let elapsed = milliseconds(now).wrapping_sub(self.at);
        // Workers' clocks are read before they get here: a moment ago may be a moment ahead.
        let elapsed = if elapsed > u32::MAX / 2 { 0 } else { elapsed };
        (-(elapsed as f32) / DECAY).exp()
    }

    fn and_then_answered(self, now: u64, latency: f32) -> Self {
        let at = milliseconds(now);
        if latency >= self.latency {
            return Self { latency, at };
        }
        let left = self.forgotten(now);
        // Within one millisecond nothing is forgotten; the time stays that of the last change.
        let at = if left < 1.0 { at } else { self.at };
        Self { latency: self.latency * left + latency * (1.0 - left), at }
    }
}

/// The lower 32 bits of the time in milliseconds.
fn milliseconds(micros: u64) -> u32 {
    u32::try_from((micros / 1000) & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn seconds(value: f32) -> Duration {
        Duration::from_secs_f32(value)
    }

    #[test]
    fn cost_is_latency_times_requests_under_way() {
        /// Answers at a second, of so many seconds.
        type Answers = &'static [(u64, f32)];
        let rows: [(&str, Answers, u32, u64, f32); 12] = [
            ("never answered, idle: tried", &[], 0, 0, 0.0),
            ("never answered, tried", &[], 1, 0, 2.0),
            ("never answered, for long", &[], 1, 1000, 2.0),
            ("answered", &[(1, 0.1)], 0, 1, 0.1),
            ("answered, two under way", &[(1, 0.1)], 2, 1, 0.3),
            ("idle for the decay", &[(1, 0.1)], 0, 11, 0.1 / std::f32::consts::E),
            ("idle, then tried", &[(1, 0.1)], 1, 101, 0.1),
            ("a peak is believed at once", &[(1, 0.1), (1, 2.0)], 0, 1, 2.0),
            ("a faster answer at once changes nothing", &[(1, 2.0), (1, 0.1)], 0, 1, 2.0),
            ("a faster answer later", &[(1, 2.0), (11, 0.1)], 0, 11, 0.798_97),
            ("faster answers for long", &[(1, 2.0), (101, 0.1)], 0, 101, 0.100_09),
            ("an answer from a moment ago", &[(2, 0.1), (1, 0.05)], 0, 1, 0.1),
        ];
        for (name, answers, in_flight, now, expect) in rows {
            let load = Load::default();
            answers.iter().for_each(|(at, latency)| load.record(at * SECOND, seconds(*latency)));
            (0..in_flight).for_each(|_| load.begin());
            let cost = load.cost(now * SECOND);
            assert!((cost - expect).abs() < 0.000_1, "{name}: {cost}");
        }
    }

    #[test]
    fn a_caller_that_went_away_raises_and_never_lowers() {
        let load = Load::default();
        load.record_at_least(0, seconds(0.5));
        assert_eq!(load.latency(), Some(seconds(0.5)));
        load.record_at_least(0, seconds(0.1));
        assert_eq!(load.latency(), Some(seconds(0.5)));
        load.record_at_least(0, seconds(3.0));
        assert_eq!(load.latency(), Some(seconds(3.0)));
        load.forget();
        assert_eq!(load.latency(), None);
    }

    #[test]
    fn time_that_wraps_and_extreme_latencies_stay_numbers() {
        let load = Load::default();
        for (now, latency) in
            [(0, Duration::ZERO), (u64::MAX, Duration::MAX), (u64::MAX, Duration::ZERO)]
        {
            load.record(now, latency);
            for at in [0, now, u64::MAX] {
                let cost = load.cost(at);
                assert!(cost.is_finite() && cost >= 0.0, "{latency:?}: {cost}");
            }
        }
        load.begin();
        load.end();
        assert_eq!(load.in_flight(), 0);
    }
}
