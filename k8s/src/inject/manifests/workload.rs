//! The objects of a document: the pods in them are injected, and what cannot be is told by name.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::kinds::{self, items, kind};
use super::misplaced;
use crate::inject::options::annotation::{INJECT, PREFIX};
use crate::inject::pod::shape::{Field, Shapes};
use crate::inject::{NamespaceFacts, OWN_INJECT, Outcome, Settings, Why};

/// What a stream says of namespaces, by name.
#[derive(Debug, Default)]
pub(crate) struct Namespaces(BTreeMap<String, Known>);

#[derive(Debug, Default)]
struct Known {
    facts: NamespaceFacts,
    opted_out: bool,
}

/// Something that is to be said of an object, and the field it is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    kind: String,
    namespace: Option<String>,
    name: String,
    /// A JSON pointer into the document.
    pub(crate) pointer: String,
    words: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_ref().map(|n| format!("{n}/")).unwrap_or_default();
        write!(f, "{} {namespace}{}: {}", self.kind, self.name, self.words)
    }
}

impl Finding {
    fn of(object: &Value, pointer: String, words: String) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").or_else(|| text("/metadata/generateName"));
        Self {
            kind: text("/kind").unwrap_or_default().to_owned(),
            namespace: text("/metadata/namespace").map(str::to_owned),
            name: name.unwrap_or("(no name)").to_owned(),
            pointer,
            words,
        }
    }

    /// Of a member of a list.
    fn in_item(self, index: usize) -> Self {
        Self { pointer: format!("/items/{index}{}", self.pointer), ..self }
    }
}

/// Remembers the namespaces among the objects of a document.
///
/// # Errors
/// What cannot be read of what they say to us.
pub(crate) fn note_namespaces(object: &Value, namespaces: &mut Namespaces) -> Vec<Finding> {
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
    let mut shapes = Shapes::default();
    let metadata = Field::whole(object).at("metadata");
    let labels = ours(&mut shapes, &metadata.at("labels"));
    let annotations = ours(&mut shapes, &metadata.at("annotations"));
    let opted_out = labels.get(INJECT).is_some_and(|value| value == "disabled");
    let facts = NamespaceFacts { annotations };
    if let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) {
        namespaces.0.insert(name.to_owned(), Known { facts, opted_out });
    }
    let mistakes = shapes.mistakes().into_iter();
    let finding = |mistake: crate::inject::pod::shape::Misshapen| {
        Finding::of(object, mistake.pointer().to_owned(), mistake.to_string())
    };
    mistakes.map(finding).collect()
}

/// The labels or annotations that are ours.
fn ours(shapes: &mut Shapes, map: &Field<'_>) -> BTreeMap<String, String> {
    let keys = map.value.and_then(Value::as_object).into_iter().flat_map(|map| map.keys());
    let ours = keys.filter(|key| key.starts_with(PREFIX));
    ours.filter_map(|key| Some((key.clone(), shapes.text(&map.at(key))?))).collect()
}

/// Injects every pod of an object.
///
/// # Errors
/// Every refusal.
pub(crate) fn inject(
    object: &Value,
    namespaces: &Namespaces,
    settings: &Settings,
    secret: &str,
) -> Result<Outcome, Vec<Finding>> {
    if let Some(items) = items(object) {
        return inject_list(object, items, namespaces, settings, secret);
    }
    let Some((place, pod)) = kinds::pod(object) else {
        return Ok(Outcome::Unchanged(Why::NoWorkload));
    };
    if in_control_plane(object, settings) {
        return Ok(Outcome::Unchanged(Why::ControlPlane));
    }
    let none = Known::default();
    let known = namespaces.of(object).unwrap_or(&none);
    if known.opted_out && pod.pointer(OWN_INJECT).is_none() {
        return Ok(Outcome::Unchanged(Why::OptedOut));
    }
    match crate::inject::inject(pod, &known.facts, settings, secret) {
        Ok(Outcome::Changed(pod)) => {
            let mut object = object.clone();
            if let Some(place) = object.pointer_mut(place) {
                *place = pod;
            }
            Ok(Outcome::Changed(object))
        }
        Ok(unchanged) => Ok(unchanged),
        Err(refusal) => {
            let reasons = refusal.reasons(pod, place).into_iter();
            Err(reasons.map(|reason| Finding::of(object, reason.pointer, reason.words)).collect())
        }
    }
}

impl Namespaces {
    fn of(&self, object: &Value) -> Option<&Known> {
        self.0.get(namespace_of(object))
    }
}

fn inject_list(
    list: &Value,
    items: &[Value],
    namespaces: &Namespaces,
    settings: &Settings,
    secret: &str,
) -> Result<Outcome, Vec<Finding>> {
    let mut changed = items.to_vec();
    let mut refusals = Vec::new();
    let mut any = false;
    for (index, item) in changed.iter_mut().enumerate() {
        match inject(item, namespaces, settings, secret) {
            Ok(Outcome::Changed(value)) => {
                *item = value;
                any = true;
            }
            Ok(Outcome::Unchanged(_)) => {}
            Err(refused) => refusals.extend(refused.into_iter().map(|r| r.in_item(index))),
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    if !any {
        return Ok(Outcome::Unchanged(Why::NoWorkload));
    }
    let mut list = list.clone();
    list["items"] = Value::Array(changed);
    Ok(Outcome::Changed(list))
}

fn namespace_of(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}

fn in_control_plane(object: &Value, settings: &Settings) -> bool {
    crate::inject::is_control_plane(namespace_of(object), settings)
}

/// What looks like a workload and is not injected, and what of ours has no effect.
pub(crate) fn passed_over(
    object: &Value,
    namespaces: &Namespaces,
    settings: &Settings,
) -> Vec<Finding> {
    if let Some(items) = items(object) {
        let each = items.iter().enumerate().flat_map(|(index, item)| {
            let found = passed_over(item, namespaces, settings);
            found.into_iter().map(move |finding| finding.in_item(index))
        });
        return each.collect();
    }
    if namespaces.of(object).is_some_and(|known| known.opted_out) {
        return Vec::new();
    }
    let found = match in_control_plane(object, settings) {
        true => never_injected(object).into_iter().collect(),
        false => {
            kinds::unknown(object).into_iter().chain(misplaced::of(object)).collect::<Vec<_>>()
        }
    };
    found.into_iter().map(|(pointer, words)| Finding::of(object, pointer, words)).collect()
}

/// A workload of a namespace whose pods are never injected.
fn never_injected(object: &Value) -> Option<(String, String)> {
    let (place, pod) = kinds::pod(object)?;
    let opted_out = pod.pointer(OWN_INJECT).is_some_and(|own| own == "disabled");
    let words = format!(
        "is passed as it is: pods of the namespace {} are never injected",
        namespace_of(object)
    );
    (!opted_out).then(|| (place.to_owned(), words))
}
