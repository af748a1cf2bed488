//! The limits in force, each with what callers have used of it.

use std::sync::Arc;
use std::time::Duration;

use policy::rate_limit::{LimitKey, LimitMeasure};
use policy::{LimitRequest, RateLimits, RequestLimit};
use rate_limit::KeyBudget;

use super::LimitSummary;
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

    pub(super) fn summaries(&self) -> Vec<LimitSummary> {
        let limits = self.limits.iter().map(|one| LimitSummary {
            id: Arc::clone(&one.limit.id),
            allows: allows(&one.limit),
            callers: one.counter.callers(),
        });
        limits.collect()
    }

    pub(super) fn drop_full(&self, now: Duration) {
        self.limits.iter().for_each(|limit| limit.counter.drop_full(now));
    }
}

/// What a limit allows, in words.
fn allows(limit: &RequestLimit) -> String {
    let keys: Vec<_> = limit.keys.iter().map(key_name).collect();
    let whose = keys.join(" and ");
    match &limit.measure {
        LimitMeasure::Concurrency { requests } => format!("{requests} under way for each {whose}"),
        LimitMeasure::Rate(rate) => {
            let at_once = match rate.burst == rate.requests {
                true => String::new(),
                false => format!(", {} at once", rate.burst),
            };
            format!("{} in {} for each {whose}{at_once}", rate.requests, in_words(rate.per))
        }
    }
}

/// In the largest unit that it is a whole number of.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("d", 86_400), ("h", 3600), ("min", 60)];
    let unit =
        units.into_iter().find(|(_, length)| seconds >= *length && seconds.is_multiple_of(*length));
    unit.map_or_else(
        || format!("{seconds} s"),
        |(name, length)| format!("{} {name}", seconds / length),
    )
}

fn key_name(key: &LimitKey) -> String {
    match key {
        LimitKey::Principal => "principal".to_owned(),
        LimitKey::Claim(name) => format!("claim {name}"),
        LimitKey::ApiKey => "API key".to_owned(),
        LimitKey::ClientAddress => "client address".to_owned(),
        LimitKey::Route => "route".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_its_largest_unit() {
        let check = |seconds, expect: &str| {
            assert_eq!(in_words(Duration::from_secs(seconds)), expect, "{seconds}");
        };
        check(1, "1 s");
        check(60, "1 min");
        check(90, "90 s");
        check(3600, "1 h");
        check(86_400, "1 d");
    }
}
