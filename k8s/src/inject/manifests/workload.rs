//! The objects of a document: the pods in them are injected, and each that cannot be is reported by name.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::misplaced_annotations;
use super::workload_kinds::{self, items, kind};
use crate::inject::options::annotation::{INJECT, PREFIX};
use crate::inject::pod::fields::{FieldReader, LocatedField};
use crate::inject::{
    InjectionOutcome, InjectionSettings, NamespaceFacts, OWN_INJECT, UnchangedReason,
};

/// What a stream says of namespaces, by name.
#[derive(Debug, Default)]
pub(crate) struct StreamNamespaces(BTreeMap<String, NamespaceRecord>);

#[derive(Debug, Default)]
struct NamespaceRecord {
    facts: NamespaceFacts,
    opted_out: bool,
}

/// A refusal or a warning about an object, and the field it is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ManifestFinding {
    kind: String,
    namespace: Option<String>,
    name: String,
    /// A JSON pointer into the document.
    pub(crate) pointer: String,
    message: String,
}

impl fmt::Display for ManifestFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_ref().map(|n| format!("{n}/")).unwrap_or_default();
        write!(f, "{} {namespace}{}: {}", self.kind, self.name, self.message)
    }
}

impl ManifestFinding {
    fn of(object: &Value, pointer: String, message: String) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").or_else(|| text("/metadata/generateName"));
        Self {
            kind: text("/kind").unwrap_or_default().to_owned(),
            namespace: text("/metadata/namespace").map(str::to_owned),
            name: name.unwrap_or("(no name)").to_owned(),
            pointer,
            message,
        }
    }

    /// Of a member of a list.
    fn in_item(self, index: usize) -> Self {
        Self { pointer: format!("/items/{index}{}", self.pointer), ..self }
    }
}

/// Takes the namespaces among the objects of a document into `namespaces`; the answer is what cannot be read of their
/// labels and annotations.
pub(crate) fn note_namespaces(
    object: &Value,
    namespaces: &mut StreamNamespaces,
) -> Vec<ManifestFinding> {
    if let Some(items) = items(object) {
        let each = items.iter().enumerate().flat_map(|(index, item)| {
            let found = note_namespaces(item, namespaces);
            found.into_iter().map(move |finding| finding.in_item(index))
        });
        return each.collect();
    }
    if kind(object) != Some(("", "Namespace")) {
        return Vec::new();
    }
    let mut reader = FieldReader::default();
    let metadata = LocatedField::whole(object).at("metadata");
    let labels = ours(&mut reader, &metadata.at("labels"));
    let annotations = ours(&mut reader, &metadata.at("annotations"));
    let opted_out = labels.get(INJECT).is_some_and(|value| value == "disabled");
    let facts = NamespaceFacts { annotations };
    if let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) {
        namespaces.0.insert(name.to_owned(), NamespaceRecord { facts, opted_out });
    }
    let mistakes = reader.mistakes().into_iter();
    let finding = |mistake: crate::inject::pod::fields::MalformedField| {
        ManifestFinding::of(object, mistake.pointer().to_owned(), mistake.to_string())
    };
    mistakes.map(finding).collect()
}

/// The labels or annotations that are ours.
fn ours(reader: &mut FieldReader, map: &LocatedField<'_>) -> BTreeMap<String, String> {
    let keys = map.value.and_then(Value::as_object).into_iter().flat_map(|map| map.keys());
    let ours = keys.filter(|key| key.starts_with(PREFIX));
    ours.filter_map(|key| Some((key.clone(), reader.text(&map.at(key))?))).collect()
}

