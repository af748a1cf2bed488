//! What one more request at an endpoint would cost: peak-EWMA of its latency, and the requests under way.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::micros;

/// The load of one endpoint: what is known of its latency, and how many requests are under way.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// An [`Estimate`], packed; 0 for none.
    estimate: AtomicU64,
    in_flight: AtomicU32,
    /// When it was last picked, as [`milliseconds`], but never 0; 0 for not yet.
    picked: AtomicU32,
}

/// What the latency of an endpoint that has not answered yet is taken to be, seconds.
const UNMEASURED: f32 = 1.0;

/// What is known is forgotten to 1/e in so long, milliseconds.
const DECAY: f32 = 10_000.0;

/// The same for what a single failure among successes was charged.
const SLIP_DECAY: f32 = 250.0;

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

    /// It is the one that was picked.
    pub(crate) fn pick(&self, now: u64) {
        let now = milliseconds(now).max(1);
        if self.picked.load(Relaxed) != now {
            self.picked.store(now, Relaxed);
        }
    }

    /// What one more request would cost, seconds: peak-EWMA of the latency x (requests under way + 1).
    ///
    /// The estimate decays while nothing is heard, so that an endpoint that was slow is tried again. For what is under
    /// way it decays only while the endpoint is not picked either: it is one request that tries, and not all of them
    /// until that one is answered. An endpoint that was never picked is tried at once.
    pub(crate) fn cost(&self, now: u64) -> f32 {
        let picked = Some(self.picked.load(Relaxed)).filter(|picked| *picked != 0);
        let known = Estimate::unpack(self.estimate.load(Relaxed));
        let unmeasured = |at| Estimate { latency: UNMEASURED, at, learned_from: Source::Answer };
        let Some(estimate) = known.or(picked.map(unmeasured)) else { return 0.0 };
        let unheard = elapsed(estimate.at, now);
        let unpicked = unheard.min(elapsed(picked.unwrap_or(estimate.at), now));
        let under_way = match self.in_flight() {
            0 => 0.0,
            requests => requests as f32 * estimate.left(unpicked),
        };
        estimate.latency * (estimate.left(unheard) + under_way)
    }

    /// Learns of an answer: a slower one is believed at once, a faster one by and by.
    pub(crate) fn record(&self, now: u64, latency: Duration) {
        let seconds = latency.as_secs_f32();
        let began = milliseconds(now.saturating_sub(micros(latency)));
        self.update(|known| match known {
            Some(known) if known.learned_from == Source::Answer => {
                Some(known.after_answer(now, seconds))
            }
            Some(known) => known.after_success(now, seconds, began),
            None => Some(Estimate::new(now, seconds, Source::Answer)),
        });
    }

    /// Learns of a failure, which counts as an answer that took so long. A `slip` is a failure among many successes,
    /// and soon forgotten.
    pub(crate) fn charge(&self, now: u64, latency: Duration, slip: bool) {
        let charged = |learned_from| Some(Estimate::new(now, latency.as_secs_f32(), learned_from));
        self.update(|known| match known {
            Some(known)
                if known.latency * known.left(elapsed(known.at, now)) > latency.as_secs_f32() =>
            {
                None
            }
            Some(Estimate { learned_from: Source::Failure, .. }) => charged(Source::Failure),
            _ if slip => charged(Source::Slip),
            _ => charged(Source::Failure),
        });
    }

    /// Learns that an answer would have taken longer than this.
    pub(crate) fn record_at_least(&self, now: u64, latency: Duration) {
        let latency = latency.as_secs_f32();
        self.update(|known| match known {
            Some(known) if known.latency > latency => None,
            _ => Some(Estimate::new(now, latency, Source::Answer)),
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
    learned_from: Source,
}

/// What an estimate was learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Answer,
    Failure,
    Slip,
}

impl Estimate {
    fn new(now: u64, latency: f32, learned_from: Source) -> Self {
        Self { latency, at: milliseconds(now), learned_from }
    }

    /// Latency is never negative, and half of a millionth of it is nothing: its sign and its last bit hold the source.
    fn unpack(word: u64) -> Option<Self> {
        let low = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        let bits = low(word >> 32);
        let learned_from = match (bits & SIGN != 0, bits & LAST != 0) {
            (false, _) => Source::Answer,
            (true, false) => Source::Failure,
            (true, true) => Source::Slip,
        };
        let latency = f32::from_bits(bits & !SIGN & !LAST);
        (word != 0).then_some(Self { latency, at: low(word), learned_from })
    }

    /// Never 0, as latency is never below the smallest positive number.
    fn pack(self) -> u64 {
        let latency = self.latency.max(f32::MIN_POSITIVE).to_bits() & !LAST;
        let source = match self.learned_from {
            Source::Answer => 0,
            Source::Failure => SIGN,
            Source::Slip => SIGN | LAST,
        };
        u64::from(latency | source) << 32 | u64::from(self.at)
    }

    /// The share that is left after so many milliseconds: 1/e after the decay.
    fn left(&self, elapsed: u32) -> f32 {
        if elapsed == 0 {
            return 1.0;
        }
        let decay = if self.learned_from == Source::Slip { SLIP_DECAY } else { DECAY };
        (-(elapsed as f32) / decay).exp()
    }

    fn after_answer(self, now: u64, latency: f32) -> Self {
        let at = milliseconds(now);
        if latency >= self.latency {
            return Self { latency, at, learned_from: Source::Answer };
        }
        let left = self.left(elapsed(self.at, now));
        // Within one millisecond nothing is forgotten; the time stays that of the last change.
        let at = if left < 1.0 { at } else { self.at };
        Self { latency: self.latency * left + latency * (1.0 - left), at, ..self }
    }

    /// A success takes off half of what a failure was charged: where all endpoints fail now and then, the one that did
    /// so last is not out for a minute. Only one that began after the failure, or after the last such success, tells
    /// anything.
    fn after_success(self, now: u64, latency: f32, began: u32) -> Option<Self> {
        if latency >= self.latency {
            return Some(self.after_answer(now, latency));
        }
        after(self.at, began)?;
        let left = self.left(elapsed(self.at, now)).min(0.5);
        let latency = self.latency * left + latency * (1.0 - left);
        Some(Self { latency, at: milliseconds(now), ..self })
    }
}

/// The sign of an `f32`.
const SIGN: u32 = 1 << 31;

/// The last bit of an `f32`'s fraction.
const LAST: u32 = 1;

/// The milliseconds from one moment to a later one, by their lower 32 bits. `None` where it is an earlier one.
fn after(from: u32, to: u32) -> Option<u32> {
    Some(to.wrapping_sub(from)).filter(|elapsed| *elapsed <= u32::MAX / 2)
}

/// The milliseconds since a moment; 0 where it is still to come: workers read the clock before they get here.
fn elapsed(since: u32, now: u64) -> u32 {
    after(since, milliseconds(now)).unwrap_or(0)
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

    /// What happens to an endpoint, by the second.
    #[derive(Clone, Copy)]
    enum Event {
        Picked(u64),
        Answered(u64, f32),
        Failed(u64, f32),
        Slipped(u64, f32),
    }
    use Event::{Answered, Failed, Picked, Slipped};

    #[test]
    fn cost_is_latency_times_requests_under_way() {
        const E: f32 = std::f32::consts::E;
        /// Name, what happened, requests under way, the second, the cost.
        type Row = (&'static str, &'static [Event], u32, u64, f32);
        let rows: [Row; 24] = [
            ("never picked", &[], 0, 9, 0.0),
            ("picked", &[Picked(1)], 1, 1, 2.0),
            ("without an answer for long", &[Picked(1)], 1, 11, 2.0 / E),
            ("answered", &[Answered(1, 0.1)], 0, 1, 0.1),
            ("answered, two under way", &[Answered(1, 0.1)], 2, 1, 0.3),
            ("not picked for the decay", &[Picked(1), Answered(1, 0.1)], 0, 11, 0.1 / E),
            ("tried after long", &[Answered(1, 0.1), Picked(101)], 1, 101, 0.1),
            ("tried in vain", &[Answered(1, 0.1), Picked(101)], 1, 111, 0.1 / E),
            ("a peak is believed at once", &[Answered(1, 0.1), Answered(1, 2.0)], 0, 1, 2.0),
            ("a faster answer at once", &[Answered(1, 2.0), Answered(1, 0.1)], 0, 1, 2.0),
            ("a faster answer later", &[Answered(1, 2.0), Answered(11, 0.1)], 0, 11, 0.798_97),
            (
                "a faster answer after long",
                &[Answered(1, 2.0), Answered(101, 0.1)],
                0,
                101,
                0.100_09,
            ),
            ("an answer from a moment ago", &[Answered(2, 0.1), Answered(1, 0.05)], 0, 1, 0.1),
            ("a failure", &[Answered(1, 0.1), Failed(1, 5.0)], 0, 1, 5.0),
            ("a failure ten seconds ago", &[Answered(1, 0.1), Failed(1, 5.0)], 0, 11, 5.0 / E),
            ("a slip a second ago", &[Answered(1, 0.1), Slipped(1, 5.0)], 0, 2, 0.091_58),
            ("a success later takes off half", &[Failed(1, 5.0), Answered(2, 0.1)], 0, 2, 2.55),
            ("two", &[Failed(1, 5.0), Answered(2, 0.1), Answered(3, 0.1)], 0, 3, 1.325),
            ("a success from before", &[Failed(2, 5.0), Answered(2, 0.1)], 0, 2, 5.0),
            ("after long nothing is left", &[Failed(1, 5.0), Answered(101, 0.1)], 0, 101, 0.100_2),
            ("a smaller failure", &[Failed(1, 60.0), Failed(2, 5.0)], 0, 1, 60.0),
            ("a smaller slip", &[Failed(1, 60.0), Slipped(2, 5.0)], 0, 11, 60.0 / E),
            ("a slip after a failure", &[Failed(1, 5.0), Slipped(11, 5.0)], 0, 21, 5.0 / E),
            ("a failure after a slip", &[Slipped(1, 5.0), Failed(2, 5.0)], 0, 12, 5.0 / E),
        ];
        for (name, events, in_flight, now, expect) in rows {
            let load = Load::default();
            for event in events {
                match *event {
                    Picked(at) => load.pick(at * SECOND),
                    Answered(at, latency) => load.record(at * SECOND, seconds(latency)),
                    Failed(at, latency) => load.charge(at * SECOND, seconds(latency), false),
                    Slipped(at, latency) => load.charge(at * SECOND, seconds(latency), true),
                }
            }
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
