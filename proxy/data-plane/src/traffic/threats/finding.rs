//! What the log says of a request that a ThreatPolicy is about.

use std::sync::Arc;

use super::detections::DetectedRule;
use crate::telemetry::log_line::LogLine;

/// What the log says of a request that rules found something in, or that they did not see.
pub(crate) struct ThreatFinding {
    pub(super) policy: Arc<str>,
    pub(super) action: &'static str,
    pub(super) score: u32,
    pub(super) rules: Vec<DetectedRule>,
    pub(super) missed: Option<&'static str>,
    pub(super) is_attack: bool,
}

impl ThreatFinding {
    /// True when the rules found an attack: then it is logged whatever the access log has.
    pub(crate) fn is_attack(&self) -> bool {
        self.is_attack
    }

    pub(crate) fn write(&self, line: &mut LogLine<'_>) {
        line.text("threat_policy", &self.policy);
        if !self.rules.is_empty() {
            line.word("threat_action", self.action)
                .number("threat_score", self.score)
                .json("threat_rules", &self.rules);
        }
        if let Some(missed) = self.missed {
            line.word("threat_missed", missed);
        }
    }
}
