//! What the authorizer answers.
//!
//! A [`Permit`] is a value only this crate can make: code that forwards bytes to an app asks for one, and so cannot
//! forget the check (ARCHITECTURE, invariant 1).

use std::fmt;
use std::sync::Arc;

/// The policy rule that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decider {
    policy: Arc<str>,
    rule: u32,
}

impl Decider {
    pub(crate) fn new(policy: Arc<str>, rule: u32) -> Self {
        Self { policy, rule }
    }

    /// The policy's name, `namespace/name`.
    pub fn policy(&self) -> &Arc<str> {
        &self.policy
    }

    /// The rule's place in the policy's `rules`, from 0.
    pub fn rule(&self) -> u32 {
        self.rule
    }
}

/// Permission to hand a connection or a request to the app. Made by [`crate::Snapshot`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a permit that nothing asks for is a check that guards nothing"]
pub struct Permit {
    reason: PermitReason,
    decider: Option<Decider>,
}

impl Permit {
    pub(crate) fn by_rule(decider: Decider) -> Self {
        Self { reason: PermitReason::PolicyAllowed, decider: Some(decider) }
    }

    pub(crate) fn by_default(reason: PermitReason) -> Self {
        Self { reason, decider: None }
    }

    /// Why it was allowed.
    pub fn reason(&self) -> PermitReason {
        self.reason
    }

    /// The rule that allowed it; `None` when the default decided.
    pub fn decider(&self) -> Option<&Decider> {
        self.decider.as_ref()
    }

    /// The deciding policy, `namespace/name`; `None` when the default decided.
    pub fn policy(&self) -> Option<&Arc<str>> {
        self.decider.as_ref().map(Decider::policy)
    }

    /// The deciding rule's index; `None` when the default decided.
    pub fn rule(&self) -> Option<u32> {
        self.decider.as_ref().map(Decider::rule)
    }
}

/// Why a connection or request was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PermitReason {
    /// A rule of an `ALLOW` policy matched.
    PolicyAllowed,
    /// No `ALLOW` policy selects the workload and the default is `allow`.
    DefaultAllow,
    /// No `ALLOW` policy selects the workload and the default is `audit`: would be refused under `deny`.
    DefaultAudit,
}

impl PermitReason {
    /// The stable code for logs, metrics and `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicyAllowed => "policy_allowed",
            Self::DefaultAllow => "default_allow",
            Self::DefaultAudit => "default_audit",
        }
    }
}

/// A refusal: why, and by which rule when a rule decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    reason: DenyReason,
    decider: Option<Decider>,
}

impl Denial {
    pub(crate) fn by_rule(decider: Decider) -> Self {
        Self { reason: DenyReason::PolicyDenied, decider: Some(decider) }
    }

    pub(crate) fn because(reason: DenyReason) -> Self {
        Self { reason, decider: None }
    }

    /// Why it was refused.
    pub fn reason(&self) -> DenyReason {
        self.reason
    }

    /// The rule that refused it; `None` when no rule did.
    pub fn decider(&self) -> Option<&Decider> {
        self.decider.as_ref()
    }

    /// The deciding policy, `namespace/name`; `None` when no rule decided.
    pub fn policy(&self) -> Option<&Arc<str>> {
        self.decider.as_ref().map(Decider::policy)
    }

    /// The deciding rule's index; `None` when no rule decided.
    pub fn rule(&self) -> Option<u32> {
        self.decider.as_ref().map(Decider::rule)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.decider {
            Some(decider) => {
                write!(f, "{} by {} rule {}", self.reason.as_str(), decider.policy, decider.rule)
            }
            None => f.write_str(self.reason.as_str()),
        }
    }
}

impl std::error::Error for Denial {}

/// Why a connection or request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// A rule of a `DENY` policy matched.
    PolicyDenied,
    /// `ALLOW` policies select the workload and no rule of theirs matched.
    NoMatchingAllow,
    /// No `ALLOW` policy selects the workload and the default is `deny`.
    DefaultDeny,
    /// The port's mode is `STRICT` and the peer showed no identity.
    PeerNotAuthenticated,
    /// The bytes are no HTTP, on a port that is declared HTTP or whose rules speak of it.
    ProtocolUndecided,
}

impl DenyReason {
    /// The stable code for `x-postern-reason`, logs, metrics and `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicyDenied => "policy_denied",
            Self::NoMatchingAllow => "no_matching_allow",
            Self::DefaultDeny => "default_deny",
            Self::PeerNotAuthenticated => "peer_not_authenticated",
            Self::ProtocolUndecided => "protocol_undecided",
        }
    }
}

/// What is known about a connection before its first request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionVerdict {
    /// Whatever the connection carries, opaque bytes or any request, is allowed.
    Allow(Permit),
    /// Nothing the connection could carry would be allowed: close it now.
    Deny(Denial),
    /// It depends on what it carries: decide the opaque connection, or each request.
    Undecided,
}
