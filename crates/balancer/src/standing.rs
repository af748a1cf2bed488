//! Whether an endpoint takes requests: open, passed over for a moment, ejected, or to be tried.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What an endpoint is doing, for metrics and pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// It takes its share of requests.
    Healthy,
    /// It takes a growing share of requests.
    Warming,
    /// It could not be reached a moment ago, and is passed over while there are others.
    Resting,
    /// It failed too often, and is passed over.
    Ejected,
    /// Its rest or ejection is over, and one request at a time finds out whether it is back.
    Probing,
}

impl EndpointState {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 5] =
        [Self::Healthy, Self::Warming, Self::Resting, Self::Ejected, Self::Probing];

    /// The label of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Warming => "warming",
            Self::Resting => "resting",
            Self::Ejected => "ejected",
            Self::Probing => "probing",
        }
    }
}

/// Whether a request may go to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may.
    Open,
    /// It may, once: to find out whether the endpoint is back.
    Probe,
    /// Not now.
    Closed,
}

/// What an endpoint comes back from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It could not be reached.
    Rest,
    /// It failed too often.
    Ejection,
}

/// One word: when the endpoint may be tried again, in microseconds, and two flags. 0 while it is open.
#[derive(Debug, Default)]
pub(crate) struct Standing(AtomicU64);

/// It was ejected, and not only unreachable once.
const EJECTED: u64 = 1;

/// A request is out that finds out whether it is back.
const PROBING: u64 = 2;

const FLAG_BITS: u32 = 2;

/// While a probe has not been answered, the next one is sent after so long, microseconds.
const PROBE_INTERVAL: u64 = 1_000_000;

impl Standing {
    /// Whether a request may go there.
    pub(crate) fn admission(&self, now: u64) -> Admission {
        match self.0.load(Relaxed) {
            0 => Admission::Open,
            word if word >> FLAG_BITS > now => Admission::Closed,
            _ => Admission::Probe,
        }
    }

    /// Takes the probe that is due; one of those who try at once gets it.
    pub(crate) fn claim_probe(&self, now: u64) -> bool {
        let word = self.0.load(Relaxed);
        let claimed = pack(now.saturating_add(PROBE_INTERVAL), word & EJECTED | PROBING);
        word != 0
            && word >> FLAG_BITS <= now
            && self.0.compare_exchange(word, claimed, Relaxed, Relaxed).is_ok()
    }

    /// Passes it over until then; an ejection that is under way goes before.
    pub(crate) fn rest(&self, until: u64) {
        self.update(|word| (word & EJECTED == 0).then(|| pack(until, 0)));
    }

    /// Ejects it until then.
    pub(crate) fn eject(&self, until: u64) {
        self.0.store(pack(until, EJECTED), Relaxed);
    }

    /// Takes requests again.
    pub(crate) fn open(&self) {
        self.0.store(0, Relaxed);
    }

    /// It has answered: a rest is over, and an ejection where this was asked of it. What it is back from.
    pub(crate) fn answered(&self) -> Option<Absence> {
        if self.is_open() {
            return None;
        }
        let ends = |word| word & EJECTED == 0 || word & PROBING != 0;
        match self.update(|word| ends(word).then_some(0))? {
            0 => None,
            word if word & EJECTED != 0 => Some(Absence::Ejection),
            _ => Some(Absence::Rest),
        }
    }

    /// Whether it is ejected, or to be tried after an ejection.
    pub(crate) fn is_ejected(&self) -> bool {
        self.0.load(Relaxed) & EJECTED != 0
    }

    /// Whether it is open, without being tried first.
    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    /// Whether a probe after an ejection is out.
    pub(crate) fn is_probed_after_ejection(&self) -> bool {
        self.0.load(Relaxed) & (EJECTED | PROBING) == EJECTED | PROBING
    }

    /// When it may be tried, microseconds.
    pub(crate) fn until(&self) -> u64 {
        self.0.load(Relaxed) >> FLAG_BITS
    }

    /// What it is doing.
    pub(crate) fn state(&self, now: u64) -> EndpointState {
        match self.0.load(Relaxed) {
            0 => EndpointState::Healthy,
            word if word & PROBING != 0 || word >> FLAG_BITS <= now => EndpointState::Probing,
            word if word & EJECTED != 0 => EndpointState::Ejected,
            _ => EndpointState::Resting,
        }
    }

    /// The word before, where it was changed.
    fn update(&self, change: impl FnMut(u64) -> Option<u64>) -> Option<u64> {
        self.0.fetch_update(Relaxed, Relaxed, change).ok()
    }
}

/// Never 0: the earliest time is 1.
fn pack(until: u64, flags: u64) -> u64 {
    until.clamp(1, u64::MAX >> FLAG_BITS) << FLAG_BITS | flags
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What happens to an endpoint.
    #[derive(Clone, Copy)]
    enum Event {
        Rest(u64),
        Eject(u64),
        Claim(u64),
        Answer,
    }
    use Event::{Answer, Claim, Eject, Rest};

    const LATER: u64 = 5 + PROBE_INTERVAL;

    #[test]
    fn an_endpoint_is_passed_over_then_tried_then_open() {
        use Admission::{Closed, Open, Probe};
        use EndpointState::{Ejected, Healthy, Probing, Resting};
        let rows: [(&str, &[Event], u64, Admission, EndpointState); 14] = [
            ("new", &[], 0, Open, Healthy),
            ("at rest", &[Rest(5)], 4, Closed, Resting),
            ("rested", &[Rest(5)], 5, Probe, Probing),
            ("tried after a rest", &[Rest(5), Claim(5)], 5, Closed, Probing),
            ("tried for long", &[Rest(5), Claim(5)], LATER, Probe, Probing),
            ("answers while it rests", &[Rest(5), Answer], 1, Open, Healthy),
            ("answers after its rest", &[Rest(5), Claim(5), Answer], 5, Open, Healthy),
            ("ejected", &[Eject(5)], 4, Closed, Ejected),
            ("an old answer ends no ejection", &[Eject(5), Answer], 4, Closed, Ejected),
            ("a rest ends no ejection", &[Eject(5), Rest(1)], 4, Closed, Ejected),
            ("an ejection is over", &[Eject(5)], 5, Probe, Probing),
            ("tried after an ejection", &[Eject(5), Claim(5)], 5, Closed, Probing),
            ("answers when tried", &[Eject(5), Claim(5), Answer], 5, Open, Healthy),
            ("not tried too early", &[Eject(5), Claim(4), Answer], 4, Closed, Ejected),
        ];
        for (name, events, now, admission, state) in rows {
            let standing = Standing::default();
            for event in events {
                match *event {
                    Rest(until) => standing.rest(until),
                    Eject(until) => standing.eject(until),
                    Claim(at) => _ = standing.claim_probe(at),
                    Answer => _ = standing.answered(),
                }
            }
            assert_eq!(
                (standing.admission(now), standing.state(now)),
                (admission, state),
                "{name}"
            );
        }
    }

    #[test]
    fn one_of_those_who_try_at_once_gets_the_probe() {
        let standing = Standing::default();
        assert!(!standing.claim_probe(9), "an open one is not probed");
        standing.eject(5);
        let claimed: usize = std::thread::scope(|scope| {
            let try_it = || usize::from(standing.claim_probe(5));
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(try_it)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(claimed, 1);
        assert!(standing.is_probed_after_ejection());
        assert_eq!(standing.answered(), Some(Absence::Ejection));
        assert_eq!(standing.answered(), None);
        assert!(standing.is_open());
    }
}
