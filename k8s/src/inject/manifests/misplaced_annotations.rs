//! Labels and annotations of ours that have no effect where they stand: each gets a warning.

use serde_json::Value;

use super::workload_kinds::{self, kind};
use crate::inject::OWN_INJECT;
use crate::inject::options::annotation::{INJECT, INJECTED, PREFIX};
use crate::inject::pod::fields::{dotted, escaped};

/// Each of an object: its JSON pointer, and the message that names the right place.
pub(crate) fn of(object: &Value) -> Vec<(String, String)> {
    if kind(object) == Some(("", "Namespace")) {
        return of_namespace(object).into_iter().collect();
    }
    let Some((pointer, pod)) = workload_kinds::pod(object) else { return Vec::new() };
    if pod.pointer(OWN_INJECT).is_some_and(|own| own == "disabled") {
        return Vec::new();
    }
    let right = format!("{pointer}/metadata/annotations");
    // The objects around a template: the workload, and the job of a CronJob.
    let around = pointer.match_indices('/').filter_map(|(end, _)| pointer.get(..end));
    let around = around
        .flat_map(|above| ["labels", "annotations"].map(|map| format!("{above}/metadata/{map}")));
    let maps = around.chain([format!("{pointer}/metadata/labels")]);
    maps.flat_map(|map| of_map(object, &map, &right)).collect()
}

/// A namespace says by a label whether its pods are injected.
fn of_namespace(object: &Value) -> Option<(String, String)> {
    let value = object.pointer(OWN_INJECT)?;
    let message = format!(
        "the annotation {INJECT}: {} has no effect on a namespace; write it into metadata.labels",
        shown(value)
    );
    Some((OWN_INJECT.to_owned(), message))
}

fn of_map(object: &Value, map: &str, right: &str) -> Vec<(String, String)> {
    let entries = object.pointer(map).and_then(Value::as_object).into_iter().flatten();
    let ours = entries.filter(|(key, _)| key.starts_with(PREFIX) && *key != INJECTED);
    // A value that is the default misleads no reader.
    let ours = ours.filter(|(key, value)| *key != INJECT || *value != "enabled");
    let misplaced = ours.map(|(key, value)| {
        let message = format!(
            "{key}: {} has no effect in {}; write it into {}",
            shown(value),
            dotted(map),
            dotted(right)
        );
        (format!("{map}/{}", escaped(key)), message)
    });
    misplaced.collect()
}

fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.escape_debug().take(64).collect()
}
