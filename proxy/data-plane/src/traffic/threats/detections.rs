//! The latest detections of ThreatPolicies, for a person who asks "what did the rules find just now, and where?".

use std::sync::Arc;

use serde::Serialize;

use crate::traffic::recent_records::{RecentRecords, RecordSize};

/// What the rules of a ThreatPolicy found in one request, as `GET /detections` shows it: which rules matched on which
/// variables, and never a value of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DetectionRecord {
    /// Unix seconds.
    pub time: u64,
    /// The ThreatPolicy, `namespace/name`.
    pub policy: Arc<str>,
    /// `detected` (the request went on) or `blocked`.
    pub action: &'static str,
    /// The sum of what its matches count.
    pub score: u32,
    /// The score from which the policy acts (`inboundThreshold`).
    pub threshold: u32,
    /// Matches that are not in `rules`, because a record has at most 16.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_rules: usize,
    /// What matched, in the order of the rule set.
    pub rules: Vec<DetectedRule>,
    /// Who called, without `spiffe://`; null in plaintext and at a gateway.
    pub source_principal: Option<String>,
    /// The client's address.
    pub source_ip: String,
    /// The method.
    pub method: String,
    /// The host, with a port that is not the default one.
    pub host: String,
    /// The canonical path without query.
    pub path: String,
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DetectedRule {
    /// Its id in the rule set.
    pub rule: u32,
    /// What the rule is about, such as `sqli`: the metrics' `rule_group`.
    pub group: &'static str,
    /// Where it matched, such as `ARGS:q`; of a long name the beginning. Clients choose the names of arguments.
    pub variable: String,
    /// `critical`, `error`, `warning` or `notice`.
    pub severity: &'static str,
    /// What it counts.
    pub score: u32,
}

/// The latest detections; the oldest are dropped.
pub type RecentDetections = RecentRecords<DetectionRecord>;

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Only what a caller can make long is counted.
impl RecordSize for DetectionRecord {
    fn bytes(&self) -> usize {
        let texts = self.method.len() + self.host.len() + self.path.len();
        let rules = self.rules.iter().map(|rule| size_of::<DetectedRule>() + rule.variable.len());
        size_of::<Self>() + texts + rules.sum::<usize>()
    }
}