/// Injects every pod of an object.
///
/// # Errors
/// Every refusal.
pub(crate) fn inject(
    object: &Value,
    namespaces: &StreamNamespaces,
    settings: &InjectionSettings,
    secret: &str,
) -> Result<InjectionOutcome, Vec<ManifestFinding>> {
    if let Some(items) = items(object) {
        return inject_list(object, items, namespaces, settings, secret);
    }
    let Some((pointer, pod)) = workload_kinds::pod(object) else {
        return Ok(InjectionOutcome::Unchanged(UnchangedReason::NoWorkload));
    };
    if in_control_plane(object, settings) {
        return Ok(InjectionOutcome::Unchanged(UnchangedReason::ControlPlane));
    }
    let none = NamespaceRecord::default();
    let known = namespaces.of(object).unwrap_or(&none);
    if known.opted_out && pod.pointer(OWN_INJECT).is_none() {
        return Ok(InjectionOutcome::Unchanged(UnchangedReason::OptedOut));
    }
    match crate::inject::inject(pod, &known.facts, settings, secret) {
        Ok(InjectionOutcome::Changed(pod)) => {
            let mut object = object.clone();
            if let Some(pointer) = object.pointer_mut(pointer) {
                *pointer = pod;
            }
            Ok(InjectionOutcome::Changed(object))
        }
        Ok(unchanged) => Ok(unchanged),
        Err(refusal) => {
            let reasons = refusal.reasons(pod, pointer).into_iter();
            Err(reasons
                .map(|reason| ManifestFinding::of(object, reason.pointer, reason.message))
                .collect())
        }
    }
}

impl StreamNamespaces {
    fn of(&self, object: &Value) -> Option<&NamespaceRecord> {
        self.0.get(namespace_of(object))
    }
}

fn inject_list(
    list: &Value,
    items: &[Value],
    namespaces: &StreamNamespaces,
    settings: &InjectionSettings,
    secret: &str,
) -> Result<InjectionOutcome, Vec<ManifestFinding>> {
    let mut changed = items.to_vec();
    let mut refusals = Vec::new();
    let mut any = false;
    for (index, item) in changed.iter_mut().enumerate() {
        match inject(item, namespaces, settings, secret) {
            Ok(InjectionOutcome::Changed(value)) => {
                *item = value;
                any = true;
            }
            Ok(InjectionOutcome::Unchanged(_)) => {}
            Err(refused) => refusals.extend(refused.into_iter().map(|r| r.in_item(index))),
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    if !any {
        return Ok(InjectionOutcome::Unchanged(UnchangedReason::NoWorkload));
    }
    let mut list = list.clone();
    list["items"] = Value::Array(changed);
    Ok(InjectionOutcome::Changed(list))
}

fn namespace_of(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}

fn in_control_plane(object: &Value, settings: &InjectionSettings) -> bool {
    crate::inject::is_control_plane(namespace_of(object), settings)
}

/// What looks like a workload and is not injected, and what of ours has no effect.
pub(crate) fn warnings(
    object: &Value,
    namespaces: &StreamNamespaces,
    settings: &InjectionSettings,
) -> Vec<ManifestFinding> {
    if let Some(items) = items(object) {
        let each = items.iter().enumerate().flat_map(|(index, item)| {
            let found = warnings(item, namespaces, settings);
            found.into_iter().map(move |finding| finding.in_item(index))
        });
        return each.collect();
    }
    if namespaces.of(object).is_some_and(|known| known.opted_out) {
        return Vec::new();
    }
    let found = match in_control_plane(object, settings) {
        true => never_injected(object).into_iter().collect(),
        false => workload_kinds::unknown(object)
            .into_iter()
            .chain(misplaced_annotations::of(object))
            .collect::<Vec<_>>(),
    };
    found
        .into_iter()
        .map(|(pointer, message)| ManifestFinding::of(object, pointer, message))
        .collect()
}

/// A workload of a namespace whose pods are never injected.
fn never_injected(object: &Value) -> Option<(String, String)> {
    let (pointer, pod) = workload_kinds::pod(object)?;
    let opted_out = pod.pointer(OWN_INJECT).is_some_and(|own| own == "disabled");
    let message = format!(
        "is passed as it is: pods of the namespace {} are never injected",
        namespace_of(object)
    );
    (!opted_out).then(|| (pointer.to_owned(), message))
}
