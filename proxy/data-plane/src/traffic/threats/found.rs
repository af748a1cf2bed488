//! What is kept of what rules found in a request: counted, in the request's log line, and among the latest detections.

use std::sync::Arc;

use policy::ThreatRule;

use super::detections::{DetectedRule, DetectionRecord};
use super::finding::ThreatFinding;
use super::verdict::{Looked, ThreatVerdict};
use crate::clock::unix_now;
use crate::traffic::exchange::Exchange;
use crate::traffic::state::ProxyState;

/// The most rules that a record lists.
const MAX_RULES: usize = 16;

/// Counts a request that was looked through, and keeps what was found in it.
pub(super) fn record(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    policy: &Arc<ThreatRule>,
    looked: &Looked,
    verdict: ThreatVerdict,
) {
    let (metrics, action) = (&state.metrics, verdict.action());
    metrics.threat_result(verdict.result(looked));
    let matches = &looked.inspection.matches;
    for found in matches {
        metrics.threat_rule(found.group.as_str(), action);
    }
    if matches.is_empty() && looked.missed.is_none() {
        return;
    }
    let rules: Vec<_> = matches.iter().take(MAX_RULES).map(detected_rule).collect();
    if verdict.is_attack() {
        state.detections.add(DetectionRecord {
            more_rules: matches.len() - rules.len(),
            ..detection(exchange, policy, looked, verdict, rules.clone())
        });
    }
    exchange.record.threat(ThreatFinding {
        policy: Arc::clone(&policy.policy),
        action,
        score: looked.inspection.score,
        rules,
        missed: looked.missed.map(|missed| missed.reason()),
        is_attack: verdict.is_attack(),
    });
}

fn detected_rule(found: &threat_rules::RuleMatch) -> DetectedRule {
    DetectedRule {
        rule: found.rule,
        group: found.group.as_str(),
        variable: found.variable.clone(),
        severity: found.severity.as_str(),
        score: found.score,
    }
}

fn detection(
    exchange: &Exchange<'_>,
    policy: &Arc<ThreatRule>,
    looked: &Looked,
    verdict: ThreatVerdict,
    rules: Vec<DetectedRule>,
) -> DetectionRecord {
    let record = &exchange.record;
    let client = exchange.remote_ip.unwrap_or_else(|| record.source().ip());
    DetectionRecord {
        time: unix_now(),
        policy: Arc::clone(&policy.policy),
        action: verdict.action(),
        score: looked.inspection.score,
        threshold: policy.settings.inbound_threshold,
        more_rules: 0,
        rules,
        source_principal: record.source_principal().map(str::to_owned),
        source_ip: client.to_canonical().to_string(),
        method: exchange.parts.method.to_string(),
        host: exchange.admitted.host().to_string(),
        path: exchange.path.as_str().to_owned(),
    }
}
