//! `kind: List`: what `kubectl get -o yaml` gives back, objects in `items`.

use super::kind;
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The most items of a list: as many as a file may have documents.
const MAX_ITEMS: usize = crate::yaml::MAX_DOCUMENTS;

/// The objects of a list, each with its own place; `None` when the document is none. An empty list is an empty set.
pub(super) fn items<'n>(
    reader: &mut YamlReader,
    root: YamlValue<'n>,
) -> Option<Vec<YamlValue<'n>>> {
    let text = |key| root.get(key).and_then(|value| value.scalar());
    if !kind::is_list(text("apiVersion")?, text("kind")?) {
        return None;
    }
    let mut map = reader.mapping(root)?;
    map.take("apiVersion");
    map.take("kind");
    refuse_part(reader, &mut map);
    let items = map.require(reader, "items").and_then(|value| reader.list(value));
    map.finish(reader);
    let items = items.unwrap_or_default();
    if items.len() > MAX_ITEMS {
        let found = format!("{} items in a list", items.len());
        let fix = "split it into several files".to_owned();
        reader.report(root.node.mark, found, format!("at most {MAX_ITEMS}"), Some(fix));
        return Some(Vec::new());
    }
    // Its diagnostics shall not say "in `items`": an item is a document of its own.
    Some(items.into_iter().map(|item| YamlValue { name: "", ..item }).collect())
}

/// A list that was fetched in parts says so; the part alone would be a set without the rest.
fn refuse_part(reader: &mut YamlReader, map: &mut YamlMapping<'_>) {
    let Some(metadata) = map.take("metadata") else { return };
    let Some(rest) = metadata.get("continue").filter(|rest| !rest.is_empty_text()) else { return };
    let fix = "fetch it whole, without a limit".to_owned();
    let expected = "a whole list";
    reader.report_with_code(
        DiagnosticCode::Form,
        rest.node.mark,
        "a part of a list",
        expected,
        Some(fix),
    );
}
