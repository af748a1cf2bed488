//! Findings about who is let in.

use identity::{SpiffeId, TrustDomain};

use super::{Finding, LintContext, LocatedRule, Severity, rules};
use crate::evaluate::namespace_matches;
use crate::pattern::{IdPattern, TextPattern};
use crate::rule::{Condition, Rule, Source};
use crate::{Resources, Workload};

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
pub(super) fn wildcard(source: &Source) -> Option<(String, &'static str)> {
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

/// The workloads that ServiceEntries know, and this one; nobody is unknown where they know none.
pub(super) struct KnownCallers {
    ids: Vec<SpiffeId>,
    trust_domain: TrustDomain,
}

impl KnownCallers {
    pub(super) fn of(resources: &Resources, context: &LintContext<'_>) -> Self {
        let mut ids: Vec<SpiffeId> = resources
            .service_entries()
            .iter()
            .flat_map(|entry| entry.services_in(context.trust_domain))
            .flat_map(|service| service.identities.to_vec())
            .collect();
        let Workload { namespace, service_account, .. } = context.workload;
        if !ids.is_empty() {
            ids.extend(SpiffeId::workload(context.trust_domain, namespace, service_account));
        }
        Self { ids, trust_domain: context.trust_domain.clone() }
    }

    /// Whether the sources name workloads, and none of the known.
    pub(super) fn is_nobody(&self, sources: &[Source]) -> bool {
        !self.ids.is_empty()
            && !sources.is_empty()
            && sources.iter().all(|source| {
                source.names_workload(self.trust_domain.as_str())
                    && !self.ids.iter().any(|id| source.takes(id))
            })
    }
}

/// Rules whose callers are none of the workloads that ServiceEntries know. Silent when they know none.
pub(super) fn unknown(resources: &Resources, known: &KnownCallers, findings: &mut Vec<Finding>) {
    for at in rules(resources).filter(|at| known.is_nobody(&at.rule.from)) {
        let found = "no workload that a ServiceEntry knows is among its callers".to_owned();
        let fix = "correct the name; fine for a workload that only calls and serves nothing";
        findings.push(at.finding(Severity::Notice, "unknown_caller", found, fix));
    }
}

/// Whether nobody is such a source without having proved some identity.
pub(super) fn names_caller(source: &Source) -> bool {
    source.names_caller()
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
