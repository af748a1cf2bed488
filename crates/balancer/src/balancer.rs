//! The endpoints of one service, and the choice among them.

mod search;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::draw::mix;
use crate::endpoint::Endpoint;
use crate::group::Group;
use crate::micros;
use crate::observation::{Observation, Outcome};
use crate::outliers::EjectionCause;
use crate::settings::BalancerSettings;
use crate::standing::{Absence, Admission, EndpointState};

use Ordering::Relaxed;

/// The endpoints of one service. A change of endpoints makes a new one, with the [`Endpoint`]s that have stayed.
#[derive(Debug)]
pub struct Balancer {
    endpoints: Vec<Arc<Endpoint>>,
    settings: BalancerSettings,
    /// The keys of the endpoints, mixed, side by side: a search for the owner of a key goes through all of them.
    keys: Vec<u64>,
    all: Group,
    /// Those of the own zone.
    local: Group,
    /// How many zones the endpoints lie in.
    zones: u64,
    review: Review,
    /// The next turn of [`crate::Policy::RoundRobin`]; 0 before the first.
    turn: AtomicU64,
    /// A worker is about to eject an endpoint: what it has counted must still be true when it does.
    ejecting: AtomicBool,
}

/// What is found out of all endpoints now and then, and not at each choice.
#[derive(Debug, Default)]
struct Review {
    /// When it is next due, microseconds.
    due: AtomicU64,
    prefer_local: AtomicBool,
    disregard_ejection: AtomicBool,
}

/// A review is so often, microseconds; sooner where an endpoint is ejected or could not be reached.
const REVIEW_INTERVAL: u64 = 100_000;

/// The endpoints of the own zone count for so much more than they are, percent. Where callers are is not known, so that
/// a fair share is an estimate; three zones of three endpoints are to stay apart while one endpoint is missing.
const ZONE_SLACK: u64 = 140;

/// The endpoint that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Its place in [`Balancer::endpoints`].
    pub index: usize,
    /// No endpoint was there that should be asked, and this is one of those that should not.
    pub last_resort: bool,
    /// Its rest or ejection is over, and this request finds out whether it is back.
    pub probe: bool,
}

impl Balancer {
    /// A balancer of these endpoints; without any it never picks one.
    #[must_use]
    pub fn new(endpoints: Vec<Arc<Endpoint>>, settings: BalancerSettings) -> Self {
        let each = || endpoints.iter().map(Arc::as_ref).enumerate();
        let zone = settings.own_zone.as_deref();
        let local = each().filter(|(_, endpoint)| zone.is_some() && endpoint.zone() == zone);
        let zones: BTreeSet<_> = each().map(|(_, endpoint)| endpoint.zone()).collect();
        Self {
            keys: endpoints.iter().map(|endpoint| mix(endpoint.key())).collect(),
            all: Group::new(each()),
            local: Group::new(local),
            zones: zones.len() as u64,
            endpoints,
            settings,
            review: Review::default(),
            turn: AtomicU64::new(0),
            ejecting: AtomicBool::new(false),
        }
    }

    /// The endpoints, in the order in which they were handed in.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// What the balancer was told.
    #[must_use]
    pub fn settings(&self) -> &BalancerSettings {
        &self.settings
    }

    /// Chooses an endpoint for a request that has `hash` as its key ([`crate::Policy::ConsistentHash`]); none of those
    /// that `except` names by their place. `None` where there is no other one.
    ///
    /// `now` is the time since an arbitrary start, the same for all calls; `random` is one number of all 64 bits.
    #[must_use]
    pub fn pick(
        &self,
        now: Duration,
        random: u64,
        hash: Option<u64>,
        except: impl Fn(usize) -> bool,
    ) -> Option<Pick> {
        let now = micros(now);
        self.review_when_due(now);
        let pick = search::pick(self, now, random, hash, &except)?;
        self.endpoints.get(pick.index)?.load.pick(now);
        Some(pick)
    }

    /// Whether there is an endpoint that should be asked, other than those that `except` names. It picks none, so that no
    /// turn and no probe is used up.
    #[must_use]
    pub fn has_alternative(&self, now: Duration, except: impl Fn(usize) -> bool) -> bool {
        let now = micros(now);
        let mut others = self.endpoints.iter().enumerate().filter(|(index, _)| !except(*index));
        others.any(|(_, endpoint)| endpoint.standing.admission(now) != Admission::Closed)
    }

    /// Learns how a request ended that this balancer sent to the endpoint at `index`, once for each request: when the
    /// head of its answer is there, or when it failed. Why the endpoint was ejected, where it was.
    pub fn observe(
        &self,
        now: Duration,
        index: usize,
        observation: Observation,
        random: u64,
    ) -> Option<EjectionCause> {
        let (now, endpoint) = (micros(now), self.endpoints.get(index)?);
        let cause = endpoint.outliers.record(now, observation.outcome, &self.settings.outliers);
        match (observation.outcome, observation.charge()) {
            (Outcome::Cancelled, _) => endpoint.load.record_at_least(now, observation.latency),
            (_, None) => endpoint.load.record(now, observation.latency),
            (_, Some(charge)) => {
                let slip = observation.outcome.is_failure()
                    && observation.retry_after.is_none()
                    && endpoint.outliers.is_slip(now, &self.settings.outliers);
                endpoint.load.charge(now, charge, slip);
            }
        }
        match observation.outcome {
            Outcome::Unreachable => self.pass_over(now, endpoint),
            Outcome::GatewayError | Outcome::Cancelled => {}
            // It is there, but that is not what it was ejected for.
            Outcome::ServerError if endpoint.standing.is_ejected() => endpoint.was_there(),
            Outcome::Success | Outcome::Overloaded | Outcome::ServerError => {
                self.welcome(now, endpoint, &observation);
            }
        }
        let failed = observation.outcome.is_failure();
        let failed_probe = failed && endpoint.standing.is_probed_after_ejection();
        let cause = if failed_probe { Some(EjectionCause::Probe) } else { cause };
        cause.filter(|_| self.eject(now, endpoint, random))
    }

