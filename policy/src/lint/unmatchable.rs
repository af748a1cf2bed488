//! Rules whose `not` field excludes all that they name: they can never match.

use super::{Finding, LocatedRule, Severity};
use crate::pattern::{FieldPatterns, PatternCoverage};
use crate::rule::{Condition, Operation, Source};

/// Rules none of whose sources, or none of whose operations, or one of whose conditions, is left anything by its own
/// `not` field.
pub(super) fn matching(at: LocatedRule<'_>, findings: &mut Vec<Finding>) {
    let allows = at.allows();
    let all = |fields: Vec<Option<&'static str>>| fields.into_iter().collect::<Option<Vec<_>>>();
    let sources = all(at.rule.from.iter().map(|source| source.void(allows)).collect());
    let operations = all(at.rule.to.iter().map(|operation| operation.void(allows)).collect());
    let parts = [sources, operations].into_iter().flatten().flatten().next().map(str::to_owned);
    let conditions = || at.rule.when.iter().find(|condition| condition.is_void(allows));
    let Some(field) = parts.or_else(|| conditions().map(Condition::key)) else { return };
    findings.push(at.finding(
        Severity::Warning,
        "never_matches",
        format!("what it names in {field} it takes away again: it never matches"),
        "narrow the `not` field, or take the rule out",
    ));
}

/// True when nothing that is wanted is left.
fn nothing_left<T: PatternCoverage>(field: &FieldPatterns<T>) -> bool {
    let taken = |wanted: &T| field.none_of.iter().any(|not| not.covers(wanted));
    !field.any_of.is_empty() && field.any_of.iter().all(taken)
}

/// The first that is true, by its name.
fn first(fields: &[(&'static str, bool)]) -> Option<&'static str> {
    fields.iter().find(|(_, void)| *void).map(|(name, _)| *name)
}

impl Source {
    /// The field that leaves nothing. A rule that denies takes what it cannot be sure of (opaque bytes, the client
    /// behind a hop) as matching, so of such fields it is said for rules that allow alone.
    fn void(&self, allows: bool) -> Option<&'static str> {
        first(&[
            ("principals", nothing_left(&self.principals)),
            ("namespaces", nothing_left(&self.namespaces)),
            ("serviceAccounts", nothing_left(&self.service_accounts)),
            ("trustDomains", nothing_left(&self.trust_domains)),
            ("ipBlocks", nothing_left(&self.ip_blocks)),
            ("remoteIpBlocks", allows && nothing_left(&self.remote_ip_blocks)),
            ("requestPrincipals", allows && nothing_left(&self.request_principals)),
        ])
    }
}

impl Operation {
    fn void(&self, allows: bool) -> Option<&'static str> {
        first(&[
            ("ports", nothing_left(&self.ports)),
            ("methods", allows && nothing_left(&self.methods)),
            ("hosts", allows && nothing_left(&self.hosts)),
            ("paths", allows && nothing_left(&self.paths)),
        ])
    }
}

impl Condition {
    fn is_void(&self, allows: bool) -> bool {
        match self {
            Self::SourceIp(field) | Self::DestinationIp(field) => nothing_left(field),
            Self::SourceNamespace(field) | Self::SourceTrustDomain(field) | Self::Sni(field) => {
                nothing_left(field)
            }
            Self::SourcePrincipal(field) => nothing_left(field),
            Self::SourceServiceAccount(field) => nothing_left(field),
            Self::DestinationPort(field) => nothing_left(field),
            Self::RemoteIp(field) => allows && nothing_left(field),
            Self::TokenPrincipal(field) => allows && nothing_left(field),
            Self::Header(_, field)
            | Self::TokenAudiences(field)
            | Self::TokenPresenter(field)
            | Self::TokenClaim(_, field) => allows && nothing_left(field),
        }
    }
}
