//! Where the pods are in Kubernetes' objects: the pod itself, the kinds that carry a template of
//! one, and lists of either.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::annotation::INJECT;
use super::{NamespaceFacts, Outcome, Refusal, Settings, Why};

/// What a stream says of namespaces, by name.
#[derive(Debug, Default)]
pub(super) struct Namespaces(BTreeMap<String, Known>);

#[derive(Debug, Default)]
struct Known {
    facts: NamespaceFacts,
    opted_out: bool,
}

/// A workload that cannot be in the mesh.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    kind: String,
    namespace: Option<String>,
    name: String,
    refusal: Refusal,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_ref().map(|n| format!("{n}/")).unwrap_or_default();
        write!(f, "{} {namespace}{}: {}", self.kind, self.name, self.refusal)
    }
}

/// Remembers the namespaces among the objects of a document.
pub(super) fn note_namespaces(object: &Value, namespaces: &mut Namespaces) {
    if let Some(items) = items(object) {
        return items.iter().for_each(|item| note_namespaces(item, namespaces));
    }
    if kind(object) != Some(("", "Namespace")) {
        return;
    }
    let texts = |pointer: &str| -> BTreeMap<String, String> {
        let map = object.pointer(pointer).and_then(Value::as_object);
        let pairs = map.into_iter().flatten();
        pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    let opted_out = texts("/metadata/labels").get(INJECT).is_some_and(|value| value == "disabled");
    let facts = NamespaceFacts { annotations: texts("/metadata/annotations") };
    if let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) {
        namespaces.0.insert(name.to_owned(), Known { facts, opted_out });
    }
}

/// Injects every pod of an object.
///
/// # Errors
/// Every refusal.
pub(super) fn inject(
    object: &Value,
    namespaces: &Namespaces,
    settings: &Settings,
    secret: &str,
) -> Result<Outcome, Vec<Refused>> {
    if let Some(items) = items(object) {
        return inject_list(object, items, namespaces, settings, secret);
    }
    let Some(place) = kind(object).and_then(|(group, kind)| place_of_pod(group, kind)) else {
        return Ok(Outcome::Unchanged(Why::NoWorkload));
    };
    let Some(pod) = object.pointer(place).filter(|pod| pod.is_object()) else {
        return Ok(Outcome::Unchanged(Why::NoWorkload));
    };
    let none = Known::default();
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
    let known = namespace.and_then(|name| namespaces.0.get(name)).unwrap_or(&none);
    let own = pod.pointer("/metadata/annotations").and_then(|a| a.get(INJECT));
    if known.opted_out && own.is_none() {
        return Ok(Outcome::Unchanged(Why::OptedOut));
    }
    match super::inject(pod, &known.facts, settings, secret) {
        Ok(Outcome::Changed(pod)) => {
            let mut object = object.clone();
            if let Some(place) = object.pointer_mut(place) {
                *place = pod;
            }
            Ok(Outcome::Changed(object))
        }
        Ok(unchanged) => Ok(unchanged),
        Err(refusal) => Err(vec![refused(object, namespace, refusal)]),
    }
}

fn refused(object: &Value, namespace: Option<&str>, refusal: Refusal) -> Refused {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    Refused {
        kind: text("/kind").unwrap_or_default().to_owned(),
        namespace: namespace.map(str::to_owned),
        name: text("/metadata/name")
            .or_else(|| text("/metadata/generateName"))
            .unwrap_or("(no name)")
            .to_owned(),
        refusal,
    }
}

fn inject_list(
    list: &Value,
    items: &[Value],
    namespaces: &Namespaces,
    settings: &Settings,
    secret: &str,
) -> Result<Outcome, Vec<Refused>> {
    let mut changed = items.to_vec();
    let mut refusals = Vec::new();
    let mut any = false;
    for item in &mut changed {
        match inject(item, namespaces, settings, secret) {
            Ok(Outcome::Changed(value)) => {
                *item = value;
                any = true;
            }
            Ok(Outcome::Unchanged(_)) => {}
            Err(refused) => refusals.extend(refused),
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

/// API group (without version) and kind.
fn kind(object: &Value) -> Option<(&str, &str)> {
    let version = object.get("apiVersion")?.as_str()?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    Some((group, object.get("kind")?.as_str()?))
}

/// The members of a `List`, a `PodList`, ..
fn items(object: &Value) -> Option<&[Value]> {
    let (_, kind) = kind(object)?;
    let items = object.get("items").filter(|_| kind.ends_with("List"))?;
    items.as_array().map(Vec::as_slice)
}

/// The JSON pointer (RFC 6901) of the pod, or of its template.
fn place_of_pod(group: &str, kind: &str) -> Option<&'static str> {
    match (group, kind) {
        ("", "Pod") => Some(""),
        ("", "PodTemplate") => Some("/template"),
        ("", "ReplicationController")
        | ("apps" | "extensions", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job") => Some("/spec/template"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}
