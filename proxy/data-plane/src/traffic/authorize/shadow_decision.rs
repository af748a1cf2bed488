//! What would have been decided otherwise: audit mode, AUDIT policies and dry-run policies.
//!
//! None of these is enforced. They let a policy be tried on live traffic before it is enforced: each is counted
//! (`postern_authorization_decisions_total{decision="would_deny"}`), logged with its request, and shown by `/decisions`
//! and `explain`.

use std::sync::Arc;

use policy::{
    ConnectionFacts, Decider, Denial, DenyReason, HttpFacts, Permit, PermitReason, Snapshot,
};
use serde::Serialize;

/// One decision that is not enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShadowDecision {
    /// `would_deny`, or `would_allow` where a dry-run policy would allow what is refused now.
    pub decision: &'static str,
    /// The source of the decision.
    pub by: ShadowSource,
    /// The reason there would have been.
    pub reason: &'static str,
    /// The policy, `namespace/name`; null where none of its rules matched.
    pub policy: Option<Arc<str>>,
    /// The rule's index; null where none matched.
    pub rule: Option<u32>,
}

/// The sources of decisions that are not enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowSource {
    /// `defaults.authorization: audit`: under `deny` this would have been refused.
    Default,
    /// A policy with `action: AUDIT`: as a DENY policy it would have refused.
    Audit,
    /// Policies with the annotation `istio.io/dry-run: "true"`: enforced, they would decide so.
    DryRun,
}

impl ShadowSource {
    /// The label, also the `policy` label where no rule matched.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Audit => "audit",
            Self::DryRun => "dry_run",
        }
    }
}

impl ShadowDecision {
    fn new(
        decision: &'static str,
        by: ShadowSource,
        reason: &'static str,
        decider: Option<&Decider>,
    ) -> Self {
        let policy = decider.map(|decider| Arc::clone(decider.policy()));
        Self { decision, by, reason, policy, rule: decider.map(Decider::rule) }
    }

    fn deny(by: ShadowSource, reason: &'static str, decider: Option<&Decider>) -> Self {
        Self::new("would_deny", by, reason, decider)
    }
}

/// The decisions that differ from the enforced one; empty, at no cost, when there is no policy in audit or dry-run
/// mode.
pub(super) fn of(
    snapshot: &Snapshot,
    connection: &ConnectionFacts<'_>,
    request: Option<&HttpFacts<'_>>,
    decision: &Result<Permit, Denial>,
) -> Vec<ShadowDecision> {
    let mut found = Vec::new();
    let shadow = || snapshot.shadow(connection, request);
    match decision {
        Ok(permit) => {
            if permit.reason() == PermitReason::DefaultAudit {
                let reason = DenyReason::DefaultDeny.as_str();
                found.push(ShadowDecision::deny(ShadowSource::Default, reason, None));
            }
            if let Some(decider) = snapshot.audited_by(connection, request) {
                found.push(ShadowDecision::deny(
                    ShadowSource::Audit,
                    "policy_audited",
                    Some(&decider),
                ));
            }
            if let Some(Err(denial)) = shadow() {
                let reason = denial.reason().as_str();
                found.push(ShadowDecision::deny(ShadowSource::DryRun, reason, denial.decider()));
            }
        }
        // A dry-run policy does not apply to what the port's mode or the protocol refuses.
        Err(denial) if is_policys_own(denial) => {
            if let Some(Ok(permit)) = shadow() {
                let reason = permit.reason().as_str();
                let decider = permit.decider();
                found.push(ShadowDecision::new(
                    "would_allow",
                    ShadowSource::DryRun,
                    reason,
                    decider,
                ));
            }
        }
        Err(_) => {}
    }
    found
}

fn is_policys_own(denial: &Denial) -> bool {
    !matches!(denial.reason(), DenyReason::PeerNotAuthenticated | DenyReason::ProtocolUndecided)
}
