//! Which ThreatPolicy is about a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{RuleSetSource, ThreatRule};
use crate::client_traffic::ListenerPlace;
use crate::resources::ThreatPolicy;
use crate::route::RouteId;
use crate::{Resources, Workload};

/// Every ThreatPolicy that may be about requests to one proxy. The default is empty. Immutable.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ThreatTable {
    entries: Vec<ThreatEntry>,
    /// Of the gateway; `None` in a sidecar.
    edge: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq)]
struct ThreatEntry {
    rule: Arc<ThreatRule>,
    /// How closely it means the workload, where it selects workloads.
    selection: Selection,
}

/// The own namespace before the mesh's root, then more labels before fewer.
type Selection = (bool, usize);

/// How closely a policy means a request: what it targets, then how it selects.
type Closeness = (u8, Selection);

impl ThreatTable {
    /// Those that select the workload, and at a gateway (`edge`) those about listeners and routes.
    pub(crate) fn build(resources: &Resources, workload: &Workload, edge: bool) -> Self {
        let root = resources.root_namespace();
        let may_be_about = |policy: &&ThreatPolicy| match policy.settings().targets.is_empty() {
            true => policy.selects(workload, root),
            false => edge,
        };
        let mut found: Vec<_> = resources.threat_policies().iter().filter(may_be_about).collect();
        found.sort_by(|a, b| a.name().cmp(b.name()));
        Self {
            edge: edge.then(|| workload.namespace.as_str().into()),
            entries: found.into_iter().map(|policy| ThreatEntry::of(policy, workload)).collect(),
        }
    }

    /// True when no request is looked through.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All policies, in the order of their names.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<ThreatRule>> {
        self.entries.iter().map(|entry| &entry.rule)
    }

    /// The rule sets that policies name and may name, each once.
    pub fn rule_sets(&self) -> BTreeSet<&RuleSetSource> {
        let policies = self.policies().filter(|rule| self.may_name_its_rules(rule));
        policies.map(|rule| &rule.settings.rule_set).collect()
    }

    /// Whether a policy may name the rules that it names; see [`ThreatSettings::may_name_rules`](super::ThreatSettings).
    pub fn may_name_its_rules(&self, rule: &ThreatRule) -> bool {
        let gateway = self.edge.as_deref();
        gateway.is_none_or(|gateway| rule.settings.may_name_rules(&rule.policy, gateway))
    }

    /// The policy about a request; `None`: none is. `listener` and `route` are those of a gateway. The closest holds: one
    /// about the route before one about the listener, its ListenerSet, its Gateway, then one that selects the workload:
    /// of the own namespace before the root one, then the one with more labels, then the first by name.
    pub fn find(
        &self,
        listener: Option<&ListenerPlace<'_>>,
        route: Option<&RouteId>,
    ) -> Option<&Arc<ThreatRule>> {
        let met = self
            .entries
            .iter()
            .filter_map(|entry| Some((entry.closeness(listener, route)?, &entry.rule)));
        let closer = |best: (Closeness, _), next: (Closeness, _)| {
            if next.0 > best.0 { next } else { best }
        };
        met.reduce(closer).map(|(_, rule)| rule)
    }
}

impl ThreatEntry {
    fn of(policy: &ThreatPolicy, workload: &Workload) -> Self {
        let rule = ThreatRule {
            policy: Arc::clone(policy.name()),
            settings: Arc::clone(policy.settings()),
        };
        Self { rule: Arc::new(rule), selection: policy.selection(workload) }
    }

    fn closeness(
        &self,
        listener: Option<&ListenerPlace<'_>>,
        route: Option<&RouteId>,
    ) -> Option<Closeness> {
        let targets = &self.rule.settings.targets;
        if targets.is_empty() {
            return Some((0, self.selection));
        }
        let listener = listener?;
        let closest =
            targets.iter().filter_map(|target| target.closeness(listener, route)).max()?;
        Some((closest.saturating_add(1), self.selection))
    }
}

#[cfg(test)]
mod tests;
