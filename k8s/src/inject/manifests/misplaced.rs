//! Labels and annotations of ours that stand where nobody reads them: silence would look like obedience.

use serde_json::Value;

use super::kinds::{self, kind};
use crate::inject::OWN_INJECT;
use crate::inject::options::annotation::{INJECT, INJECTED, PREFIX};
use crate::inject::pod::shape::{dotted, escaped};

/// Each of an object, with its place, and the words that name the right one.
pub(crate) fn of(object: &Value) -> Vec<(String, String)> {
    if kind(object) == Some(("", "Namespace")) {
        return of_namespace(object).into_iter().collect();
    }
    let Some((place, pod)) = kinds::pod(object) else { return Vec::new() };
    if pod.pointer(OWN_INJECT).is_some_and(|own| own == "disabled") {
        return Vec::new();
    }
    let right = format!("{place}/metadata/annotations");
    // What stands around a template: the workload, and the job of a CronJob.
    let around = place.match_indices('/').filter_map(|(end, _)| place.get(..end));
    let around = around
        .flat_map(|above| ["labels", "annotations"].map(|map| format!("{above}/metadata/{map}")));
    let maps = around.chain([format!("{place}/metadata/labels")]);
    maps.flat_map(|map| of_map(object, &map, &right)).collect()
}

/// A namespace says by a label whether its pods are injected.
fn of_namespace(object: &Value) -> Option<(String, String)> {
    let value = object.pointer(OWN_INJECT)?;
    let words = format!(
        "the annotation {INJECT}: {} has no effect on a namespace; write it into metadata.labels",
        shown(value)
    );
    Some((OWN_INJECT.to_owned(), words))
}

fn of_map(object: &Value, map: &str, right: &str) -> Vec<(String, String)> {
    let entries = object.pointer(map).and_then(Value::as_object).into_iter().flatten();
    let ours = entries.filter(|(key, _)| key.starts_with(PREFIX) && *key != INJECTED);
    // What holds anyhow misleads nobody.
    let ours = ours.filter(|(key, value)| *key != INJECT || *value != "enabled");
    let misplaced = ours.map(|(key, value)| {
        let words = format!(
            "{key}: {} has no effect in {}; write it into {}",
            shown(value),
            dotted(map),
            dotted(right)
        );
        (format!("{map}/{}", escaped(key)), words)
    });
    misplaced.collect()
}

fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.escape_debug().take(64).collect()
}
