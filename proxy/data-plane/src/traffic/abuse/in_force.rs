//! The policies in force, each with what its callers were answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use abuse_score::{AbuseRules, Block, Callers, Sweep};
use policy::AbusePolicies;
use policy::abuse::{AbuseMeasure, AbuseMode, AbuseSettings};

use super::blocks::{BlockRecord, BlockedCaller};
use crate::telemetry::metrics::Metrics;

/// The most blocks that are shown at once.
const MOST_SHOWN: usize = 1_000;

/// Immutable; swapped whole. What was counted goes over from one to the next.
#[derive(Default)]
pub(super) struct PoliciesInForce {
    rules: AbusePolicies,
    policies: Vec<Arc<PolicyInForce>>,
}

/// One policy with its callers.
pub(super) struct PolicyInForce {
    pub(super) settings: Arc<AbuseSettings>,
    pub(super) callers: Arc<Callers<BlockedCaller>>,
}

impl PoliciesInForce {
    /// Each namespace gets as much of the room as the others, and each of its policies as much of that: who writes many at a
    /// gateway of others takes nothing from them.
    pub(super) fn new(rules: AbusePolicies, before: &Self, room: usize) -> Self {
        let mut written: HashMap<&str, usize> = HashMap::new();
        for settings in rules.policies() {
            *written.entry(namespace(settings)).or_default() += 1;
        }
        let room = room / written.len().max(1);
        let policies = rules.policies().iter().map(|settings| {
            let room = room / written.get(namespace(settings)).copied().unwrap_or(1);
            let callers = before.same(settings).map(|known| Arc::clone(&known.callers));
            let callers = callers
                .unwrap_or_else(|| Arc::new(Callers::new(rules_of(&settings.measure), room)));
            callers.set_room(room);
            Arc::new(PolicyInForce { settings: Arc::clone(settings), callers })
        });
        let policies = policies.collect();
        Self { rules, policies }
    }

    pub(super) fn rules(&self) -> &AbusePolicies {
        &self.rules
    }

    pub(super) fn policies(&self) -> &[Arc<PolicyInForce>] {
        &self.policies
    }

    /// The policy that counts the same of the same callers, under the same name.
    fn same(&self, settings: &AbuseSettings) -> Option<&Arc<PolicyInForce>> {
        self.policies.iter().find(|known| known.settings.counts_as(settings))
    }

    /// Tells of the blocks that end because others are in force now.
    pub(super) fn tell_blocks_without(&self, then: &Self, now: Duration) {
        for policy in self.policies.iter().filter(|policy| then.same(&policy.settings).is_none()) {
            let (_, blocks) = policy.callers.blocks(now, 0);
            if blocks > 0 {
                let policy = &*policy.settings.policy;
                tracing::info!(policy, blocks, "blocks have ended with the policy that said so");
            }
        }
    }

    pub(super) fn sweep(&self, now: Duration, metrics: &Metrics) -> Sweep<BlockedCaller> {
        let mut all = Sweep { ended: Vec::new(), callers: 0, blocked: 0 };
        for policy in &self.policies {
            let swept = policy.callers.sweep(now);
            swept.ended.iter().for_each(|block| policy.tell_end(block, metrics));
            all.callers += swept.callers;
            all.blocked += swept.blocked;
        }
        all
    }

    pub(super) fn blocks(&self, now: Duration, unix: u64) -> Vec<BlockRecord> {
        let of = |policy: &Arc<PolicyInForce>| {
            let (blocks, _) = policy.callers.blocks(now, MOST_SHOWN);
            let record = |block| BlockRecord::new(policy, block, now, unix);
            blocks.iter().map(record).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.policies.iter().flat_map(of).collect();
        all.sort_by_key(|block| std::cmp::Reverse(block.since));
        all.truncate(MOST_SHOWN);
        all
    }
}

impl PolicyInForce {
    pub(super) fn is_enforced(&self) -> bool {
        self.settings.mode == AbuseMode::Block
    }

    /// Tells of a block that begins.
    pub(super) fn tell_begin(&self, block: &Block<BlockedCaller>, metrics: &Metrics) {
        let BlockedCaller { key, name } = &block.who;
        let (policy, cause) = (&*self.settings.policy, block.cause.as_str());
        let seconds = block.until.saturating_sub(block.since).as_secs();
        let repeated = block.repeated;
        if self.is_enforced() {
            metrics.abuse(&self.settings.policy, "blocked");
            tracing::warn!(
                policy,
                key,
                caller = &**name,
                cause,
                seconds,
                repeated,
                "a caller is blocked"
            );
        } else {
            metrics.abuse(&self.settings.policy, "detected");
            tracing::warn!(
                policy,
                key,
                caller = &**name,
                cause,
                seconds,
                repeated,
                "a caller would be blocked, if `mode` were block"
            );
        }
    }

    fn tell_end(&self, block: &Block<BlockedCaller>, metrics: &Metrics) {
        let BlockedCaller { key, name } = &block.who;
        let policy = &*self.settings.policy;
        metrics.abuse(&self.settings.policy, "ended");
        let cause = block.cause.as_str();
        tracing::info!(policy, key, caller = &**name, cause, "the block of a caller has ended");
    }
}

fn namespace(settings: &AbuseSettings) -> &str {
    settings.policy.split_once('/').map_or("", |(namespace, _)| namespace)
}

fn rules_of(measure: &AbuseMeasure) -> AbuseRules {
    let AbuseMeasure { window, requests, refused_percent, distinct_missing, block_for } = *measure;
    AbuseRules { window, requests, refused_percent, distinct_missing, block_for }
}