    /// What the endpoint at `index` is doing.
    #[must_use]
    pub fn state(&self, now: Duration, index: usize) -> Option<EndpointState> {
        let (now, endpoint) = (micros(now), self.endpoints.get(index)?);
        match endpoint.standing.state(now) {
            EndpointState::Healthy if endpoint.warm_up.share(now, self.settings.warm_up) < 1.0 => {
                Some(EndpointState::Warming)
            }
            state => Some(state),
        }
    }

    /// How many endpoints are in each state, in the order of [`EndpointState::ALL`].
    #[must_use]
    pub fn count_states(&self, now: Duration) -> [usize; EndpointState::ALL.len()] {
        let states: Vec<_> =
            (0..self.endpoints.len()).filter_map(|index| self.state(now, index)).collect();
        EndpointState::ALL.map(|state| states.iter().filter(|one| **one == state).count())
    }

    /// An endpoint could not be reached: others are preferred for a moment.
    fn pass_over(&self, now: u64, endpoint: &Endpoint) {
        endpoint.was_gone(now);
        if !self.settings.rest.is_zero() {
            endpoint.standing.rest(now.saturating_add(micros(self.settings.rest)));
            self.review.due.store(0, Relaxed);
        }
    }

    /// An endpoint answers. If it was away, what it is charged for that is forgotten: it is back.
    fn welcome(&self, now: u64, endpoint: &Endpoint, observation: &Observation) {
        endpoint.was_there();
        let Some(back_from) = endpoint.standing.answered() else { return };
        if observation.outcome == Outcome::Success {
            endpoint.load.forget();
            endpoint.load.record(now, observation.latency);
        }
        if back_from == Absence::Ejection {
            endpoint.outliers.forget();
            endpoint.warm_up.begin(now);
        }
    }

    /// Ejects an endpoint, if that leaves enough of them and nobody is ejecting another in this moment.
    fn eject(&self, now: u64, endpoint: &Endpoint, random: u64) -> bool {
        if self.ejecting.swap(true, Ordering::Acquire) {
            return false;
        }
        let may = match endpoint.standing.is_ejected() {
            // A failed probe: it counts already.
            true => endpoint.standing.is_probed_after_ejection(),
            false => self.count_ejected() < self.most_ejected(),
        };
        if may {
            let time = endpoint.outliers.begin_ejection(now, random, &self.settings.outliers);
            endpoint.standing.eject(now.saturating_add(micros(time)));
            self.review.due.store(0, Relaxed);
        }
        self.ejecting.store(false, Ordering::Release);
        may
    }

    fn count_ejected(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.standing.is_ejected()).count()
    }

    /// How many endpoints may be ejected at once: never the last one.
    fn most_ejected(&self) -> usize {
        let percent = usize::from(self.settings.outliers.max_ejection_percent);
        let share = self.endpoints.len().saturating_mul(percent) / 100;
        share.min(self.endpoints.len().saturating_sub(1))
    }

    /// Looks at all endpoints where that is due; one worker does.
    fn review_when_due(&self, now: u64) {
        let due = self.review.due.load(Relaxed);
        if now < due {
            return;
        }
        let next = now.saturating_add(REVIEW_INTERVAL);
        if self.review.due.compare_exchange(due, next, Relaxed, Relaxed).is_ok() {
            self.release_surplus();
            self.review.prefer_local.store(self.prefers_local(), Relaxed);
            self.review.disregard_ejection.store(self.disregards_ejection(now), Relaxed);
        }
    }

    /// After other endpoints have gone, more may be ejected than are allowed to be: those whose time ends first return.
    fn release_surplus(&self) {
        for _ in self.most_ejected()..self.count_ejected() {
            let ejected = self.endpoints.iter().filter(|endpoint| endpoint.standing.is_ejected());
            if let Some(endpoint) = ejected.min_by_key(|endpoint| endpoint.standing.until()) {
                endpoint.standing.open();
                endpoint.outliers.forget();
            }
        }
    }

    /// Whether the own zone has an endpoint that is open, and about its fair share of all that are.
    fn prefers_local(&self) -> bool {
        if self.local.len() == 0 {
            return false;
        }
        let zone = self.settings.own_zone.as_deref();
        let open = || self.endpoints.iter().filter(|endpoint| endpoint.standing.is_open());
        let weigh = |endpoint: &Arc<Endpoint>| u64::from(endpoint.weight().get());
        let all: u64 = open().map(weigh).sum();
        let local: u64 = open().filter(|endpoint| endpoint.zone() == zone).map(weigh).sum();
        let fair_share = all.saturating_mul(100) / self.zones.max(1);
        local > 0 && local.saturating_mul(ZONE_SLACK) >= fair_share
    }

    /// Whether so few endpoints are left that each is better than none. One whose time is over does not count as ejected:
    /// it is to be tried, and only the ordinary choice does so.
    fn disregards_ejection(&self, now: u64) -> bool {
        let percent = usize::from(self.settings.outliers.min_health_percent);
        let ejected = self.endpoints.iter().map(|endpoint| &endpoint.standing);
        let ejected = ejected.filter(|standing| standing.is_ejected() && standing.until() > now);
        let healthy = self.endpoints.len().saturating_sub(ejected.count());
        healthy.saturating_mul(100) < self.endpoints.len().saturating_mul(percent)
    }
}

#[cfg(test)]
mod tests;
