//! What is wrong with the rule sets that ThreatPolicies name.

use std::collections::BTreeSet;
use std::sync::Arc;

use data_plane::control::rule_sets::{RuleSetProblem, load};
use policy::threat::RuleSetSource;
use policy::yaml::SourcePosition;
use policy::{Diagnostic, Resources};

/// Every mistake of every rule set. Where there is no configuration, those that are not on this machine are on another one.
pub(super) fn problems(resources: &Resources, is_configured: bool) -> Vec<Diagnostic> {
    let named = resources.threat_policies().iter().map(|policy| &policy.settings().rule_set);
    let named: BTreeSet<_> = named.filter(|source| is_configured || is_here(source)).collect();
    let refused = named.into_iter().filter_map(|source| load(source).err());
    refused.flatten().map(|problem| diagnostic(&problem)).collect()
}

/// Policies that name files of a gateway of this namespace, and are of another one.
pub(super) fn foreign(resources: &Resources, gateway: &str) -> Vec<Diagnostic> {
    let all = resources.threat_policies().iter();
    let foreign = all.filter(|policy| !policy.settings().may_name_rules(policy.name(), gateway));
    let problem = |name: &str| {
        let object: Arc<str> = format!("ThreatPolicy {name}").into();
        let found =
            format!("ThreatPolicy {name} names files, at a gateway of the namespace {gateway}");
        let fix = Some("write `ruleSet: builtin`".to_owned());
        Diagnostic::new(&object, SourcePosition::FILE, found, "rules of the gateway's own", fix)
    };
    foreign.map(|policy| problem(policy.name())).collect()
}

fn is_here(source: &RuleSetSource) -> bool {
    match source {
        RuleSetSource::Builtin => true,
        RuleSetSource::Files { path, .. } => path.exists(),
    }
}

fn diagnostic(problem: &RuleSetProblem) -> Diagnostic {
    let file: Arc<str> = problem.file.display().to_string().into();
    let mark = match problem.line {
        0 => SourcePosition::FILE,
        line => SourcePosition { line, column: 1 },
    };
    let found = match problem.rule {
        Some(rule) => format!("rule {rule}: {}", problem.message),
        None => problem.message.clone(),
    };
    let fix = "or list the rule among the ThreatPolicy's `ruleSet.allowUnsupported`".to_owned();
    let fix = problem.rule.map(|_| fix);
    Diagnostic::new(&file, mark, found, "a rule set that can be read whole", fix)
}
