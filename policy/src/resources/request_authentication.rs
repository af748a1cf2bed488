//! RequestAuthentication (`security.istio.io/v1`): whose tokens are believed.

use std::sync::Arc;

use super::jwt_rule;
use super::object::Object;
use super::selector::{self, Selector};
use crate::Workload;
use crate::token::JwtRule;
use crate::yaml::{Reader, Value};

/// The most rules of one object: an issuer each; a mesh has a handful.
const MAX_RULES: usize = 32;

/// A RequestAuthentication. All that select a workload hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestAuthentication {
    name: Arc<str>,
    namespace: Arc<str>,
    selector: Selector,
    rules: Vec<Arc<JwtRule>>,
}

impl RequestAuthentication {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The issuers it believes.
    pub fn rules(&self) -> &[Arc<JwtRule>] {
        &self.rules
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        scope && self.selector.matches(&workload.labels)
    }
}

pub(super) fn read(reader: &mut Reader, object: &Object<'_>) -> Option<RequestAuthentication> {
    let name: Arc<str> = object.full_name().into();
    let (selector, rules) = match object.spec {
        Some(spec) => read_spec(reader, spec, &name)?,
        None => (Selector::default(), Vec::new()),
    };
    Some(RequestAuthentication { name, namespace: Arc::clone(&object.namespace), selector, rules })
}

fn read_spec(
    reader: &mut Reader,
    spec: Value<'_>,
    name: &Arc<str>,
) -> Option<(Selector, Vec<Arc<JwtRule>>)> {
    let mut map = reader.mapping(spec)?;
    let selector =
        map.take("selector").map_or(Some(Selector::default()), |v| selector::read(reader, v));
    let rules = map.take("jwtRules").map_or(Some(Vec::new()), |v| reader.filled_list(v, MAX_RULES));
    for key in ["targetRef", "targetRefs"] {
        if let Some(value) = map.take_unsupported(key) {
            let fix = "select the workloads with selector.matchLabels".to_owned();
            reader.mistake(value.node.mark, format!("`{key}`"), "`selector`", Some(fix));
        }
    }
    map.finish(reader);
    let rules = rules?.into_iter().enumerate();
    let rules = rules.filter_map(|(index, rule)| {
        jwt_rule::read(reader, rule, format!("{name}#{index}").into()).map(Arc::new)
    });
    let rules = rules.collect();
    Some((selector?, rules))
}
