//! The counters of one kind of traffic, looked up once.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use policy::Decider;
use prometheus::{Histogram, IntCounter};

use crate::telemetry::log_line;
use crate::telemetry::metrics::{Metrics, TrafficLabels};

/// Outcomes of one kind of traffic whose counter is kept; further ones are looked up each time.
const MAX_RESOLVED: usize = 32;

/// The counters of one kind of traffic, resolved once and shared by its requests.
pub struct TrafficMeter {
    metrics: Arc<Metrics>,
    /// What the counters are labelled with.
    pub labels: TrafficLabels,
    /// The labels as they appear in every log line of this traffic.
    pub(super) fragment: Box<[u8]>,
    duration: Histogram,
    /// Resolved with the first connection.
    connections: OnceLock<IntCounter>,
    outcomes: Mutex<Vec<(u16, &'static str, IntCounter)>>,
    decisions: Mutex<Vec<(&'static str, Option<Decider>, IntCounter)>>,
}

impl TrafficMeter {
    /// Resolves the histogram; counters follow as outcomes are seen.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, labels: TrafficLabels) -> Self {
        let duration = metrics.request_duration(&labels);
        let fragment = log_line::fragment(|line| {
            line.word("direction", labels.direction.as_str())
                .text("source_principal", &labels.source_principal)
                .text("destination_principal", &labels.destination_principal)
                .text("destination_service", &labels.destination_service)
                .word("protocol", labels.protocol.as_str());
        });
        let (outcomes, decisions) = (Mutex::default(), Mutex::default());
        let connections = OnceLock::new();
        Self { metrics, labels, fragment, duration, connections, outcomes, decisions }
    }

    /// Counts a connection whose nature is known now.
    pub fn connection(&self) {
        self.connections.get_or_init(|| self.metrics.connections(&self.labels)).inc();
    }

    pub(super) fn outcome(&self, status: u16, reason: &'static str, seconds: f64) {
        self.duration.observe(seconds);
        let mut outcomes = self.outcomes.lock();
        if let Some((.., counter)) = outcomes.iter().find(|(s, r, _)| *s == status && *r == reason)
        {
            return counter.inc();
        }
        let counter = self.metrics.requests(&self.labels, status, reason);
        counter.inc();
        if outcomes.len() < MAX_RESOLVED {
            outcomes.push((status, reason, counter));
        }
    }

    /// Counts a decision (`allow` or `deny`) by the rule that took it, or by the default.
    pub(super) fn decision(&self, label: &'static str, decider: Option<&Decider>) {
        let mut decisions = self.decisions.lock();
        let known = decisions.iter().find(|(l, d, _)| *l == label && d.as_ref() == decider);
        if let Some((.., counter)) = known {
            return counter.inc();
        }
        let policy = decider.map(|d| d.policy().as_ref());
        let counter = self.metrics.decision(label, policy, decider.map(Decider::rule));
        counter.inc();
        if decisions.len() < MAX_RESOLVED {
            decisions.push((label, decider.cloned(), counter));
        }
    }
}
