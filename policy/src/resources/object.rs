//! What every Kubernetes object has: kind, version, name, namespace.

use std::sync::Arc;

use crate::yaml::{Mapping, Mark, Reader, Value, nearest};

/// The kinds this version reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    AuthorizationPolicy,
    PeerAuthentication,
    RequestAuthentication,
    ServiceEntry,
    TokenPolicy,
}

const SECURITY: &str = "security.istio.io/v1";
const NETWORKING: &str = "networking.istio.io/v1";
const GATEWAY: &str = "gateway.networking.k8s.io/v1";
const OWN_GROUP: &str = "policy.postern.dev/";
const OWN: &str = "policy.postern.dev/v1alpha1";

/// Kind, its apiVersion, and what it is here; `None` for kinds that belong to Postern but not to this version.
const KINDS: &[(&str, &str, Option<Kind>)] = &[
    ("AuthorizationPolicy", SECURITY, Some(Kind::AuthorizationPolicy)),
    ("PeerAuthentication", SECURITY, Some(Kind::PeerAuthentication)),
    ("RequestAuthentication", SECURITY, Some(Kind::RequestAuthentication)),
    ("ServiceEntry", NETWORKING, Some(Kind::ServiceEntry)),
    ("TokenPolicy", OWN, Some(Kind::TokenPolicy)),
    ("DestinationRule", NETWORKING, None),
    ("HTTPRoute", GATEWAY, None),
    ("GRPCRoute", GATEWAY, None),
    ("Gateway", GATEWAY, None),
];

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        KINDS.iter().find(|(_, _, kind)| *kind == Some(self)).map_or("", |(name, _, _)| name)
    }
}

/// An object's head, and its spec still to be read.
#[derive(Debug)]
pub(super) struct Object<'n> {
    pub(super) kind: Kind,
    /// Where the object begins.
    pub(super) mark: Mark,
    pub(super) name: Arc<str>,
    pub(super) namespace: Arc<str>,
    /// `metadata.annotations`.
    pub(super) annotations: Option<Value<'n>>,
    /// `metadata.creationTimestamp`: RFC 3339 text sorts by time.
    pub(super) created: Option<&'n str>,
    pub(super) spec: Option<Value<'n>>,
}

impl Object<'_> {
    /// `namespace/name`.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Reads an object's head. `None` after a mistake that leaves nothing to go on with.
pub(super) fn read<'n>(reader: &mut Reader, root: Value<'n>) -> Option<Object<'n>> {
    let mut map = reader.mapping(root)?;
    let version = map.require(reader, "apiVersion").and_then(|v| Some((v, reader.text(v)?)));
    let kind = map.require(reader, "kind").and_then(|v| Some((v, reader.text(v)?)));
    let metadata = map.require(reader, "metadata");
    let spec = map.take("spec");
    // What the cluster adds to an object it gives back; it says nothing about what is wanted.
    map.take("status");
    let kind = version.zip(kind).and_then(|(version, kind)| known_kind(reader, version, kind));
    map.finish(reader);
    let metadata = metadata.and_then(|v| read_metadata(reader, v))?;
    Some(Object {
        kind: kind?,
        mark: root.node.mark,
        name: metadata.name?,
        namespace: metadata.namespace?,
        annotations: metadata.annotations,
        created: metadata.created,
        spec,
    })
}

fn known_kind(
    reader: &mut Reader,
    version: (Value<'_>, &str),
    kind: (Value<'_>, &str),
) -> Option<Kind> {
    let known = KINDS.iter().find(|(name, _, _)| *name == kind.1);
    let (mark, found) = (kind.0.node.mark, format!("kind {}", kind.1));
    match known {
        Some((_, api, _)) if *api != version.1 => {
            reader.wrong(version.0, format_args!("{api}, the version of kind {}", kind.1), None);
            None
        }
        Some((_, _, Some(kind))) => Some(*kind),
        Some((_, _, None)) => {
            let fix = format!("{} is not supported by this version", kind.1);
            reader.mistake(mark, found, supported_kinds(), Some(fix));
            None
        }
        None if version.1.starts_with(OWN_GROUP) => {
            let fix = format!("{} of {} is not supported by this version", kind.1, version.1);
            reader.mistake(mark, found, supported_kinds(), Some(fix));
            None
        }
        None => {
            let near = nearest(kind.1, KINDS.iter().map(|(name, _, _)| *name));
            reader.mistake(
                mark,
                found,
                supported_kinds(),
                near.map(|name| format!("did you mean {name}?")),
            );
            None
        }
    }
}

fn supported_kinds() -> String {
    let names: Vec<_> =
        KINDS.iter().filter(|(_, _, kind)| kind.is_some()).map(|(name, _, _)| *name).collect();
    format!("one of {}", names.join(", "))
}

struct Metadata<'n> {
    name: Option<Arc<str>>,
    namespace: Option<Arc<str>>,
    annotations: Option<Value<'n>>,
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

fn read_metadata<'n>(reader: &mut Reader, value: Value<'n>) -> Option<Metadata<'n>> {
    let mut map: Mapping<'n> = reader.mapping(value)?;
    let name = map
        .require(reader, "name")
        .and_then(|v| reader.parsed(v, "an object's name", dns_subdomain));
    let namespace = map.require(reader, "namespace");
    let namespace = namespace.and_then(|v| reader.parsed(v, "a namespace", dns_label));
    if let Some(labels) = map.take("labels") {
        reader.mapping(labels);
    }
    let annotations = map.take("annotations");
    let created = map.take("creationTimestamp").and_then(|v| v.scalar());
    for key in CLUSTER_METADATA {
        map.take(key);
    }
    map.finish(reader);
    Some(Metadata { name, namespace, annotations, created })
}

/// A DNS label (RFC 1123): a namespace.
pub(super) fn dns_label(text: &str) -> Result<Arc<str>, &'static str> {
    match text.len() <= 63 && is_dns_part(text) {
        true => Ok(text.into()),
        false => {
            Err("namespaces are lower-case letters, digits and '-', at most 63, no '-' at an end")
        }
    }
}

/// A DNS subdomain (RFC 1123): an object's name.
fn dns_subdomain(text: &str) -> Result<Arc<str>, &'static str> {
    match text.len() <= 253 && text.split('.').all(is_dns_part) {
        true => Ok(text.into()),
        false => Err(
            "names are lower-case letters, digits, '-' and '.', at most 253, beginning and ending with a letter or digit",
        ),
    }
}

fn is_dns_part(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edges = [text.bytes().next(), text.bytes().last()];
    edges.iter().all(|edge| edge.is_some_and(inner)) && text.bytes().all(|b| inner(b) || b == b'-')
}
