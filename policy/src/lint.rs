//! What is well formed and probably not meant: rules that are redundant, let in too many, or can never match.
//!
//! A mistake is refused when resources are read; a finding is only reported. What a finding says of a rule holds; that
//! there is no finding proves nothing.

mod callers;
mod ports;
mod shadow;
mod topics;
mod unmatchable;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;

use callers::KnownCallers;
use identity::TrustDomain;
use serde::Serialize;

use crate::resources::{AuthorizationPolicy, PolicyAction};
use crate::rule::Rule;
use crate::{DefaultAuthorization, PolicyDefaults, Protocol, Resources, Workload};

/// What is known besides the resources.
#[derive(Debug, Clone, Copy)]
pub struct LintContext<'a> {
    /// The workload beside the proxy, for findings about its ports.
    pub workload: &'a Workload,
    /// What holds where no resource says otherwise.
    pub defaults: &'a PolicyDefaults,
    /// The workload's trust domain.
    pub trust_domain: &'a TrustDomain,
    /// What the workload's ports are declared to speak.
    pub ports: &'a BTreeMap<u16, Protocol>,
    /// Whether connections to ports that are not declared reach the app.
    pub undeclared_ports: bool,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// More may be allowed, or less may be protected, than the writer thinks.
    Warning,
    /// Worth knowing; often meant.
    Notice,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The stable name of what was found.
    pub code: &'static str,
    /// The policy, `namespace/name`; null for a finding about the configuration.
    pub policy: Option<Arc<str>>,
    /// The rule's place in the policy's `rules`, from 0; null for the policy as a whole.
    pub rule: Option<u32>,
    /// Where it stands: file, line and column; null for a finding about the configuration.
    pub place: Option<String>,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub fix: String,
}

/// Everything there is to say, the gravest first, then in the order of policies and rules.
pub fn lint(resources: &Resources, context: &LintContext<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    default_allows(context, &mut findings);
    ports::forwarded_identity(context, &mut findings);
    for at in rules(resources) {
        callers::open_to_all(at, &mut findings);
        unmatchable::matching(at, &mut findings);
        ports::http_on_opaque_ports(at, resources, context, &mut findings);
    }
    let known = KnownCallers::of(resources, context);
    callers::unknown(resources, &known, &mut findings);
    topics::all(resources, context, &known, &mut findings);
    shadow::shadowed(resources, &mut findings);
    users::mixed(resources, context, &mut findings);
    findings.sort_by(|a, b| {
        (a.severity, &a.policy, a.rule, a.code).cmp(&(b.severity, &b.policy, b.rule, b.code))
    });
    findings
}

/// A rule and where it stands.
#[derive(Clone, Copy)]
struct LocatedRule<'r> {
    policy: &'r AuthorizationPolicy,
    index: u32,
    rule: &'r Rule,
}

fn rules(resources: &Resources) -> impl Iterator<Item = LocatedRule<'_>> {
    resources.authorization_policies().iter().flat_map(|policy| {
        let rules = (0u32..).zip(policy.rules());
        rules.map(move |(index, rule)| LocatedRule { policy, index, rule })
    })
}

impl LocatedRule<'_> {
    fn finding(
        &self,
        severity: Severity,
        code: &'static str,
        found: String,
        fix: impl Into<String>,
    ) -> Finding {
        let mark = self.rule.mark;
        Finding {
            severity,
            code,
            policy: Some(Arc::clone(self.policy.name())),
            rule: Some(self.index),
            place: Some(format!("{}:{}:{}", self.policy.file(), mark.line, mark.column)),
            found,
            fix: fix.into(),
        }
    }

    fn allows(&self) -> bool {
        self.policy.action() == PolicyAction::Allow
    }
}

fn default_allows(context: &LintContext<'_>, findings: &mut Vec<Finding>) {
    let (word, severity) = match context.defaults.authorization {
        DefaultAuthorization::Deny => return,
        DefaultAuthorization::Audit => ("audit", Severity::Notice),
        DefaultAuthorization::Allow => ("allow", Severity::Warning),
    };
    findings.push(Finding {
        severity,
        code: "default_allows",
        policy: None,
        rule: None,
        place: None,
        found: format!(
            "defaults.authorization is {word}: a workload that no ALLOW policy selects takes every caller"
        ),
        fix: "set it to deny once its policies are written".to_owned(),
    });
}

#[cfg(test)]
mod tests;
