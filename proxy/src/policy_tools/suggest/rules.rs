//! From recorded traffic to rules: who, and what they did.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::PathTree;
use crate::policy_tools::recorded::RecordedTraffic;

/// One `operation`: a port, and for HTTP the methods and paths called on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SuggestedOperation {
    pub(super) ports: BTreeSet<u16>,
    /// Empty for opaque bytes.
    pub(super) methods: BTreeSet<String>,
    pub(super) paths: BTreeSet<String>,
}

/// One rule: who, and what they did.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SuggestedRule {
    pub(super) callers: BTreeSet<String>,
    pub(super) operations: Vec<SuggestedOperation>,
}

/// What one caller did.
#[derive(Default)]
struct CallerTraffic {
    opaque: BTreeSet<u16>,
    requests: BTreeMap<u16, PathTree>,
}

/// The rules that allow what was seen: callers that did the same share one.
pub(super) fn of(kept: &[&RecordedTraffic], distinct: usize) -> Vec<SuggestedRule> {
    let mut callers: BTreeMap<&str, CallerTraffic> = BTreeMap::new();
    for recorded in kept {
        let Some(caller) = &recorded.principal else { continue };
        callers.entry(caller.without_scheme()).or_default().add(recorded);
    }
    let mut shared: BTreeMap<Vec<SuggestedOperation>, BTreeSet<String>> = BTreeMap::new();
    for (caller, calls) in callers {
        for operations in calls.operations(distinct).into_iter().filter(|list| !list.is_empty()) {
            shared.entry(operations).or_default().insert(caller.to_owned());
        }
    }
    let rules =
        shared.into_iter().map(|(operations, callers)| SuggestedRule { callers, operations });
    let mut rules: Vec<SuggestedRule> = rules.collect();
    rules.sort();
    rules
}

impl CallerTraffic {
    fn add(&mut self, recorded: &RecordedTraffic) {
        let port = recorded.destination.port();
        match &recorded.request {
            None => {
                self.opaque.insert(port);
            }
            Some(request) => {
                self.requests.entry(port).or_default().add(&request.path, &request.method);
            }
        }
    }

    /// The operations of requests and those of opaque bytes, for a rule each: for opaque bytes a
    /// rule counts only when it names no HTTP field at all.
    fn operations(self, distinct: usize) -> [Vec<SuggestedOperation>; 2] {
        let mut requests = Vec::new();
        for (port, mut tree) in self.requests {
            tree.generalise(distinct);
            let ports = BTreeSet::from([port]);
            requests.extend(tree.by_methods().into_iter().map(|(methods, paths)| {
                SuggestedOperation { ports: ports.clone(), methods, paths }
            }));
        }
        let (methods, paths) = (BTreeSet::new(), BTreeSet::new());
        let opaque = (!self.opaque.is_empty()).then_some(SuggestedOperation {
            ports: self.opaque,
            methods,
            paths,
        });
        [requests, opaque.into_iter().collect()]
    }
}
