//! The limits in force, each with what callers have used of it.

use std::sync::Arc;
use std::time::Duration;

use policy::rate_limit::LimitMeasure;
use policy::{LimitRequest, RateLimits, RequestLimit};
use rate_limit::KeyBudget;

use super::counter::LimitCounter;
use super::fields::PolicyField;
use crate::telemetry::metrics::Metrics;

/// Immutable; swapped whole. The counters in it go over from one to the next.
#[derive(Default)]
pub(super) struct LimitsInForce {
    rules: RateLimits,
    /// As the rules have them.
    limits: Vec<Arc<LimitInForce>>,
}

/// One limit with its counter.
pub(super) struct LimitInForce {
    pub(super) limit: Arc<RequestLimit>,
    pub(super) counter: Arc<LimitCounter>,
    /// What answers say of it; `None` for one of requests under way, which the header fields have no words for.
    pub(super) policy: Option<PolicyField>,
}

impl LimitsInForce {
    pub(super) fn new(
        rules: RateLimits,
        before: &Self,
        budget: &Arc<KeyBudget>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let limits = rules.limits().iter().map(|limit| {
            let counter = before.counter(limit).unwrap_or_else(|| {
                Arc::new(LimitCounter::new(&limit.id, &limit.measure, budget, metrics))
            });
            let policy = match &limit.measure {
                LimitMeasure::Rate(rate) => PolicyField::new(&limit.name, rate),
                LimitMeasure::Concurrency { .. } => None,
            };
            Arc::new(LimitInForce { limit: Arc::clone(limit), counter, policy })
        });
        let limits = limits.collect();
        Self { rules, limits }
    }

    /// The counter of a limit of the same name and the same numbers.
    fn counter(&self, limit: &RequestLimit) -> Option<Arc<LimitCounter>> {
        let same = |known: &&Arc<LimitInForce>| {
            known.limit.id == limit.id && known.limit.measure == limit.measure
        };
        self.limits.iter().find(same).map(|known| Arc::clone(&known.counter))
    }

    pub(super) fn rules(&self) -> &RateLimits {
        &self.rules
    }

    /// Those that a request meets.
    pub(super) fn met_by(
        &self,
        request: &LimitRequest<'_>,
    ) -> impl Iterator<Item = &Arc<LimitInForce>> + use<'_> {
        let places = self.rules.applicable(request);
        places.into_iter().filter_map(|place| self.limits.get(place))
    }

    pub(super) fn drop_full(&self, now: Duration) {
        self.limits.iter().for_each(|limit| limit.counter.drop_full(now));
    }
}
