//! The latest decisions, for a person who asks "who was refused just now, and by which rule?".

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::{ConnectionFacts, Decider, NearestMiss};
use serde::Serialize;

use crate::traffic::authorize::{AuthorizationVerdict, RequestFacts, ShadowDecision};
use crate::traffic::recent_records::{RecentRecords, RecordSize};

/// One decision, as `GET /decisions` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionRecord {
    /// Unix seconds.
    pub time: u64,
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The stable reason.
    pub reason: &'static str,
    /// The deciding policy, or null when the default decided.
    pub policy: Option<Arc<str>>,
    /// The deciding rule's index, or null.
    pub rule: Option<u32>,
    /// Who called, without `spiffe://`; null in plaintext.
    pub source_principal: Option<String>,
    /// The caller's address.
    pub source_ip: String,
    /// The app's address.
    pub destination: String,
    /// The server name of the caller's TLS, where it named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The method; null for opaque bytes.
    pub method: Option<String>,
    /// The host, with a port that is not the default one; null for opaque bytes.
    pub host: Option<String>,
    /// The canonical path without query; null for opaque bytes.
    pub path: Option<String>,
    /// The operation at a broker, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<DecidedMessage>,
    /// After a refusal because no rule matched: the rule that came nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestMiss>,
    /// What policies that are not enforced would have decided otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would: Vec<ShadowDecision>,
}

/// An operation at a broker, in the fields that `explain` takes.
#[derive(Debug, Clone, Serialize)]
pub struct DecidedMessage {
    /// The protocol.
    pub protocol: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// What it names: `topic`, `group`, and so on.
    #[serde(flatten)]
    pub names: BTreeMap<&'static str, Box<str>>,
    /// Whether it answers a message that was just delivered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reply: bool,
}

impl DecisionRecord {
    /// The entry of a verdict; `request_facts` is `None` for an opaque connection.
    #[must_use]
    pub fn new(
        time: u64,
        connection: &ConnectionFacts<'_>,
        request_facts: Option<&RequestFacts<'_>>,
        verdict: &AuthorizationVerdict,
    ) -> Self {
        Self {
            time,
            decision: verdict.decision_label(),
            reason: verdict.reason(),
            policy: verdict.decider().map(|d| Arc::clone(d.policy())),
            rule: verdict.decider().map(Decider::rule),
            source_principal: connection.peer.map(|id| id.without_scheme().to_owned()),
            source_ip: connection.source_ip.to_canonical().to_string(),
            destination: connection.destination.to_string(),
            sni: connection.sni.map(str::to_owned),
            method: request_facts.map(|request_facts| request_facts.method.to_string()),
            host: request_facts.map(|request_facts| request_facts.host.to_string()),
            path: request_facts.map(|request_facts| request_facts.path.as_str().to_owned()),
            message: None,
            nearest: verdict.nearest.clone(),
            would: verdict.shadow.clone(),
        }
    }
}

/// Only what a caller can make long is counted: names, path and method.
impl RecordSize for DecisionRecord {
    fn bytes(&self) -> usize {
        let texts = [&self.sni, &self.method, &self.host, &self.path, &self.source_principal];
        let names = self.message.iter().flat_map(|message| message.names.values());
        size_of::<Self>()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
            + names.map(|name| name.len()).sum::<usize>()
    }
}

/// A window over refusals, connection verdicts, and requests that a policy in audit or dry-run mode would have decided
/// otherwise; the oldest are dropped.
pub type RecentDecisions = RecentRecords<DecisionRecord>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::recent_records::AVERAGE;

    fn decision(time: u64, path: usize) -> DecisionRecord {
        DecisionRecord {
            time,
            decision: "deny",
            reason: "default_deny",
            policy: None,
            rule: None,
            source_principal: None,
            source_ip: "10.0.0.7".to_owned(),
            destination: "10.0.0.9:8080".to_owned(),
            sni: None,
            method: Some("GET".to_owned()),
            host: Some("cart".to_owned()),
            path: Some("x".repeat(path)),
            message: None,
            nearest: None,
            would: Vec::new(),
        }
    }

    #[test]
    fn s48_long_paths_make_the_window_shorter_not_larger() {
        let check =
            |name: &str, size: usize, path: usize, expect: std::ops::RangeInclusive<usize>| {
                let window = RecentDecisions::new(size);
                (0..1000).for_each(|time| window.add(decision(time, path)));
                let kept = window.recent();
                assert!(expect.contains(&kept.len()), "{name}: {}", kept.len());
                assert!(kept.first().is_none_or(|newest| newest.time == 999), "{name}");
                let bytes: usize = kept.iter().map(DecisionRecord::bytes).sum();
                assert!(kept.len() <= 1 || bytes <= size * AVERAGE, "{name}: {bytes}");
            };
        check("ordinary paths", 64, 20, 64..=64);
        check("paths as long as they may be", 64, 60_000, 1..=1);
        check("long paths", 64, 4000, 10..=16);
        check("one that is longer than all should be", 2, 60_000, 1..=1);
        check("no window", 0, 20, 0..=0);
    }
}
