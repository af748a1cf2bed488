//! What counts the requests of one limit.

use std::sync::Arc;
use std::time::Duration;

use policy::rate_limit::{LimitMeasure, LimitStore, RateLimit, StoreFailure};
use prometheus::IntCounter;
use rate_limit::{Buckets, Decision, KeyBudget, KeyDigest, Quota, Underway, UnderwayGuard};

use crate::telemetry::metrics::Metrics;

/// The counter of one limit, and its metrics.
pub(super) struct LimitCounter {
    pub(super) kind: CounterKind,
    id: Arc<str>,
    metrics: Arc<Metrics>,
    allowed: IntCounter,
    refused: IntCounter,
}

/// Who counts.
pub(super) enum CounterKind {
    /// This proxy.
    Local(Box<Buckets>),
    /// A store that proxies share; while it does not answer, what the limit says.
    Shared { quota: Quota, on_failure: OnFailure },
    /// This proxy, those under way.
    Concurrency(Arc<Underway>),
}

/// What becomes of requests while a store does not answer.
pub(super) enum OnFailure {
    /// This proxy counts its part.
    Local(Box<Buckets>),
    Allow,
    Deny,
}

/// Who has counted, as the metrics call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountedBy {
    /// This proxy, or the store: whoever was asked for.
    AsAsked,
    /// The bucket that callers share for whom there was no room.
    Overflow,
    /// This proxy in the store's place.
    Fallback,
    /// Nobody: the store did not answer.
    Nobody,
}

impl LimitCounter {
    pub(super) fn new(
        id: &Arc<str>,
        measure: &LimitMeasure,
        budget: &Arc<KeyBudget>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let kind = match measure {
            LimitMeasure::Concurrency { requests } => {
                CounterKind::Concurrency(Arc::new(Underway::new(*requests, Arc::clone(budget))))
            }
            LimitMeasure::Rate(rate) => of_rate(rate, budget),
        };
        let store = match kind {
            CounterKind::Shared { .. } => "redis",
            CounterKind::Local(_) | CounterKind::Concurrency(_) => "local",
        };
        Self {
            kind,
            id: Arc::clone(id),
            metrics: Arc::clone(metrics),
            allowed: metrics.rate_limit_decision(id, "allow", store),
            refused: metrics.rate_limit_decision(id, "deny", store),
        }
    }

    /// Counts a decision.
    pub(super) fn decided(&self, allowed: bool, by: CountedBy) {
        let store = match by {
            CountedBy::AsAsked if allowed => return self.allowed.inc(),
            CountedBy::AsAsked => return self.refused.inc(),
            CountedBy::Overflow => "overflow",
            CountedBy::Fallback => "fallback",
            CountedBy::Nobody => "none",
        };
        let decision = if allowed { "allow" } else { "deny" };
        self.metrics.rate_limit_decision(&self.id, decision, store).inc();
    }

    /// Callers that are kept apart here; `None` where a store counts.
    pub(super) fn callers(&self) -> Option<usize> {
        match &self.kind {
            CounterKind::Local(buckets) => Some(buckets.len()),
            CounterKind::Concurrency(underway) => Some(underway.len()),
            CounterKind::Shared { .. } => None,
        }
    }

    pub(super) fn drop_full(&self, now: Duration) {
        match &self.kind {
            CounterKind::Local(buckets)
            | CounterKind::Shared { on_failure: OnFailure::Local(buckets), .. } => {
                buckets.drop_full(now);
            }
            CounterKind::Shared { .. } | CounterKind::Concurrency(_) => {}
        }
    }

    /// Takes one request from a bucket of this proxy, and counts the decision.
    pub(super) fn take(
        &self,
        buckets: &Buckets,
        key: KeyDigest,
        now: Duration,
        by: CountedBy,
    ) -> Decision {
        let decision = buckets.decide(key, now);
        let by = if decision.shared { CountedBy::Overflow } else { by };
        self.decided(decision.allowed, by);
        decision
    }

    /// Begins a request, and counts the decision.
    pub(super) fn begin(&self, underway: &Arc<Underway>, key: KeyDigest) -> Option<UnderwayGuard> {
        let begun = underway.begin(key);
        self.decided(begun.is_some(), CountedBy::AsAsked);
        begun
    }
}

fn of_rate(rate: &RateLimit, budget: &Arc<KeyBudget>) -> CounterKind {
    let quota = Quota { requests: rate.requests, per: rate.per, burst: rate.burst };
    match (rate.store, rate.on_store_failure) {
        (LimitStore::Local, _) => {
            CounterKind::Local(Box::new(Buckets::new(quota, Arc::clone(budget))))
        }
        (LimitStore::Redis, failure) => {
            let on_failure = match failure {
                StoreFailure::Local => {
                    let part = quota.among(rate.replicas);
                    OnFailure::Local(Box::new(Buckets::new(part, Arc::clone(budget))))
                }
                StoreFailure::Allow => OnFailure::Allow,
                StoreFailure::Deny => OnFailure::Deny,
            };
            CounterKind::Shared { quota, on_failure }
        }
    }
}
