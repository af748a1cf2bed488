//! Counters of requests that rules of routes took, resolved once a rule and worker.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use policy::route::RouteRule;
use prometheus::IntCounter;

use crate::traffic::worker::Worker;

/// Rules whose counters a worker keeps resolved.
const MOST: usize = 4096;

/// The counters of one worker.
#[derive(Default)]
pub(crate) struct RouteMeters {
    /// By the rule's address, which stays its own for as long as the rule is held beside it.
    rules: Mutex<HashMap<usize, (Arc<RouteRule>, IntCounter)>>,
}

impl RouteMeters {
    /// Counts a request that a rule took.
    pub(crate) fn count(&self, worker: &Worker, rule: &Arc<RouteRule>) {
        let mut rules = self.rules.lock();
        let key = Arc::as_ptr(rule).addr();
        if let Some((_, counter)) = rules.get(&key) {
            return counter.inc();
        }
        if rules.len() >= MOST {
            rules.clear();
        }
        let counter = worker.state.metrics.route_requests(&label(rule));
        counter.inc();
        rules.insert(key, (rule.clone(), counter));
    }
}

/// The route and its rule: by name where it has one, else by number.
fn label(rule: &RouteRule) -> Arc<str> {
    match &rule.name {
        Some(name) => format!("{} {name}", rule.label).into(),
        None => format!("{} {}", rule.label, rule.index).into(),
    }
}
