//! What every Kubernetes object has: kind, version, name, namespace.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kind::{self, KindMatch, ResourceKind, WrittenKind};
use super::{ReadOptions, SurveyedObject, label};
use crate::gateway::ObjectName;
use crate::yaml::{
    DiagnosticCode, MappingKey, NodeKind, SourcePosition, YamlMapping, YamlReader, YamlValue,
    nearest,
};

/// An object's head, and its spec still to be read.
#[derive(Debug)]
pub(super) struct ResourceObject<'n> {
    pub(super) kind: ResourceKind,
    /// Whether it was written in an older version of its kind.
    pub(super) older: bool,
    /// Where the object begins.
    pub(super) mark: SourcePosition,
    pub(super) name: Arc<str>,
    pub(super) namespace: Arc<str>,
    /// `metadata.annotations`.
    pub(super) annotations: Option<YamlValue<'n>>,
    /// `metadata.creationTimestamp`: RFC 3339 text sorts by time.
    pub(super) created: Option<&'n str>,
    /// `metadata.labels`.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: Option<YamlValue<'n>>,
    /// What a Secret or ConfigMap has in the place of a `spec`.
    pub(super) data: ObjectData<'n>,
}

/// The keys of a Secret or ConfigMap beside its head.
#[derive(Debug, Default)]
pub(super) struct ObjectData<'n> {
    /// `data`: text, in base64 where it is of a Secret.
    pub(super) data: Option<YamlValue<'n>>,
    /// `stringData` of a Secret: text.
    pub(super) string_data: Option<YamlValue<'n>>,
    /// `type` of a Secret.
    pub(super) kind: Option<YamlValue<'n>>,
}

impl ResourceObject<'_> {
    /// `namespace/name`; the name alone where the kind lies in no namespace.
    pub(super) fn full_name(&self) -> String {
        match self.kind.is_of_cluster() {
            true => self.name.to_string(),
            false => format!("{}/{}", self.namespace, self.name),
        }
    }

    /// Namespace and name.
    pub(super) fn id(&self) -> ObjectName {
        ObjectName::new(Arc::clone(&self.namespace), Arc::clone(&self.name))
    }

    /// `kind namespace/name`, for messages.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.kind.as_str(), self.full_name())
    }
}

/// An object as it was met, whatever is wrong in it.
pub(super) fn survey_object(
    file: &Arc<str>,
    root: YamlValue<'_>,
    namespace: Option<&str>,
) -> SurveyedObject {
    let text = |value: Option<YamlValue<'_>>| {
        let text = value.and_then(|value| value.scalar()).filter(|text| !text.is_empty());
        text.map(printable_excerpt)
    };
    let metadata = root.get("metadata");
    let of = |key| text(metadata.and_then(|metadata| metadata.get(key)));
    let kind = text(root.get("kind")).unwrap_or_else(|| "(no kind)".to_owned());
    let name = of("name").unwrap_or_else(|| "(no name)".to_owned());
    let api_version = text(root.get("apiVersion")).unwrap_or_default();
    let named = of("namespace");
    let namespace = namespace.filter(|_| !kind::is_of_cluster(&api_version, &kind));
    let namespace_given = named.is_none() && namespace.is_some();
    let namespace = named.or_else(|| namespace.map(str::to_owned));
    let full =
        namespace.as_ref().map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
    SurveyedObject {
        name: format!("{kind} {full}").into(),
        kind,
        api_version,
        file: Arc::clone(file),
        mark: root.node.mark,
        namespace,
        namespace_given,
        is_read: false,
        newer: None,
    }
}

/// What a file says goes to terminals: no control characters, and not at any length.
fn printable_excerpt(text: &str) -> String {
    text.chars().take(253).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Reads an object's head. `None` after a diagnostic that leaves nothing to go on with.
pub(super) fn read<'n>(
    reader: &mut YamlReader,
    root: YamlValue<'n>,
    reading: &ReadOptions<'_>,
) -> Option<ResourceObject<'n>> {
    let mut map = reader.mapping(root)?;
    let version = map.require(reader, "apiVersion").and_then(|v| Some((v, reader.text(v)?)));
    let kind = map.require(reader, "kind").and_then(|v| Some((v, reader.text(v)?)));
    let written = version.zip(kind).map(|(version, kind)| WrittenKind { version, kind });
    let found = written
        .map_or(KindMatch::Misspelt, |written| kind::find(reader, written, reading.from_istio));
    if found == KindMatch::Foreign {
        return None;
    }
    let kind = match found {
        KindMatch::Ours { kind, .. } => Some(kind),
        _ => None,
    };
    let metadata = map.require(reader, "metadata");
    let has_data = kind.is_some_and(ResourceKind::has_data);
    let spec = if has_data { None } else { map.take("spec") };
    let data = if has_data { take_data(&mut map, kind) } else { ObjectData::default() };
    // What the cluster adds to an object it gives back; it says nothing about what is wanted.
    map.take("status");
    map.finish(reader);
    let of_cluster = kind.is_some_and(ResourceKind::is_of_cluster);
    let metadata = metadata.and_then(|v| read_metadata(reader, v, reading, of_cluster))?;
    let KindMatch::Ours { kind, older } = found else { return None };
    let object = ResourceObject {
        kind,
        older,
        mark: root.node.mark,
        name: metadata.name?,
        namespace: metadata.namespace?,
        annotations: metadata.annotations,
        created: metadata.created,
        labels: metadata.label_values,
        spec,
        data,
    };
    read_annotations(reader, &object);
    if let Some(labels) = metadata.labels {
        refuse_dry_run_label(reader, &object, labels);
    }
    Some(object)
}

