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

/// The field by which none of these sources is left anything.
pub(super) fn void_source(sources: &[Source], allows: bool) -> Option<&'static str> {
    let fields: Option<Vec<_>> = sources.iter().map(|source| source.void(allows)).collect();
    fields?.first().copied()
}

/// True when nothing that is wanted is left.
fn excludes_everything<T: PatternCoverage>(field: &FieldPatterns<T>) -> bool {
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
            ("principals", excludes_everything(&self.principals)),
            ("namespaces", excludes_everything(&self.namespaces)),
            ("serviceAccounts", excludes_everything(&self.service_accounts)),
            ("trustDomains", excludes_everything(&self.trust_domains)),
            ("ipBlocks", excludes_everything(&self.ip_blocks)),
            ("remoteIpBlocks", allows && excludes_everything(&self.remote_ip_blocks)),
            ("requestPrincipals", allows && excludes_everything(&self.request_principals)),
        ])
    }
}

impl Operation {
    fn void(&self, allows: bool) -> Option<&'static str> {
        first(&[
            ("ports", excludes_everything(&self.ports)),
            ("methods", allows && excludes_everything(&self.methods)),
            ("hosts", allows && excludes_everything(&self.hosts)),
            ("paths", allows && excludes_everything(&self.paths)),
        ])
    }
}

impl Condition {
    fn is_void(&self, allows: bool) -> bool {
        match self {
            Self::SourceIp(field) | Self::DestinationIp(field) => excludes_everything(field),
            Self::SourceNamespace(field) | Self::SourceTrustDomain(field) | Self::Sni(field) => {
                excludes_everything(field)
            }
            Self::SourcePrincipal(field) => excludes_everything(field),
            Self::SourceServiceAccount(field) => excludes_everything(field),
            Self::DestinationPort(field) => excludes_everything(field),
            Self::RemoteIp(field) => allows && excludes_everything(field),
            Self::TokenPrincipal(field) => allows && excludes_everything(field),
            Self::Header(_, field)
            | Self::TokenAudiences(field)
            | Self::TokenPresenter(field)
            | Self::TokenClaim(_, field)
            | Self::ApiKey(_, field) => allows && excludes_everything(field),
        }
    }
}
