//! A simulated endpoint: so many requests at a time, the others wait; and what is wrong with it.

use balancer::Outcome;

use crate::world::Random;

/// What is wrong with an endpoint. Times are in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It takes so many times as long, from a moment on.
    Slow { times: f64, from: u64 },
    /// It answers 503 at once, from a moment on until another.
    FailsFast { from: u64, until: u64 },
    /// It answers 500 at once to this percentage of requests.
    FailsPartly { percent: u64 },
    /// It refuses connections from a moment on.
    Vanishes { from: u64 },
    /// Nothing answers from a moment on: connecting to it times out.
    BlackHole { from: u64 },
    /// It joins at a moment, so many times as slow, and is warm after some seconds.
    Cold { times: f64, joins: u64, warm_after: u64 },
}

impl Fault {
    /// Whether nothing is wrong.
    pub(crate) fn is_none(self) -> bool {
        matches!(self, Self::None)
    }

    /// When the endpoint joins the others.
    pub(crate) fn joins(self) -> Option<u64> {
        match self {
            Self::Cold { joins, .. } => Some(joins),
            _ => None,
        }
    }
}

/// An endpoint with its queue.
pub(crate) struct Server {
    fault: Fault,
    /// From the caller and back, microseconds.
    distance: u64,
    /// When each of its places is free, microseconds.
    places: [u64; PLACES],
}

/// So many requests are worked on at a time.
const PLACES: usize = 2;

/// The least that a request takes, and what comes on top on average, microseconds.
const WORK: (f64, f64) = (20_000.0, 30_000.0);

/// What one endpoint can do, requests a second.
pub(crate) const CAPACITY: f64 = PLACES as f64 * 1_000_000.0 / (WORK.0 + WORK.1);

/// A failure without work, microseconds.
const AT_ONCE: u64 = 1_000;

/// The deadline for connecting, microseconds.
const CONNECT_TIMEOUT: u64 = 1_000_000;

impl Server {
    pub(crate) fn new(fault: Fault, distance: u64) -> Self {
        Self { fault, distance, places: [0; PLACES] }
    }

    /// When and how a request that arrives now ends.
    pub(crate) fn take(&mut self, now: u64, random: &mut Random) -> (u64, Outcome) {
        let second = now / 1_000_000;
        let at_once = now + AT_ONCE + self.distance;
        match self.fault {
            Fault::FailsFast { from, until } if (from..until).contains(&second) => {
                (at_once, Outcome::GatewayError)
            }
            Fault::FailsPartly { percent } if random.below(100) < percent => {
                (at_once, Outcome::ServerError)
            }
            Fault::Vanishes { from } if second >= from => (at_once, Outcome::Unreachable),
            Fault::BlackHole { from } if second >= from => {
                (now + CONNECT_TIMEOUT, Outcome::Unreachable)
            }
            _ => (self.work(now, random), Outcome::Success),
        }
    }

    fn work(&mut self, now: u64, random: &mut Random) -> u64 {
        let takes = (WORK.0 + WORK.1 * random.exponential()) * self.slowness(now);
        let place = self.places.iter_mut().min().unwrap();
        *place = now.max(*place) + takes as u64;
        *place + self.distance
    }

    fn slowness(&self, now: u64) -> f64 {
        let second = now as f64 / 1_000_000.0;
        match self.fault {
            Fault::Slow { times, from } if second >= from as f64 => times,
            Fault::Cold { times, joins, warm_after } => {
                let warm = (second - joins as f64) / warm_after as f64;
                times + (1.0 - times) * warm.clamp(0.0, 1.0)
            }
            _ => 1.0,
        }
    }
}