/// The keys of a Secret or ConfigMap. What of them says nothing here is read past.
fn take_data<'n>(map: &mut YamlMapping<'n>, kind: Option<ResourceKind>) -> ObjectData<'n> {
    map.take("immutable");
    let data = map.take("data");
    if kind == Some(ResourceKind::ConfigMap) {
        map.take("binaryData");
        return ObjectData { data, ..ObjectData::default() };
    }
    ObjectData { data, string_data: map.take("stringData"), kind: map.take("type") }
}

struct ObjectMetadata<'n> {
    name: Option<Arc<str>>,
    namespace: Option<Arc<str>>,
    labels: Option<YamlValue<'n>>,
    label_values: BTreeMap<String, String>,
    annotations: Option<YamlValue<'n>>,
    created: Option<&'n str>,
}

/// Metadata a cluster writes; read past.
const CLUSTER_METADATA: &[&str] = &[
    "uid",
    "resourceVersion",
    "generation",
    "managedFields",
    "finalizers",
    "ownerReferences",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

fn read_metadata<'n>(
    reader: &mut YamlReader,
    value: YamlValue<'n>,
    reading: &ReadOptions<'_>,
    of_cluster: bool,
) -> Option<ObjectMetadata<'n>> {
    let mut map: YamlMapping<'n> = reader.mapping(value)?;
    let name = map
        .require(reader, "name")
        .and_then(|v| reader.parsed(v, "an object's name", dns_subdomain));
    let namespace = match of_cluster {
        true => refuse_namespace(reader, &mut map),
        false => read_namespace(reader, &mut map, reading),
    };
    let labels = map.take("labels");
    let label_values = labels.and_then(|labels| label::read(reader, labels)).unwrap_or_default();
    let annotations = map.take("annotations");
    let created = map.take("creationTimestamp").and_then(|v| v.scalar());
    for key in CLUSTER_METADATA {
        map.take(key);
    }
    map.finish(reader);
    Some(ObjectMetadata { name, namespace, labels, label_values, annotations, created })
}

