//! References to Secrets, ConfigMaps and other objects.

use std::sync::Arc;

use crate::gateway::{ObjectName, ObjectReference};
use crate::resources::object::{dns_label, dns_subdomain};
use crate::yaml::{YamlMapping, YamlReader, YamlValue};

/// The longest group or kind, as the standard has it.
const MAX_KIND: usize = 253;

/// A `SecretObjectReference`: a Secret, unless it says otherwise.
pub(in crate::resources) fn read_secret(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<ObjectReference> {
    let mut map = reader.mapping(value)?;
    let group = map.take("group").map_or(Some("".into()), |v| read_group(reader, v));
    let kind = map.take("kind").map_or(Some("Secret".into()), |v| read_kind(reader, v));
    let named = take_namespace(reader, &mut map, namespace);
    finish(reader, map, (group, kind, named))
}

/// An `ObjectReference`: group and kind must be written, and the core group is `""`.
pub(in crate::resources) fn read_object(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<ObjectReference> {
    let mut map = reader.mapping(value)?;
    let (group, kind) = require_kind(reader, &mut map);
    let named = take_namespace(reader, &mut map, namespace);
    finish(reader, map, (group, kind, named))
}

/// A `LocalObjectReference`: to an object of the same namespace.
pub(in crate::resources) fn read_local(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<ObjectReference> {
    let map = reader.mapping(value)?;
    read_rest(reader, map, namespace)
}

/// The same, of what is left of a mapping.
pub(in crate::resources) fn read_rest(
    reader: &mut YamlReader,
    mut map: YamlMapping<'_>,
    namespace: &Arc<str>,
) -> Option<ObjectReference> {
    let (group, kind) = require_kind(reader, &mut map);
    finish(reader, map, (group, kind, Some(Arc::clone(namespace))))
}

/// A `parametersRef`. That of a GatewayClass, which lies in no namespace, may name one.
pub(in crate::resources) fn read_parameters(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &str,
) -> Option<ObjectReference> {
    let namespace: Arc<str> = namespace.into();
    match namespace.is_empty() {
        true => read_object(reader, value, &namespace),
        false => read_local(reader, value, &namespace),
    }
}

type WrittenReference = (Option<Arc<str>>, Option<Arc<str>>, Option<Arc<str>>);

fn finish(
    reader: &mut YamlReader,
    mut map: YamlMapping<'_>,
    (group, kind, namespace): WrittenReference,
) -> Option<ObjectReference> {
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "an object's name", dns_subdomain));
    map.finish(reader);
    let object = ObjectName { namespace: namespace?, name: name? };
    Some(ObjectReference { group: group?, kind: kind?, object })
}

fn require_kind(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
) -> (Option<Arc<str>>, Option<Arc<str>>) {
    let group = map.require(reader, "group").and_then(|v| read_group(reader, v));
    let kind = map.require(reader, "kind").and_then(|v| read_kind(reader, v));
    (group, kind)
}

fn take_namespace(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    own: &Arc<str>,
) -> Option<Arc<str>> {
    match map.take("namespace") {
        Some(value) => reader.parsed(value, "a namespace", dns_label),
        None => Some(Arc::clone(own)),
    }
}

/// Reads a group, which may be the core group's `""`.
pub(in crate::resources) fn read_group(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<Arc<str>> {
    match value.is_empty_text() {
        true => Some("".into()),
        false => reader.parsed(value, "a group", dns_subdomain),
    }
}

/// Reads a kind, known or not.
pub(in crate::resources) fn read_kind(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<Arc<str>> {
    reader.parsed(value, "a kind", |text| {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match plain && text.len() <= MAX_KIND {
            true => Ok(text.into()),
            false => Err("kinds are letters, digits and '-'"),
        }
    })
}
