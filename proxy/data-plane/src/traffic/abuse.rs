//! Who is blocked for a while because of what its requests were answered.
//!
//! Which policies a request meets and whose it is is told by the `policy` crate ([`policy::AbusePolicies`]); who has too
//! much against it by the crate `abuse-score`, in one state for all workers. Where no policy is in force, a request costs
//! one look. What is found by this proxy holds at this proxy: each counts by itself.

mod blocks;
mod in_force;
mod met;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::AbusePolicies;
use policy::client_traffic::ListenerPlace;
use rate_limit::KeyDigests;

use crate::clock::Clock;
use crate::connection::registry::Connection;
use crate::telemetry::metrics::Metrics;
pub use blocks::BlockRecord;
use in_force::PoliciesInForce;
pub(crate) use met::{AnswerHead, MetAbuse};

/// The policies in force, and what callers were answered. One for all workers.
pub struct AbuseWatch {
    in_force: arc_swap::ArcSwap<PoliciesInForce>,
    digests: KeyDigests,
    /// How many callers are kept, over all policies.
    room: usize,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
}

impl AbuseWatch {
    /// No policies yet; at most so many callers are kept.
    #[must_use]
    pub fn new(room: usize, clock: Arc<Clock>, metrics: Arc<Metrics>) -> Self {
        let (in_force, digests) = (arc_swap::ArcSwap::default(), KeyDigests::default());
        Self { in_force, digests, room, clock, metrics }
    }

    /// Puts other policies in force, for the next request on. What was counted, and who was found to abuse, stays where a
    /// policy's name, its key and its numbers do; blocks end with their policy.
    pub fn install(&self, rules: AbusePolicies) {
        let before = self.in_force.load();
        if *before.rules() != rules {
            let in_force = PoliciesInForce::new(rules, &before, self.room);
            before.tell_blocks_without(&in_force, self.now());
            self.in_force.store(Arc::new(in_force));
        }
    }

    /// Forgets what says nothing any more, tells of blocks that have ended, and reports how many last. Once in a while.
    pub fn sweep(&self) {
        let swept = self.in_force.load().sweep(self.now(), &self.metrics);
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.abuse_callers.set(number(swept.callers));
        self.metrics.abuse_blocked.set(number(swept.blocked));
    }

    /// The blocks that last, of all policies, the latest first; at most 1000.
    #[must_use]
    pub fn blocks(&self) -> Vec<BlockRecord> {
        self.in_force.load().blocks(self.now(), self.clock.unix())
    }

    /// The policies that a request is about to meet, before its credentials are looked at; `None` where there are none.
    /// `client` is the client's address.
    pub(crate) fn meet(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        client: IpAddr,
        listener: Option<ListenerPlace<'_>>,
    ) -> Option<Box<MetAbuse>> {
        let in_force = self.in_force.load();
        if in_force.rules().is_empty() {
            return None;
        }
        MetAbuse::of(self, &in_force, connection, client, listener.as_ref()).map(Box::new)
    }

    fn now(&self) -> Duration {
        self.clock.since_start(Instant::now())
    }
}

#[cfg(test)]
mod tests;
