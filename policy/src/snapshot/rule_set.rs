//! The rules of one action, indexed by who may match them at all.
//!
//! A workload can be subject to thousands of rules, and nearly all of them name a caller. A rule that can only match
//! certain identities, accounts or namespaces is filed under these, one that leaves the caller open under the segments
//! its paths begin with, or its ports; a decision looks at the files the connection and the request can be in, and at
//! the few rules that are in none. Which rule is *reported* does not depend on the filing: the first in the order of
//! (policy name, rule) wins.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Decider;
use crate::evaluate::{HttpKnowledge, RuleFacts};
use crate::pattern::{AccountPattern, FieldPatterns, IdPattern, TextPattern};
use crate::resources::AuthorizationPolicy;
use crate::rule::{Condition, Rule, Source};

/// The most segments of a path a rule is filed under; each costs a look-up per reading of the path.
const MOST_SEGMENTS: usize = 4;
/// Readings of a path: canonical, decoded, as sent.
const READINGS: usize = 3;

/// The rules of one action that concern the workload.
#[derive(Debug, Default)]
pub(super) struct RuleSet {
    entries: Vec<RuleEntry>,
    anyone: Vec<u32>,
    by_id: HashMap<Box<str>, Vec<u32>>,
    /// By the path of a workload's id, `/ns/<namespace>/sa/<account>`, in any trust domain.
    by_account: HashMap<Box<str>, Vec<u32>>,
    by_namespace: HashMap<Box<str>, Vec<u32>>,
    /// By the first segments of a path, joined by slashes.
    by_segments: HashMap<Box<str>, Vec<u32>>,
    /// All that are filed by segments, for connections whose request is not known.
    with_segments: Vec<u32>,
    by_port: HashMap<u16, Vec<u32>>,
}

/// One rule and what is known of it beforehand.
#[derive(Debug)]
pub(super) struct RuleEntry {
    pub(super) decider: Decider,
    pub(super) rule: Arc<Rule>,
    pub(super) names_http: bool,
}

/// Where a rule is filed that names its callers.
pub(crate) enum CallerBucket {
    /// An identity, without scheme.
    Id(Box<str>),
    /// The path of a workload's id, in any trust domain.
    Account(Box<str>),
    Namespace(Box<str>),
}

/// Where a rule is filed.
enum RuleBucket {
    Caller(CallerBucket),
    Segments(Box<str>),
    Port(u16),
}

impl RuleSet {
    /// Files the rules of the policies, which come sorted by name.
    pub(super) fn new<'p>(policies: impl Iterator<Item = &'p Arc<AuthorizationPolicy>>) -> Self {
        let mut set = Self::default();
        for policy in policies {
            for (index, rule) in (0u32..).zip(policy.rules()) {
                set.file(Decider::new(Arc::clone(policy.name()), index), rule);
            }
        }
        set
    }

    fn file(&mut self, decider: Decider, rule: &Arc<Rule>) {
        let at = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        match files(rule) {
            None => self.anyone.push(at),
            Some(files) => files.into_iter().for_each(|file| self.file_under(file, at)),
        }
        self.entries.push(RuleEntry {
            decider,
            rule: Arc::clone(rule),
            names_http: rule.names_http(),
        });
    }

    fn file_under(&mut self, file: RuleBucket, at: u32) {
        let list = match file {
            RuleBucket::Caller(CallerBucket::Id(id)) => self.by_id.entry(id).or_default(),
            RuleBucket::Caller(CallerBucket::Account(path)) => {
                self.by_account.entry(path).or_default()
            }
            RuleBucket::Caller(CallerBucket::Namespace(namespace)) => {
                self.by_namespace.entry(namespace).or_default()
            }
            RuleBucket::Port(port) => self.by_port.entry(port).or_default(),
            RuleBucket::Segments(segments) => {
                push_once(&mut self.with_segments, at);
                self.by_segments.entry(segments).or_default()
            }
        };
        push_once(list, at);
    }

    pub(super) fn entries(&self) -> &[RuleEntry] {
        &self.entries
    }

    /// The first rule, in reporting order, that matches and that `counts`.
    pub(super) fn first_match(
        &self,
        facts: &RuleFacts<'_>,
        counts: impl Fn(&RuleEntry) -> bool,
    ) -> Option<&RuleEntry> {
        let mut best: Option<(u32, &RuleEntry)> = None;
        let lists = self.peer_files(facts).into_iter().chain(self.request_files(facts)).flatten();
        for list in lists {
            for at in list {
                if best.is_some_and(|(first, _)| first <= *at) {
                    break;
                }
                let entry = usize::try_from(*at).ok().and_then(|at| self.entries.get(at));
                if let Some(entry) =
                    entry.filter(|entry| counts(entry) && entry.rule.matches(facts))
                {
                    best = Some((*at, entry));
                    break;
                }
            }
        }
        best.map(|(_, entry)| entry)
    }

    /// Every rule, those first that name what the connection and the request are; a rule may come twice.
    pub(super) fn likely_first(&self, facts: &RuleFacts<'_>) -> impl Iterator<Item = &RuleEntry> {
        let filed = self.peer_files(facts).into_iter().chain(self.request_files(facts)).flatten();
        let filed = filed.flatten().filter_map(|at| self.entries.get(usize::try_from(*at).ok()?));
        filed.chain(&self.entries)
    }

    /// What the peer's identity can be filed under.
    fn peer_files(&self, facts: &RuleFacts<'_>) -> [Option<&Vec<u32>>; 3] {
        let Some(peer) = facts.peer else { return [None; 3] };
        [
            self.by_id.get(peer.without_scheme()),
            self.by_account.get(peer.path()),
            peer.namespace().and_then(|namespace| self.by_namespace.get(namespace)),
        ]
    }

    /// What does not depend on the peer.
    fn request_files(
        &self,
        facts: &RuleFacts<'_>,
    ) -> [Option<&Vec<u32>>; 3 + MOST_SEGMENTS * READINGS] {
        let mut lists = [None; 3 + MOST_SEGMENTS * READINGS];
        lists[0] = Some(&self.anyone);
        lists[1] = self.by_port.get(&facts.connection.destination.port());
        let HttpKnowledge::Request(request) = facts.http else {
            lists[2] = Some(&self.with_segments);
            return lists;
        };
        if self.by_segments.is_empty() {
            return lists;
        }
        let path = request.path;
        let raw = path.is_rewritten().then(|| path.raw());
        let readings = [Some(path.as_str()), path.decoded(), raw].into_iter().flatten();
        let readings = readings.map(|path| path.strip_prefix('/').unwrap_or(path));
        let found = readings.flat_map(path_prefixes).map(|segments| self.by_segments.get(segments));
        lists[3..].iter_mut().zip(found).for_each(|(list, found)| *list = found);
        lists
    }
}

