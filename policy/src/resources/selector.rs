//! Which workloads of a namespace an object is about.

use std::collections::BTreeMap;

use super::label;
use crate::yaml::{DiagnosticCode, NodeKind, YamlMapping, YamlReader, YamlValue};

/// `selector.matchLabels`; empty selects every workload of the object's scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatchLabels(BTreeMap<String, String>);

impl MatchLabels {
    /// True when every label of the selector is on the workload.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// True when it selects every workload that `other` selects.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }

    pub(crate) fn labels(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// True when it selects every workload.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads `selector`.
pub(super) fn read(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<MatchLabels> {
    let mut map = reader.mapping(value)?;
    let labels = map.take("matchLabels").map(|v| read_labels(reader, v));
    refuse_expressions(reader, &mut map);
    map.finish(reader);
    match labels {
        Some(labels) => labels.map(MatchLabels),
        None => Some(MatchLabels::default()),
    }
}

/// The labels to match. An empty value is refused: it is what a template leaves that was not filled in, and then the
/// object would be about nobody.
fn read_labels(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<BTreeMap<String, String>> {
    if let NodeKind::Map(entries) = &value.node.kind {
        for (key, node) in entries {
            let label = YamlValue { node, name: &key.text };
            if label.is_empty_text() {
                let fix = "write the value, or take the line out".to_owned();
                let expected = "a value: with none it would select nobody";
                reader.report_value_with_code(DiagnosticCode::NoEffect, label, expected, Some(fix));
            }
        }
    }
    label::read(reader, value)
}

fn refuse_expressions(reader: &mut YamlReader, map: &mut YamlMapping<'_>) {
    let Some(value) = map.take_unsupported("matchExpressions") else { return };
    let fix = "expressions are not supported by this version; name the labels".to_owned();
    reader.report_with_code(
        DiagnosticCode::Unsupported,
        value.node.mark,
        "`matchExpressions` in `selector`",
        "`matchLabels`",
        Some(fix),
    );
}
