//! The rules of one action, by who may match them at all: a broker may be subject to hundreds of policies, and nearly all
//! of them name a caller.

use std::collections::HashMap;
use std::sync::Arc;

use super::TopicRule;
use crate::Decider;
use crate::evaluate::RuleFacts;
use crate::snapshot::{CallerBucket, caller_buckets};

/// One rule, and what it is called.
#[derive(Debug)]
pub(super) struct TopicEntry {
    pub(super) decider: Decider,
    pub(super) rule: Arc<TopicRule>,
}

/// The rules in the order in which they are reported: by policy and place.
#[derive(Debug, Default)]
pub(super) struct CallerIndex {
    entries: Vec<TopicEntry>,
    anyone: Vec<usize>,
    by_id: HashMap<Box<str>, Vec<usize>>,
    /// By the path of a workload's id, in any trust domain.
    by_account: HashMap<Box<str>, Vec<usize>>,
    by_namespace: HashMap<Box<str>, Vec<usize>>,
}

impl CallerIndex {
    pub(super) fn push(&mut self, decider: Decider, rule: &Arc<TopicRule>) {
        let at = self.entries.len();
        match caller_buckets(&rule.from) {
            None => self.anyone.push(at),
            Some(buckets) => buckets.into_iter().for_each(|bucket| {
                let list = self.bucket(bucket);
                if list.last() != Some(&at) {
                    list.push(at);
                }
            }),
        }
        self.entries.push(TopicEntry { decider, rule: Arc::clone(rule) });
    }

    fn bucket(&mut self, bucket: CallerBucket) -> &mut Vec<usize> {
        match bucket {
            CallerBucket::Id(id) => self.by_id.entry(id).or_default(),
            CallerBucket::Account(path) => self.by_account.entry(path).or_default(),
            CallerBucket::Namespace(namespace) => self.by_namespace.entry(namespace).or_default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first rule about the caller, in reporting order, that `fits`.
    pub(super) fn first(
        &self,
        facts: &RuleFacts<'_>,
        fits: impl Fn(&TopicRule) -> bool,
    ) -> Option<&TopicEntry> {
        let mut best: Option<(usize, &TopicEntry)> = None;
        for list in self.lists(facts).into_iter().flatten() {
            for at in list {
                if best.is_some_and(|(first, _)| first <= *at) {
                    break;
                }
                let entry = self.entries.get(*at);
                let fitting = |entry: &&TopicEntry| fits(&entry.rule) && entry.rule.is_from(facts);
                if let Some(entry) = entry.filter(fitting) {
                    best = Some((*at, entry));
                    break;
                }
            }
        }
        best.map(|(_, entry)| entry)
    }

    /// Every rule, those first that may be about the caller; a rule may come twice.
    pub(super) fn likely_first(&self, facts: &RuleFacts<'_>) -> impl Iterator<Item = &TopicEntry> {
        let filed = self.lists(facts).into_iter().flatten().flatten();
        filed.filter_map(|at| self.entries.get(*at)).chain(&self.entries)
    }

    fn lists(&self, facts: &RuleFacts<'_>) -> [Option<&Vec<usize>>; 4] {
        let anyone = Some(&self.anyone);
        let Some(peer) = facts.peer else { return [anyone, None, None, None] };
        let in_namespace = peer.namespace().and_then(|name| self.by_namespace.get(name));
        let by_id = self.by_id.get(peer.without_scheme());
        [anyone, by_id, self.by_account.get(peer.path()), in_namespace]
    }
}

impl TopicRule {
    /// Whether it is about the caller.
    pub(super) fn is_from(&self, facts: &RuleFacts<'_>) -> bool {
        self.from.is_empty() || self.from.iter().any(|source| source.matches(facts))
    }
}
