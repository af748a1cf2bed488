//! Which workloads of a namespace an object is about.

use std::collections::BTreeMap;

use crate::yaml::{Reader, Value};

/// `selector.matchLabels`; empty selects every workload of the object's scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(BTreeMap<String, String>);

impl Selector {
    /// True when every label of the selector is on the workload.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// True when it selects every workload that `other` selects.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }

    /// True when it selects every workload.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads `selector`.
pub(super) fn read(reader: &mut Reader, value: Value<'_>) -> Option<Selector> {
    let mut map = reader.mapping(value)?;
    let labels = map.take("matchLabels").map(|v| read_labels(reader, v));
    map.finish(reader);
    match labels {
        Some(labels) => labels.map(Selector),
        None => Some(Selector::default()),
    }
}

/// A mapping of labels. A value that is not text is a mistake; the empty value is one a label may have.
pub(super) fn read_labels(
    reader: &mut Reader,
    value: Value<'_>,
) -> Option<BTreeMap<String, String>> {
    let mut map = reader.mapping(value)?;
    let mut labels = BTreeMap::new();
    for (key, value) in map.entries() {
        let text = if value.is_empty_text() { Some("") } else { reader.text(value) };
        if key.text.contains('*') || text.is_some_and(|text| text.contains('*')) {
            reader.wrong(value, "a label without *", Some("labels are compared whole".into()));
            continue;
        }
        if let Some(text) = text {
            labels.insert(key.text.to_string(), text.to_owned());
        }
    }
    Some(labels)
}
