//! RequestAuthentication (`security.istio.io/v1`): which issuers' tokens are accepted.

use std::sync::Arc;

use super::Resources;
use super::jwt_rule;
use super::object::ResourceObject;
use super::selector::{self, MatchLabels};
use super::target::{self, TargetRef};
use crate::token::JwtRule;
use crate::yaml::{DiagnosticCode, SourcePosition, YamlReader, YamlValue};
use crate::{Diagnostic, Workload};

/// The most rules of one object: an issuer each; a mesh has a handful.
const MAX_RULES: usize = 32;

/// A RequestAuthentication. All that select a workload hold together.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestAuthentication {
    name: Arc<str>,
    namespace: Arc<str>,
    selector: MatchLabels,
    targets: Vec<TargetRef>,
    rules: Vec<Arc<JwtRule>>,
}

impl RequestAuthentication {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The issuers whose tokens it accepts.
    pub fn rules(&self) -> &[Arc<JwtRule>] {
        &self.rules
    }

    pub(crate) fn namespace(&self) -> &Arc<str> {
        &self.namespace
    }

    /// The labels it selects by; empty beside `targetRefs`.
    pub(crate) fn selector(&self) -> &MatchLabels {
        &self.selector
    }

    /// Whether it is about workloads behind Services.
    pub(super) fn has_targets(&self) -> bool {
        !self.targets.is_empty()
    }

    /// True when it is about the workload: in its namespace or the root one, and selected by labels, or behind a
    /// Service it targets.
    pub fn selects(&self, workload: &Workload, resources: &Resources) -> bool {
        if !self.targets.is_empty() {
            return self.targets.iter().any(|target| target.selects(workload, resources));
        }
        let root = *self.namespace == *resources.root_namespace();
        (root || *self.namespace == *workload.namespace) && self.selector.matches(&workload.labels)
    }

    /// What it targets and nobody can resolve.
    pub(super) fn unresolved(&self, resources: &Resources) -> Vec<Diagnostic> {
        let diagnostics = self.targets.iter().filter_map(|target| target.unresolved(resources));
        let name: Arc<str> = format!("RequestAuthentication {}", self.name).into();
        diagnostics.map(|diagnostic| diagnostic.within(Arc::clone(&name))).collect()
    }
}

pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
) -> Option<RequestAuthentication> {
    let mut read = RequestAuthentication {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        selector: MatchLabels::default(),
        targets: Vec::new(),
        rules: Vec::new(),
    };
    match object.spec {
        Some(spec) => read_spec(reader, spec, &mut read).map(|()| read),
        None => {
            refuse_without_effect(reader, object.mark);
            None
        }
    }
}

fn read_spec(
    reader: &mut YamlReader,
    spec: YamlValue<'_>,
    object: &mut RequestAuthentication,
) -> Option<()> {
    let mut map = reader.mapping(spec)?;
    let selector =
        map.take("selector").map_or(Some(MatchLabels::default()), |v| selector::read(reader, v));
    let refs = map.take("targetRefs");
    let targets = refs.map_or(Some(Vec::new()), |v| target::read(reader, v, &object.namespace));
    let rules = map.take("jwtRules").map_or(Some(Vec::new()), |v| reader.filled_list(v, MAX_RULES));
    if let Some(value) = refs.filter(|_| map.has("selector")) {
        reader.report(value.node.mark, "`targetRefs` beside `selector`", "one of the two", None);
    }
    if !map.has("jwtRules") {
        refuse_without_effect(reader, spec.node.mark);
    }
    map.finish(reader);
    let rules = rules?.into_iter().enumerate().filter_map(|(index, rule)| {
        jwt_rule::read(reader, rule, format!("{}#{index}", object.name).into()).map(Arc::new)
    });
    object.rules = rules.collect();
    object.selector = selector?;
    object.targets = targets?;
    Some(())
}

/// An object without rules accepts no issuer and checks nothing, although it looks as if it did.
fn refuse_without_effect(reader: &mut YamlReader, mark: SourcePosition) {
    let found = "a RequestAuthentication without rules, which checks no token";
    let fix = "name an issuer in jwtRules, or take the object out; to demand a token, write requestPrincipals in an AuthorizationPolicy";
    reader.report_with_code(
        DiagnosticCode::NoEffect,
        mark,
        found,
        "`jwtRules`",
        Some(fix.to_owned()),
    );
}
