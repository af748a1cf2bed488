//! The search for one endpoint that may take a request: by the policy, among those that are open.

use std::sync::atomic::Ordering::Relaxed;

use super::{Balancer, Pick};
use crate::draw::Draws;
use crate::endpoint::Endpoint;
use crate::group::Group;
use crate::hash::{bid, weighted_bid};
use crate::settings::Policy;
use crate::standing::Admission;

/// So often an endpoint is drawn before all are gone through in order. With half of the endpoints ejected, one in 256
/// searches goes through them: those behind an ejected one would get its share besides their own.
const DRAWS: usize = 8;

/// Chooses an endpoint: in the own zone, then among all, then even one that is passed over.
pub(super) fn pick(
    balancer: &Balancer,
    now: u64,
    random: u64,
    hash: Option<u64>,
    except: &dyn Fn(usize) -> bool,
) -> Option<Pick> {
    let mut search = Search { balancer, now, draws: Draws::new(random), except };
    let hash = hash.filter(|_| balancer.settings.policy == Policy::ConsistentHash);
    if balancer.review.disregard_ejection.load(Relaxed) {
        return search.last_resort(hash);
    }
    let found = match hash {
        Some(hash) => search.owner(hash),
        None => {
            let prefer_local = balancer.review.prefer_local.load(Relaxed);
            let local = prefer_local.then(|| search.by_policy(&balancer.local)).flatten();
            local.or_else(|| search.by_policy(&balancer.all))
        }
    };
    found.or_else(|| search.last_resort(hash))
}

/// What one search needs to know.
struct Search<'a> {
    balancer: &'a Balancer,
    now: u64,
    draws: Draws,
    except: &'a dyn Fn(usize) -> bool,
}

impl<'a> Search<'a> {
    fn by_policy(&mut self, group: &Group) -> Option<Pick> {
        match self.balancer.settings.policy {
            Policy::PeakEwma | Policy::ConsistentHash | Policy::LeastRequest => {
                self.cheaper_of_two(group)
            }
            Policy::Random => self.drawn(group, None),
            Policy::RoundRobin => self.in_turn(group),
        }
    }

    /// Two endpoints are drawn, and the one that costs less is taken. To look at all of them would send every caller to
    /// the same one (Mitzenmacher 2001).
    fn cheaper_of_two(&mut self, group: &Group) -> Option<Pick> {
        let first = self.drawn(group, None)?;
        if first.probe || group.len() < 2 {
            return Some(first);
        }
        match self.drawn(group, Some(first.index)) {
            Some(second) if second.probe || self.costs_less(second.index, first.index) => {
                Some(second)
            }
            _ => Some(first),
        }
    }

    fn costs_less(&self, one: usize, other: usize) -> bool {
        let (Some(one), Some(other)) = (self.endpoint(one), self.endpoint(other)) else {
            return false;
        };
        match self.balancer.settings.policy {
            Policy::LeastRequest => one.in_flight() < other.in_flight(),
            _ => one.load.cost(self.now) < other.load.cost(self.now),
        }
    }

    /// An endpoint by its weight and the share that it has warmed up to.
    fn drawn(&mut self, group: &Group, other_than: Option<usize>) -> Option<Pick> {
        for _ in 0..DRAWS {
            let index = group.draw(self.draws.next()).filter(|index| Some(*index) != other_than);
            let Some(index) = index else { continue };
            if self.is_warm_enough(index)
                && let Some(pick) = self.admit(index)
            {
                return Some(pick);
            }
        }
        self.first_admitted(group, other_than)
    }

    /// The endpoint whose turn it is. One that is passed over gives its turn away, so that the next one has no more
    /// than its own.
    fn in_turn(&mut self, group: &Group) -> Option<Pick> {
        let turn = &self.balancer.turn;
        // Each caller begins at another endpoint.
        let _begun = turn.compare_exchange(0, self.draws.next() >> 1, Relaxed, Relaxed);
        for _ in 0..DRAWS {
            let index = group.in_turn(turn.fetch_add(1, Relaxed))?;
            if self.is_warm_enough(index)
                && let Some(pick) = self.admit(index)
            {
                return Some(pick);
            }
        }
        self.first_admitted(group, None)
    }

    fn first_admitted(&mut self, group: &Group, other_than: Option<usize>) -> Option<Pick> {
        let mut in_order = group.all_from(self.draws.next());
        in_order.find_map(|index| match Some(index) == other_than {
            true => None,
            false => self.admit(index),
        })
    }

    /// The endpoint that bids most for a key, of those that may be asked. Mostly that is whoever bids most.
    fn owner(&self, hash: u64) -> Option<Pick> {
        if let Some(pick) = self.admit(self.highest_bid(hash, |_| true)?) {
            return Some(pick);
        }
        let admission = |index| self.endpoint(index).map(|one| one.standing.admission(self.now));
        let may = |index| !(self.except)(index) && admission(index) != Some(Admission::Closed);
        // Another worker may take the probe.
        let is_open = |index| may(index) && admission(index) == Some(Admission::Open);
        let pick = self.admit(self.highest_bid(hash, may)?);
        pick.or_else(|| self.admit(self.highest_bid(hash, is_open)?))
    }

    fn highest_bid(&self, hash: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let keys = self.balancer.keys.iter().enumerate().filter(|(index, _)| may(*index));
        let highest = match self.balancer.all.is_even() {
            true => keys.max_by_key(|(_, key)| bid(hash, **key)),
            false => {
                let weight = |index| self.endpoint(index).map_or(1, |one| one.weight().get());
                let bids =
                    keys.map(|(index, key)| (index, key, weighted_bid(hash, *key, weight(index))));
                bids.max_by(|one, other| one.2.total_cmp(&other.2))
                    .map(|(index, key, _)| (index, key))
            }
        };
        highest.map(|(index, _)| index)
    }

    /// One that should not be asked, because there is no other: of two, the one that costs less.
    fn last_resort(&mut self, hash: Option<u64>) -> Option<Pick> {
        let index = match hash {
            Some(hash) => self.highest_bid(hash, |index| !(self.except)(index)),
            None => {
                let any = |draws: &mut Draws, except: &dyn Fn(usize) -> bool, group: &'a Group| {
                    group.all_from(draws.next()).find(|index| !except(*index))
                };
                let first = any(&mut self.draws, self.except, &self.balancer.all);
                let second = any(&mut self.draws, self.except, &self.balancer.all);
                first
                    .zip(second)
                    .map(|(one, other)| if self.costs_less(other, one) { other } else { one })
            }
        };
        index.map(|index| Pick { index, last_resort: true, probe: false })
    }

    /// Whether a request may go there; a probe that is due is taken by it.
    fn admit(&self, index: usize) -> Option<Pick> {
        let endpoint = self.endpoint(index).filter(|_| !(self.except)(index))?;
        let pick = Pick { index, last_resort: false, probe: false };
        match endpoint.standing.admission(self.now) {
            Admission::Open => Some(pick),
            Admission::Probe if endpoint.standing.claim_probe(self.now) => {
                Some(Pick { probe: true, ..pick })
            }
            Admission::Probe | Admission::Closed => None,
        }
    }

    fn is_warm_enough(&mut self, index: usize) -> bool {
        let Some(window) = self.balancer.settings.warm_up else { return true };
        let share = self.endpoint(index).map_or(1.0, |e| e.warm_up.share(self.now, Some(window)));
        self.draws.chance(share)
    }

    fn endpoint(&self, index: usize) -> Option<&'a Endpoint> {
        self.balancer.endpoints.get(index).map(|endpoint| &**endpoint)
    }
}
