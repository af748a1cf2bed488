//! AuthorizationPolicy (`security.istio.io/v1`).

use std::sync::Arc;

use super::object::Object;
use super::rules;
use super::selector::{self, Selector};
use crate::Workload;
use crate::rule::Rule;
use crate::yaml::{Reader, Value};

/// An AuthorizationPolicy.
#[derive(Debug, Clone)]
pub struct AuthorizationPolicy {
    name: Arc<str>,
    namespace: Arc<str>,
    action: Action,
    dry_run: bool,
    selector: Selector,
    rules: Vec<Arc<Rule>>,
}

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Allows; once any `ALLOW` policy selects a workload, what none allows is refused.
    Allow,
    /// Refuses, before any `ALLOW` policy is asked.
    Deny,
    /// Is only noted.
    Audit,
}

impl AuthorizationPolicy {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What a matching rule does.
    pub fn action(&self) -> Action {
        self.action
    }

    /// True when it is only judged in shadow (`istio.io/dry-run: "true"`).
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        scope && self.selector.matches(&workload.labels)
    }

    pub(crate) fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }
}

const ACTIONS: &[(&str, Option<Action>)] = &[
    ("ALLOW", Some(Action::Allow)),
    ("DENY", Some(Action::Deny)),
    ("AUDIT", Some(Action::Audit)),
    ("CUSTOM", None),
];

/// Keys of Istio's that this version does not read, and what to do instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    (
        "targetRefs",
        "select workloads with selector.matchLabels; targetRefs are not supported by this version",
    ),
    (
        "targetRef",
        "select workloads with selector.matchLabels; targetRef is not supported by this version",
    ),
    ("provider", "external providers (CUSTOM) are not supported by this version"),
];

/// Reads the spec. A policy without a spec is `ALLOW` without rules: it allows nothing.
pub(super) fn read(reader: &mut Reader, object: &Object<'_>) -> Option<AuthorizationPolicy> {
    let dry_run = object.annotations.map_or(Some(false), |v| read_dry_run(reader, v));
    let (action, selector, rules) = match object.spec {
        Some(spec) => read_spec(reader, spec, &object.namespace)?,
        None => (Action::Allow, Selector::default(), Vec::new()),
    };
    Some(AuthorizationPolicy {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        action,
        dry_run: dry_run?,
        selector,
        rules: rules.into_iter().map(Arc::new).collect(),
    })
}

fn read_spec(
    reader: &mut Reader,
    spec: Value<'_>,
    namespace: &str,
) -> Option<(Action, Selector, Vec<Rule>)> {
    let mut map = reader.mapping(spec)?;
    let action = map.take("action").map_or(Some(Action::Allow), |v| read_action(reader, v));
    let selector =
        map.take("selector").map_or(Some(Selector::default()), |v| selector::read(reader, v));
    let rules = map.take("rules").map_or(Some(Vec::new()), |v| rules::read(reader, v, namespace));
    for (key, fix) in UNSUPPORTED {
        if let Some(value) = map.take_unsupported(key) {
            let expected = "action, selector or rules";
            reader.mistake(value.node.mark, format!("`{key}`"), expected, Some((*fix).to_owned()));
        }
    }
    map.finish(reader);
    Some((action?, selector?, rules?))
}

fn read_action(reader: &mut Reader, value: Value<'_>) -> Option<Action> {
    let action = reader.choice(value, ACTIONS)?;
    if action.is_none() {
        let fix = "external providers (CUSTOM) are not supported by this version".to_owned();
        reader.wrong(value, "ALLOW, DENY or AUDIT", Some(fix));
    }
    action
}

/// The dry-run annotation; the others belong to other tools.
fn read_dry_run(reader: &mut Reader, value: Value<'_>) -> Option<bool> {
    let mut map = reader.mapping(value)?;
    match map.take("istio.io/dry-run") {
        Some(value) if value.is_text("true") => Some(true),
        Some(value) if value.is_text("false") => Some(false),
        Some(value) => {
            reader.wrong(value, "\"true\" or \"false\"", None);
            None
        }
        None => Some(false),
    }
}
