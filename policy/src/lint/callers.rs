//! Findings about who is let in.

use identity::SpiffeId;

use super::{Finding, LintContext, LocatedRule, Severity, rules};
use crate::Resources;
use crate::evaluate::namespace_matches;
use crate::pattern::{IdPattern, TextPattern};
use crate::rule::{Condition, Rule, Source};

/// ALLOW rules that let in everybody, any workload, or callers without identity.
pub(super) fn open_to_all(at: LocatedRule<'_>, findings: &mut Vec<Finding>) {
    if !at.allows() {
        return;
    }
    let rule = at.rule;
    if rule.from.is_empty() && rule.to.is_empty() && rule.when.is_empty() {
        let found = "an empty rule allows everything to everybody".to_owned();
        findings.push(at.finding(
            Severity::Warning,
            "allow_all",
            found,
            "name the callers and what they may do",
        ));
        return;
    }
    if !names_callers(rule) {
        let found = "no caller is named: any trusted workload may do this, and on a PERMISSIVE or DISABLE port anybody";
        findings.push(at.finding(
            Severity::Warning,
            "unauthenticated_allow",
            found.to_owned(),
            "add `from` with the principals that need it",
        ));
    }
    for (wide, what) in rule.from.iter().filter_map(wildcard) {
        let found = format!("the caller `{wide}` is {what}");
        findings.push(at.finding(
            Severity::Warning,
            "wildcard_principal",
            found,
            "name the principals that need it",
        ));
    }
}

/// True when no caller gets in without having proved some identity, its own or a token's.
fn names_callers(rule: &Rule) -> bool {
    let by_source = !rule.from.is_empty() && rule.from.iter().all(Source::names_caller);
    by_source || rule.when.iter().any(Condition::names_caller)
}

impl Source {
    fn names_caller(&self) -> bool {
        !self.principals.any_of.is_empty()
            || !self.namespaces.any_of.is_empty()
            || !self.service_accounts.any_of.is_empty()
            || !self.trust_domains.any_of.is_empty()
            || !self.request_principals.any_of.is_empty()
    }
}

impl Condition {
    fn names_caller(&self) -> bool {
        match self {
            Self::SourceNamespace(field) | Self::SourceTrustDomain(field) => {
                !field.any_of.is_empty()
            }
            Self::SourcePrincipal(field) => !field.any_of.is_empty(),
            Self::SourceServiceAccount(field) => !field.any_of.is_empty(),
            Self::TokenPrincipal(field) => !field.any_of.is_empty(),
            Self::TokenClaim(_, field)
            | Self::TokenAudiences(field)
            | Self::TokenPresenter(field)
            | Self::ApiKey(_, field) => !field.any_of.is_empty(),
            _ => false,
        }
    }
}

/// The first caller of a source that stands for workloads nobody has listed, and for which.
fn wildcard(source: &Source) -> Option<(String, &'static str)> {
    let listed = |texts: &[TextPattern]| {
        !texts.is_empty() && texts.iter().all(|text| *text != TextPattern::Present)
    };
    let by_domain = listed(&source.trust_domains.any_of);
    let narrowed = by_domain || listed(&source.namespaces.any_of);
    let wide = |id: &IdPattern| match id {
        IdPattern::Any if !narrowed => Some("any workload of any trusted domain"),
        IdPattern::Suffix(_) if !by_domain => Some("taken from any trusted domain"),
        _ => None,
    };
    let principals = &source.principals.any_of;
    let by_name = principals.iter().find_map(|id| Some((id.to_string(), wide(id)?)));
    let open = principals.is_empty() && source.service_accounts.any_of.is_empty() && !narrowed;
    let texts = source.namespaces.any_of.iter().chain(&source.trust_domains.any_of);
    let by_text = texts.into_iter().find(|_| open);
    by_name.or_else(|| Some((by_text?.to_string(), "any workload of any trusted domain")))
}

/// Rules whose callers are none of the workloads that ServiceEntries know. Silent when they know none.
pub(super) fn unknown(
    resources: &Resources,
    context: &LintContext<'_>,
    findings: &mut Vec<Finding>,
) {
    let mut known: Vec<SpiffeId> = resources
        .service_entries()
        .iter()
        .flat_map(|entry| entry.services_in(context.trust_domain))
        .flat_map(|service| service.identities.to_vec())
        .collect();
    if known.is_empty() {
        return;
    }
    let workload = context.workload;
    known.extend(SpiffeId::workload(
        context.trust_domain,
        &workload.namespace,
        &workload.service_account,
    ));
    for at in rules(resources) {
        let sources = &at.rule.from;
        let nobody = !sources.is_empty()
            && sources.iter().all(|source| {
                source.names_workload(context.trust_domain.as_str())
                    && !known.iter().any(|id| source.takes(id))
            });
        if nobody {
            let found = "no workload that a ServiceEntry knows is among its callers".to_owned();
            let fix = "correct the name; fine for a workload that only calls and serves nothing";
            findings.push(at.finding(Severity::Notice, "unknown_caller", found, fix));
        }
    }
}

impl Source {
    /// True when it names workloads of our own trust domain, so that they could be known.
    fn names_workload(&self, trust_domain: &str) -> bool {
        let foreign = |id: &IdPattern| match id {
            IdPattern::Exact(id) => id.trust_domain() != trust_domain,
            IdPattern::Prefix { trust_domain: theirs, .. } => theirs.as_str() != trust_domain,
            IdPattern::Any | IdPattern::Suffix(_) => false,
        };
        let named = !self.principals.any_of.is_empty()
            || !self.namespaces.any_of.is_empty()
            || !self.service_accounts.any_of.is_empty();
        named && self.trust_domains.is_empty() && !self.principals.any_of.iter().any(foreign)
    }

    /// True when the identity is one it names.
    fn takes(&self, id: &SpiffeId) -> bool {
        self.principals.holds(|pattern| pattern.matches(id))
            && self.namespaces.holds(|text| namespace_matches(text, id))
            && self.service_accounts.holds(|account| account.matches(id))
    }
}
