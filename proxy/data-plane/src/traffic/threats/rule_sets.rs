//! The rule sets in force, by where they come from. Each is immutable and replaced whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use policy::threat::RuleSetSource;
use threat_rules::RuleSet;
use tokio::sync::Notify;

/// What is known of a rule set.
#[derive(Debug, Clone, Default)]
pub struct KnownRuleSet {
    /// The last good version; `None`: there was none yet.
    pub rules: Option<Arc<RuleSet>>,
    /// What is wrong with the newest version; empty: it is in force.
    pub problems: Vec<String>,
    /// Tells the newest version from others.
    pub fingerprint: u64,
}

/// The rule sets that policies name.
#[derive(Default)]
pub struct RuleSets {
    known: ArcSwap<BTreeMap<RuleSetSource, KnownRuleSet>>,
    changed: Notify,
}

impl RuleSets {
    /// The rules in force; `None`: the set could never be read.
    #[must_use]
    pub fn get(&self, source: &RuleSetSource) -> Option<Arc<RuleSet>> {
        self.known.load().get(source)?.rules.clone()
    }

    /// All that is known.
    #[must_use]
    pub fn known(&self) -> Arc<BTreeMap<RuleSetSource, KnownRuleSet>> {
        self.known.load_full()
    }

    /// Replaces all. One thread does.
    pub fn install(&self, known: BTreeMap<RuleSetSource, KnownRuleSet>) {
        let before = self.known.swap(Arc::new(known));
        if !before.keys().eq(self.known.load().keys()) {
            self.changed.notify_one();
        }
    }

    /// Waits until other rule sets are named.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}