/// Objects of the whole cluster lie in no namespace.
fn refuse_namespace(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<Arc<str>> {
    if let Some(value) = map.take_unsupported("namespace") {
        let fix = "take the line out".to_owned();
        let expected = "no namespace: the object is one of the whole cluster";
        reader.report_value(value, expected, Some(fix));
    }
    Some("".into())
}

/// The namespace that the object names, or the one that was asked for, as with `kubectl apply --namespace`.
fn read_namespace(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    reading: &ReadOptions<'_>,
) -> Option<Arc<str>> {
    let Some(wanted) = reading.namespace else {
        if reading.from_istio && !map.has("namespace") {
            let fix = "write it, or give --namespace, as to kubectl".to_owned();
            let (found, expected) = ("no `namespace` in `metadata`", "the key `namespace`");
            reader.report_with_code(
                DiagnosticCode::MissingKey,
                map.mark(),
                found,
                expected,
                Some(fix),
            );
            // The remaining diagnostics are reported in the same run; nothing of the set takes effect.
            return Some("default".into());
        }
        let value = map.require(reader, "namespace");
        return value.and_then(|v| reader.parsed(v, "a namespace", dns_label));
    };
    let Some(value) = map.take("namespace") else { return Some(wanted.into()) };
    let named = reader.parsed(value, "a namespace", dns_label)?;
    if *named != *wanted {
        let expected = format!("namespace {wanted}, which --namespace asks for, or none");
        let fix = format!("check it with --namespace {named}, or take the line out");
        // The remaining diagnostics are reported in the same run; nothing of the set takes effect.
        reader.report_value_with_code(DiagnosticCode::OtherNamespace, value, expected, Some(fix));
    }
    Some(named)
}

/// The annotation that makes an AuthorizationPolicy a dry run.
pub(super) const DRY_RUN: &str = "istio.io/dry-run";

/// Annotations are text in quotes, as in Kubernetes. The others' belong to other tools; but one that looks like ours
/// and is not would be thought to hold.
fn read_annotations(reader: &mut YamlReader, object: &ResourceObject<'_>) {
    let Some(mut map) = object.annotations.and_then(|value| reader.mapping(value)) else { return };
    let label = object.label();
    for (key, value) in map.entries() {
        if let Some(text) = value.unquoted() {
            let found = format!("{text} for the annotation `{}` of {label}", key.text);
            let fix = value.scalar().filter(|_| !value.node.is_null());
            let fix = fix.map(|text| format!("write {}: \"{text}\"", key.text));
            reader.report_with_code(
                DiagnosticCode::Unquoted,
                value.node.mark,
                found,
                "text in quotes",
                fix,
            );
        }
        if !label::is_key(&key.text) {
            let found = format!("the annotation key \"{}\" of {label}", key.text);
            reader.report(key.mark, found, "a name, or prefix/name", None);
        }
        refuse_without_effect(reader, object, key, value);
    }
}

/// Refuses annotations that would do nothing and look as if they did.
fn refuse_without_effect(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
    key: &MappingKey,
    value: YamlValue<'_>,
) {
    let found = format!("the annotation `{}` of {}", key.text, object.label());
    let mut idle = |expected: &str, fix: String| {
        reader.report_with_code(
            DiagnosticCode::NoEffect,
            key.mark,
            found.clone(),
            expected,
            Some(fix),
        );
    };
    let is_policy = object.kind == ResourceKind::AuthorizationPolicy;
    if &*key.text == DRY_RUN {
        if !is_policy && !value.is_text("false") {
            let fix = "remove it: the object is in force as soon as it is read";
            idle("dry-run of an AuthorizationPolicy alone", fix.to_owned());
        }
    } else if nearest(&key.text, [DRY_RUN]).is_some() {
        idle("an annotation that is known", format!("did you mean {DRY_RUN}?"));
    } else if is_dry_run_of_istio(&key.text) {
        let fix = if is_policy { format!("write {DRY_RUN}") } else { "remove it".to_owned() };
        idle("an annotation that is known", fix);
    } else if object.kind != ResourceKind::ServiceEntry
        && object.kind.is_policy()
        && key.text.split_once('/').is_some_and(|(prefix, _)| is_own(prefix))
    {
        // The controller writes its own to the ServiceEntries that it makes.
        let fix = "remove it: ours are for pods and namespaces (docs/kubernetes.md)";
        idle("no annotation of Postern on a policy", fix.to_owned());
    }
}

/// A label does not make a dry run: the policy would be in force while its writer thinks that it is not.
fn refuse_dry_run_label(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
    labels: YamlValue<'_>,
) {
    let NodeKind::Map(entries) = &labels.node.kind else { return };
    for (key, _) in entries {
        if !is_dry_run_of_istio(&key.text) {
            continue;
        }
        let found = format!("the label `{}` of {}", key.text, object.label());
        let fix = match object.kind {
            ResourceKind::AuthorizationPolicy => {
                format!("write annotations: {{{DRY_RUN}: \"true\"}}")
            }
            _ => "remove it".to_owned(),
        };
        reader.report_with_code(
            DiagnosticCode::NoEffect,
            key.mark,
            found,
            "an annotation",
            Some(fix),
        );
    }
}

/// Dry-run, in whatever spelling, under one of Istio's prefixes.
fn is_dry_run_of_istio(key: &str) -> bool {
    key.split_once('/').is_some_and(|(prefix, name)| {
        let theirs = prefix == "istio.io" || prefix.ends_with(".istio.io");
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        theirs && letters.map(|c| c.to_ascii_lowercase()).eq("dryrun".chars())
    })
}

fn is_own(prefix: &str) -> bool {
    prefix.strip_suffix("postern.dev").is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A namespace's name: a DNS label (RFC 1123).
///
/// # Errors
/// What to write.
pub fn dns_label(text: &str) -> Result<Arc<str>, &'static str> {
    match text.len() <= 63 && is_dns_part(text) {
        true => Ok(text.into()),
        false => {
            Err("namespaces are lower-case letters, digits and '-', at most 63, no '-' at an end")
        }
    }
}

/// A DNS subdomain (RFC 1123): an object's name.
pub(super) fn dns_subdomain(text: &str) -> Result<Arc<str>, &'static str> {
    match is_dns_subdomain(text) {
        true => Ok(text.into()),
        false => Err(
            "names are lower-case letters, digits, '-' and '.', at most 253, beginning and ending with a letter or digit",
        ),
    }
}

/// A DNS subdomain: at most 253 of lower-case letters, digits, `-` and `.`.
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_part)
}

fn is_dns_part(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edges = [text.bytes().next(), text.bytes().last()];
    edges.iter().all(|edge| edge.is_some_and(inner)) && text.bytes().all(|b| inner(b) || b == b'-')
}
