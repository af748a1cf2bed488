//! One endpoint of a service, as all workers see it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::load::Load;
use crate::micros;
use crate::outliers::OutlierRecord;
use crate::standing::Standing;
use crate::warm_up::WarmUp;

/// One endpoint of one service: what its answers have said so far. Shared by workers and carried over from one
/// [`crate::Balancer`] to the next while the endpoint stays.
#[derive(Debug)]
pub struct Endpoint {
    key: u64,
    weight: NonZeroU32,
    zone: Option<Arc<str>>,
    pub(crate) standing: Standing,
    pub(crate) load: Load,
    pub(crate) warm_up: WarmUp,
    pub(crate) outliers: OutlierRecord,
    presence: Presence,
}

/// Whether an endpoint was there, and since when it is not.
#[derive(Debug, Default)]
struct Presence {
    answered: AtomicBool,
    /// The first failure to reach it since its last answer, microseconds plus one; 0 for none.
    gone: AtomicU64,
}

impl Endpoint {
    /// An endpoint that was there when the service became known, and takes its whole share at once.
    ///
    /// `key` stands for it in consistent hashing: [`crate::stable_hash`] of its address. Of two endpoints, one with
    /// twice the `weight` takes twice the requests.
    #[must_use]
    pub fn new(key: u64, weight: NonZeroU32, zone: Option<Arc<str>>) -> Self {
        Self {
            key,
            weight,
            zone,
            standing: Standing::default(),
            load: Load::default(),
            warm_up: WarmUp::default(),
            outliers: OutlierRecord::default(),
            presence: Presence::default(),
        }
    }

    /// An endpoint that came later, and warms up first where that is set.
    #[must_use]
    pub fn joining(key: u64, weight: NonZeroU32, zone: Option<Arc<str>>, now: Duration) -> Self {
        let endpoint = Self::new(key, weight, zone);
        endpoint.warm_up.begin(micros(now));
        endpoint
    }

    /// What stands for it in consistent hashing.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Its share of requests, compared with others.
    #[must_use]
    pub fn weight(&self) -> NonZeroU32 {
        self.weight
    }

    /// The zone it is in, where that is known.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// How many requests are under way there.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// What its latency is taken to be, penalties included; `None` before its first answer.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.load.latency()
    }

    /// Whether it had answered before and first could not be reached within the last `wait`: it may be about to be
    /// replaced by another, of which one learns a moment late.
    #[must_use]
    pub fn has_just_gone(&self, now: Duration, wait: Duration) -> bool {
        let gone = self.presence.gone.load(Relaxed);
        let until = (gone.saturating_sub(1)).saturating_add(micros(wait));
        gone != 0 && self.presence.answered.load(Relaxed) && micros(now) <= until
    }

    /// It has answered something.
    pub(crate) fn was_there(&self) {
        if !self.presence.answered.load(Relaxed) {
            self.presence.answered.store(true, Relaxed);
        }
        if self.presence.gone.load(Relaxed) != 0 {
            self.presence.gone.store(0, Relaxed);
        }
    }

    /// It could not be reached.
    pub(crate) fn was_gone(&self, now: u64) {
        if self.presence.gone.load(Relaxed) == 0 {
            self.presence.gone.store(now.saturating_add(1), Relaxed);
        }
    }
}

/// A request under way at an endpoint, counted while this lives: from the choice of the endpoint to the last byte of
/// the answer.
#[derive(Debug)]
pub struct InFlight(Arc<Endpoint>);

impl InFlight {
    /// Counts one request more.
    #[must_use]
    pub fn begin(endpoint: Arc<Endpoint>) -> Self {
        endpoint.load.begin();
        Self(endpoint)
    }

    /// Where it is under way.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.load.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One result of an endpoint, by the second.
    enum Seen {
        There,
        Gone(u64),
    }
    use Seen::{Gone, There};

    #[test]
    fn one_that_was_there_is_waited_for_a_moment() {
        let rows: [(&str, &[Seen], u64, bool); 7] = [
            ("nothing known", &[], 10, false),
            ("never there", &[Gone(10)], 10, false),
            ("just gone", &[There, Gone(10)], 10, true),
            ("gone for the longest wait", &[There, Gone(10)], 12, true),
            ("gone for longer", &[There, Gone(10)], 13, false),
            ("fails on", &[There, Gone(10), Gone(14)], 14, false),
            ("there again", &[There, Gone(10), There], 11, false),
        ];
        for (name, seen, now, expect) in rows {
            let endpoint = Endpoint::new(1, NonZeroU32::MIN, None);
            for one in seen {
                match one {
                    There => endpoint.was_there(),
                    Gone(at) => endpoint.was_gone(at * 1_000_000),
                }
            }
            let gone = endpoint.has_just_gone(Duration::from_secs(now), Duration::from_secs(2));
            assert_eq!(gone, expect, "{name}");
        }
    }

    #[test]
    fn a_request_counts_while_it_lives() {
        let endpoint = Arc::new(Endpoint::new(1, NonZeroU32::MIN, None));
        let first = InFlight::begin(endpoint.clone());
        let second = InFlight::begin(first.endpoint().clone());
        assert_eq!(endpoint.in_flight(), 2);
        drop((first, second));
        assert_eq!(endpoint.in_flight(), 0);
    }
}
