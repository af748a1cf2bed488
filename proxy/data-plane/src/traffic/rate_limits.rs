//! How many requests callers have made, and how many they may.
//!
//! Which limits a request meets and as whose is told by the `policy` crate ([`policy::RateLimits`]); counting is done by
//! the crate `rate-limit`, in one state for all workers. Where no limit is in force, a request costs one look.

mod counter;
mod fields;
mod in_force;
mod met;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use global_limits::GlobalLimits;
use policy::rate_limit::ListenerName;
use policy::route::RouteRule;
use policy::{HttpFacts, LimitRequest, RateLimits};
use rate_limit::{Decision, KeyBudget, KeyDigests, Quota};

use crate::clock::Clock;
use crate::telemetry::metrics::Metrics;
use in_force::LimitsInForce;
use met::MetLimits;

/// The limits in force, and what callers have used of them. One for all workers.
pub struct RequestLimits {
    in_force: arc_swap::ArcSwap<LimitsInForce>,
    digests: KeyDigests,
    budget: Arc<KeyBudget>,
    /// Where all proxies count together; none, unless one is configured.
    store: OnceLock<GlobalLimits>,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
}

/// A limit in force, for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSummary {
    /// `namespace/policy/limit`.
    pub id: Arc<str>,
    /// What it allows, in words.
    pub allows: String,
    /// Callers that are kept apart now; `None` where a store counts.
    pub callers: Option<usize>,
}

/// Who makes a request, as far as its head does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LimitCaller<'a> {
    /// The verified peer, as policies write principals.
    pub(crate) principal: Option<&'a str>,
    /// The TCP peer's address; what a trusted hop reported comes before it.
    pub(crate) source: IpAddr,
    /// At a gateway, the listener it came in by.
    pub(crate) listener: Option<ListenerName<'a>>,
    /// At a gateway, the rule that took it.
    pub(crate) route: Option<&'a RouteRule>,
}

impl<'a> LimitCaller<'a> {
    fn request(&self, http: HttpFacts<'a>, client: IpAddr) -> LimitRequest<'a> {
        let Self { principal, listener, route, .. } = *self;
        LimitRequest { http, principal, client, listener, route }
    }
}

impl RequestLimits {
    /// No limits yet; at most so many callers are kept apart.
    #[must_use]
    pub fn new(keys: usize, clock: Arc<Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            in_force: arc_swap::ArcSwap::default(),
            digests: KeyDigests::default(),
            budget: Arc::new(KeyBudget::new(keys)),
            store: OnceLock::new(),
            clock,
            metrics,
        }
    }

    /// From now on limits with `store: redis` are counted there. Once in the life of a process.
    pub fn count_in(&self, store: GlobalLimits) {
        // A second one is not taken.
        let _ = self.store.set(store);
    }

    /// Puts other limits in force, for the next request on. What callers have used of a limit stays where its name and
    /// its numbers do.
    pub fn install(&self, rules: RateLimits) {
        let before = self.in_force.load();
        if *before.rules() != rules {
            self.warn_without_store(&rules);
            let in_force = LimitsInForce::new(rules, &before, &self.budget, &self.metrics);
            self.in_force.store(Arc::new(in_force));
        }
    }

    /// The limits in force, with how many callers each keeps apart.
    #[must_use]
    pub fn in_force(&self) -> Vec<LimitSummary> {
        self.in_force.load().summaries()
    }

    /// Drops what says nothing any more, and reports what is left. Once in a while.
    pub fn sweep(&self) {
        let in_force = self.in_force.load();
        if !in_force.rules().is_empty() {
            in_force.drop_full(self.now());
        }
        self.metrics.rate_limit_keys.set(i64::try_from(self.budget.total()).unwrap_or(i64::MAX));
        let is_up = self.store.get().is_some_and(GlobalLimits::is_up);
        self.metrics.rate_limit_store_up.set(i64::from(is_up));
    }

    /// It is no mistake of the policy, which other proxies may be able to keep.
    fn warn_without_store(&self, rules: &RateLimits) {
        let global = rules.limits().iter().find(|limit| limit.is_global());
        if let (Some(limit), None) = (global, self.store.get()) {
            tracing::warn!(
                limit = &*limit.id,
                "a limit with `store: redis`, and the configuration has no `rateLimits.redis`: its `onStoreFailure` holds"
            );
        }
    }

    fn now(&self) -> Duration {
        self.clock.since_start(Instant::now())
    }

    /// What the store decides; `None` where there is none, or it does not answer in time.
    async fn ask_store(&self, key: &[u8], quota: &Quota) -> Option<Decision> {
        // Why it did not, the store's own log says.
        self.store.get()?.decide(key, quota).await.ok()
    }

    /// Gives one request back to the store. Nobody waits for that.
    fn give_back_to_store(&self, key: &[u8], quota: &Quota) {
        if let Some(store) = self.store.get() {
            store.give_back(key, quota);
        }
    }

    /// The limits that a request meets; `None` where there are none. `client` is the client's address.
    pub(crate) fn met_by(
        &self,
        http: HttpFacts<'_>,
        client: IpAddr,
        caller: &LimitCaller<'_>,
    ) -> Option<MetLimits> {
        let in_force = self.in_force.load();
        if in_force.rules().is_empty() {
            return None;
        }
        MetLimits::of(&in_force, &caller.request(http, client), &self.digests)
    }
}

#[cfg(test)]
mod tests;
