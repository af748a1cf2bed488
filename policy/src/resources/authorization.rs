//! AuthorizationPolicy (`security.istio.io/v1`).

use std::sync::Arc;

use super::Resources;
use super::object::{DRY_RUN, ResourceObject};
use super::rules;
use super::selector::{self, MatchLabels};
use super::target::{self, TargetRef};
use crate::rule::Rule;
use crate::yaml::{DiagnosticCode, NodeKind, SourcePosition, YamlReader, YamlValue};
use crate::{Diagnostic, Workload};

/// An AuthorizationPolicy.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthorizationPolicy {
    name: Arc<str>,
    namespace: Arc<str>,
    file: Arc<str>,
    action: PolicyAction,
    dry_run: bool,
    selector: MatchLabels,
    targets: Vec<TargetRef>,
    rules: Vec<Arc<Rule>>,
}

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyAction {
    /// Allows; once any `ALLOW` policy selects a workload, what none allows is refused.
    Allow,
    /// Refuses, before any `ALLOW` policy is asked.
    Deny,
    /// Is only recorded (`AUDIT`).
    Audit,
}

impl AuthorizationPolicy {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn namespace(&self) -> &Arc<str> {
        &self.namespace
    }

    /// What a matching rule does.
    pub fn action(&self) -> PolicyAction {
        self.action
    }

    /// True when it is only judged in shadow (`istio.io/dry-run: "true"`).
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Whether it is about workloads behind Services.
    pub(super) fn has_targets(&self) -> bool {
        !self.targets.is_empty()
    }

    /// True when it is about the workload: in its namespace or the root one, and selected by labels, or behind a
    /// Service the policy targets.
    pub fn selects(&self, workload: &Workload, resources: &Resources) -> bool {
        if !self.targets.is_empty() {
            return self.targets.iter().any(|target| target.selects(workload, resources));
        }
        let root = *self.namespace == *resources.root_namespace();
        (root || *self.namespace == *workload.namespace) && self.selector.matches(&workload.labels)
    }

    /// The file it was read from, as messages call it.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// True when this policy is about every workload that `other` is about, as far as their text tells.
    pub(crate) fn scope_covers(&self, other: &Self, root_namespace: &str) -> bool {
        let namespace = self.namespace == other.namespace || *self.namespace == *root_namespace;
        let hosts = |policy: &Self| policy.targets.iter().map(TargetRef::host).collect::<Vec<_>>();
        let selected = match (self.targets.is_empty(), other.targets.is_empty()) {
            (true, true) => self.selector.covers(&other.selector),
            (true, false) => self.selector.is_empty(),
            (false, _) => hosts(self) == hosts(other),
        };
        namespace && selected
    }

    /// What the policy targets and nobody can resolve.
    pub(super) fn unresolved(&self, resources: &Resources) -> Vec<Diagnostic> {
        let diagnostics = self.targets.iter().filter_map(|target| target.unresolved(resources));
        let name: Arc<str> = format!("AuthorizationPolicy {}", self.name).into();
        diagnostics.map(|diagnostic| diagnostic.within(Arc::clone(&name))).collect()
    }

    pub(crate) fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }
}

pub(super) const ACTIONS: &[(&str, PolicyAction)] =
    &[("ALLOW", PolicyAction::Allow), ("DENY", PolicyAction::Deny), ("AUDIT", PolicyAction::Audit)];

/// Reads the spec. A policy without a spec is `ALLOW` without rules: it allows nothing.
pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
) -> Option<AuthorizationPolicy> {
    let dry_run = object.annotations.map_or(Some(None), |v| read_dry_run(reader, v));
    let spec = match object.spec {
        Some(spec) => read_spec(reader, spec, &object.namespace)?,
        None => AuthorizationSpec {
            action: PolicyAction::Allow,
            selector: MatchLabels::default(),
            targets: Vec::new(),
            rules: Vec::new(),
        },
    };
    if let (PolicyAction::Audit, Some((key, true))) = (spec.action, dry_run.flatten()) {
        let found = format!("the annotation `{DRY_RUN}` beside action AUDIT");
        let fix = "remove it: AUDIT decides nothing, and is noted as it is".to_owned();
        reader.report_with_code(DiagnosticCode::NoEffect, key, found, "one of the two", Some(fix));
    }
    Some(AuthorizationPolicy {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        file: Arc::clone(reader.file()),
        action: spec.action,
        dry_run: dry_run?.is_some_and(|(_, dry_run)| dry_run),
        selector: spec.selector,
        targets: spec.targets,
        rules: spec.rules.into_iter().map(Arc::new).collect(),
    })
}

