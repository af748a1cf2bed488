//! Rules without effect, because another rule covers them.

use super::{Finding, LocatedRule, Severity, rules};
use crate::Resources;
use crate::pattern::PatternCoverage;
use crate::resources::PolicyAction;
use crate::rule::{Condition, Operation, Rule, Source};

/// Above this many rules the comparison of each with each is left out: it would take seconds.
pub(super) const MOST_RULES: usize = 3000;

/// Rules that an earlier or wider rule of the same effect covers, and ALLOW rules that a DENY rule covers.
pub(super) fn shadowed(resources: &Resources, findings: &mut Vec<Finding>) {
    let all: Vec<LocatedRule<'_>> = rules(resources).collect();
    if all.len() > MOST_RULES {
        return;
    }
    for (place, at) in all.iter().enumerate() {
        let others = all.iter().enumerate().filter(|(other, _)| *other != place);
        let by = others.filter(|(other, cover)| hides(cover, at, *other < place, resources));
        // A DENY that takes an ALLOW away matters more than a repetition.
        let by = by
            .map(|(_, cover)| cover)
            .min_by_key(|cover| cover.policy.action() != PolicyAction::Deny);
        let Some(cover) = by else { continue };
        let name = format!("{} rule {}", cover.policy.name(), cover.index);
        findings.push(match (at.policy.action(), cover.policy.action()) {
            (PolicyAction::Allow, PolicyAction::Deny) => at.finding(
                Severity::Warning,
                "shadowed_rule",
                format!("{name} denies all that it allows: it has no effect"),
                "remove it, or narrow the DENY rule",
            ),
            _ => at.finding(
                Severity::Warning,
                "shadowed_rule",
                format!("{name} matches all that it matches: it has no effect"),
                "remove it, or narrow the other",
            ),
        });
    }
}

/// True when `cover` matches all that `at` matches. Of two equal rules the later one is hidden.
fn hides(
    cover: &LocatedRule<'_>,
    at: &LocatedRule<'_>,
    is_earlier: bool,
    resources: &Resources,
) -> bool {
    let (own, other) = (cover.policy.action(), at.policy.action());
    let effect = own == other || (own == PolicyAction::Deny && other == PolicyAction::Allow);
    effect
        && cover.policy.is_dry_run() == at.policy.is_dry_run()
        && cover.policy.scope_covers(at.policy, resources.root_namespace())
        && cover.rule.covers(at.rule)
        && (is_earlier || own != other || !is_mutual(cover, at, resources))
}

fn is_mutual(cover: &LocatedRule<'_>, at: &LocatedRule<'_>, resources: &Resources) -> bool {
    at.policy.scope_covers(cover.policy, resources.root_namespace()) && at.rule.covers(cover.rule)
}

impl PatternCoverage for Rule {
    fn covers(&self, other: &Self) -> bool {
        alternatives_cover(&self.from, &other.from)
            && alternatives_cover(&self.to, &other.to)
            && self.when.iter().all(|own| other.when.iter().any(|theirs| own.covers(theirs)))
    }
}

/// Each alternative of the other side is within one of ours; none at all restricts nothing.
pub(super) fn alternatives_cover<T: PatternCoverage>(own: &[T], other: &[T]) -> bool {
    let within = |theirs: &T| own.iter().any(|own| own.covers(theirs));
    own.is_empty() || (!other.is_empty() && other.iter().all(within))
}

impl PatternCoverage for Source {
    fn covers(&self, other: &Self) -> bool {
        self.principals.covers(&other.principals)
            && self.request_principals.covers(&other.request_principals)
            && self.namespaces.covers(&other.namespaces)
            && self.service_accounts.covers(&other.service_accounts)
            && self.trust_domains.covers(&other.trust_domains)
            && self.ip_blocks.covers(&other.ip_blocks)
            && self.remote_ip_blocks.covers(&other.remote_ip_blocks)
    }
}

impl PatternCoverage for Operation {
    fn covers(&self, other: &Self) -> bool {
        self.hosts.covers(&other.hosts)
            && self.ports.covers(&other.ports)
            && self.methods.covers(&other.methods)
            && self.paths.covers(&other.paths)
    }
}

impl PatternCoverage for Condition {
    fn covers(&self, other: &Self) -> bool {
        use Condition as C;
        match (self, other) {
            (C::Header(name, own), C::Header(theirs, field)) => name == theirs && own.covers(field),
            (C::TokenClaim(path, own), C::TokenClaim(theirs, field)) => {
                path == theirs && own.covers(field)
            }
            (C::ApiKey(part, own), C::ApiKey(theirs, field)) => part == theirs && own.covers(field),
            (C::SourceIp(own), C::SourceIp(field))
            | (C::RemoteIp(own), C::RemoteIp(field))
            | (C::DestinationIp(own), C::DestinationIp(field)) => own.covers(field),
            (C::SourceNamespace(own), C::SourceNamespace(field))
            | (C::SourceTrustDomain(own), C::SourceTrustDomain(field))
            | (C::TokenAudiences(own), C::TokenAudiences(field))
            | (C::TokenPresenter(own), C::TokenPresenter(field))
            | (C::Sni(own), C::Sni(field)) => own.covers(field),
            (C::SourcePrincipal(own), C::SourcePrincipal(field)) => own.covers(field),
            (C::SourceServiceAccount(own), C::SourceServiceAccount(field)) => own.covers(field),
            (C::TokenPrincipal(own), C::TokenPrincipal(field)) => own.covers(field),
            (C::DestinationPort(own), C::DestinationPort(field)) => own.covers(field),
            _ => false,
        }
    }
}