fn push_once(list: &mut Vec<u32>, at: u32) {
    if list.last() != Some(&at) {
        list.push(at);
    }
}

/// The first segment, the first two, and so on, of a path without its leading slash: `a`, `a/b`, `a/b/c`.
fn path_prefixes(segments: &str) -> impl Iterator<Item = &str> {
    let ends = segments.match_indices('/').map(|(end, _)| end).chain([segments.len()]);
    ends.take(MOST_SEGMENTS).map(|end| &segments[..end])
}

/// As much of it as rules are filed under.
fn filed_segments(segments: &str) -> &str {
    path_prefixes(segments).last().unwrap_or_default()
}

/// Every file a rule belongs to; `None` when it could match anyone.
fn files(rule: &Rule) -> Option<Vec<RuleBucket>> {
    let callers = caller_buckets(&rule.from)
        .or_else(|| rule.when.iter().find_map(condition_files))
        .map(|callers| callers.into_iter().map(RuleBucket::Caller).collect());
    callers
        .or_else(|| segment_files(rule))
        .or_else(|| rule.ports().map(|ports| ports.into_iter().map(RuleBucket::Port).collect()))
}

/// The callers that these sources name; `None` when there is none, or one could be anyone.
pub(crate) fn caller_buckets(from: &[Source]) -> Option<Vec<CallerBucket>> {
    let lists: Option<Vec<_>> = from.iter().map(source_files).collect();
    lists.filter(|lists| !lists.is_empty()).map(|lists| lists.into_iter().flatten().collect())
}

/// Paths, when every operation names some and every one begins with whole segments.
fn segment_files(rule: &Rule) -> Option<Vec<RuleBucket>> {
    let mut files = Vec::new();
    for operation in &rule.to {
        for path in &operation.paths.any_of {
            let segments = path.literal_segments()?.map(filed_segments);
            files.extend(segments.map(|segments| RuleBucket::Segments(segments.into())));
        }
        if operation.paths.any_of.is_empty() {
            return None;
        }
    }
    (!files.is_empty()).then_some(files)
}

fn source_files(source: &Source) -> Option<Vec<CallerBucket>> {
    id_files(&source.principals)
        .or_else(|| account_files(&source.service_accounts))
        .or_else(|| namespace_files(&source.namespaces))
}

fn condition_files(condition: &Condition) -> Option<Vec<CallerBucket>> {
    match condition {
        Condition::SourcePrincipal(field) => id_files(field),
        Condition::SourceServiceAccount(field) => account_files(field),
        Condition::SourceNamespace(field) => namespace_files(field),
        _ => None,
    }
}

/// The files of a field whose values are all exact; `None` when it is absent or has a wildcard.
fn exact_files<T>(
    field: &FieldPatterns<T>,
    file: impl Fn(&T) -> Option<CallerBucket>,
) -> Option<Vec<CallerBucket>> {
    let files: Option<Vec<CallerBucket>> = field.any_of.iter().map(file).collect();
    files.filter(|files| !files.is_empty())
}

fn id_files(field: &FieldPatterns<IdPattern>) -> Option<Vec<CallerBucket>> {
    exact_files(field, |id| match id {
        IdPattern::Exact(id) => Some(CallerBucket::Id(id.without_scheme().into())),
        _ => None,
    })
}

fn account_files(field: &FieldPatterns<AccountPattern>) -> Option<Vec<CallerBucket>> {
    exact_files(field, |account| {
        let path = format!("/ns/{}/sa/{}", account.namespace, account.name);
        Some(CallerBucket::Account(path.into()))
    })
}

fn namespace_files(field: &FieldPatterns<TextPattern>) -> Option<Vec<CallerBucket>> {
    exact_files(field, |namespace| match namespace {
        TextPattern::Exact(namespace) => Some(CallerBucket::Namespace(namespace.clone())),
        _ => None,
    })
}