struct AuthorizationSpec {
    action: PolicyAction,
    selector: MatchLabels,
    targets: Vec<TargetRef>,
    rules: Vec<Rule>,
}

fn read_spec(
    reader: &mut YamlReader,
    spec: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<AuthorizationSpec> {
    let mut map = reader.mapping(spec)?;
    let action = map.take("action").map_or(Some(PolicyAction::Allow), |v| read_action(reader, v));
    let selector =
        map.take("selector").map_or(Some(MatchLabels::default()), |v| selector::read(reader, v));
    let refs = map.take("targetRefs");
    let targets = refs.map_or(Some(Vec::new()), |v| target::read(reader, v, namespace));
    let written = map.take("rules");
    let rules = written.map_or(Some(Vec::new()), |v| rules::read(reader, v, namespace));
    refuse_without_effect(reader, action, written, spec);
    if let Some(value) = map.take_unsupported("provider") {
        let fix = "external providers (CUSTOM) are not supported by this version".to_owned();
        reader.report_with_code(
            DiagnosticCode::Unsupported,
            value.node.mark,
            "`provider`",
            "action, selector, targetRefs or rules",
            Some(fix),
        );
    }
    if let Some(value) = refs.filter(|_| map.has("selector")) {
        reader.report(value.node.mark, "`targetRefs` beside `selector`", "one of the two", None);
    }
    map.finish(reader);
    Some(AuthorizationSpec {
        action: action?,
        selector: selector?,
        targets: targets?,
        rules: rules?,
    })
}

fn read_action(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<PolicyAction> {
    if value.is_text("CUSTOM") {
        let fix = "external providers (CUSTOM) are not supported by this version".to_owned();
        reader.report_value_with_code(
            DiagnosticCode::Unsupported,
            value,
            "ALLOW, DENY or AUDIT",
            Some(fix),
        );
        return None;
    }
    reader.choice(value, ACTIONS)
}

/// ALLOW without rules allows nothing, and says so to everybody. DENY and AUDIT without rules never do anything.
fn refuse_without_effect(
    reader: &mut YamlReader,
    action: Option<PolicyAction>,
    rules: Option<YamlValue<'_>>,
    spec: YamlValue<'_>,
) {
    let (word, fix) = match action {
        Some(PolicyAction::Deny) => {
            ("DENY", "write rules: [{}] to refuse everything, or take the policy out")
        }
        Some(PolicyAction::Audit) => {
            ("AUDIT", "write rules: [{}] to note everything, or take the policy out")
        }
        _ => return,
    };
    let empty = |rules: YamlValue<'_>| matches!(&rules.node.kind, NodeKind::List(items) if items.is_empty());
    if rules.is_none_or(empty) {
        let mark = rules.map_or(spec.node.mark, |rules| rules.node.mark);
        let found = format!("action {word} without rules, which never matches");
        reader.report_with_code(
            DiagnosticCode::NoEffect,
            mark,
            found,
            "at least one rule",
            Some(fix.to_owned()),
        );
    }
}

/// The dry-run annotation: where it stands, and what it says. Without quotes it has been refused already.
fn read_dry_run(
    reader: &mut YamlReader,
    annotations: YamlValue<'_>,
) -> Option<Option<(SourcePosition, bool)>> {
    let Some(value) = annotations.get(DRY_RUN) else { return Some(None) };
    match value.scalar() {
        _ if value.unquoted().is_some() => None,
        Some("true") => Some(Some((value.node.mark, true))),
        Some("false") => Some(Some((value.node.mark, false))),
        _ => {
            reader.report_value(value, "\"true\" or \"false\"", None);
            None
        }
    }
}
