//! `backendRefs`: where a rule sends requests.

use std::sync::Arc;

use super::{RuleContext, filters};
use crate::resources::object::{dns_label, dns_subdomain};
use crate::route::{Backend, BackendKind, FieldChanges, InvalidBackend};
use crate::service::CLUSTER_SUFFIX;
use crate::yaml::{YamlMapping, YamlReader, YamlValue};

/// The most backends of a rule, as the standard has it.
const MAX_BACKENDS: usize = 16;
/// The largest weight, as the standard has it.
const MAX_WEIGHT: u64 = 1_000_000;

/// Reads the backends of a rule.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    context: &RuleContext<'_>,
) -> Option<Vec<Backend>> {
    // The standard's own way to say that a rule has no backend is an empty list.
    let items = match context.kind.is_of_requests() && value.is_empty_list() {
        true => Vec::new(),
        false => reader.filled_list(value, MAX_BACKENDS)?,
    };
    let read = |item| {
        let mut map = reader.mapping(item)?;
        let reference = read_reference(reader, &mut map, context);
        let weight = map.take("weight").map_or(Some(1), |v| reader.integer(v, 0..=MAX_WEIGHT));
        let changes = match context.kind.is_of_requests() {
            true => filters::read_of_backend(reader, &mut map, context.kind),
            false => Some((FieldChanges::default(), FieldChanges::default())),
        };
        map.finish(reader);
        let (request_fields, response_fields) = changes?;
        let weight = u32::try_from(weight?).ok()?;
        Some(Backend { weight, request_fields, response_fields, ..reference? })
    };
    let backends: Vec<_> = items.into_iter().map(read).collect();
    backends.into_iter().collect()
}

/// Reads what a `backendRef` names: a Service, unless it says otherwise.
///
/// Another kind, or another namespace, is taken: whether requests may go there is the table's to say.
pub(super) fn read_reference(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    context: &RuleContext<'_>,
) -> Option<Backend> {
    let kind = read_kind(reader, map);
    let is_service = kind == Some(BackendKind::Service);
    let name = map.require(reader, "name");
    let name = name.and_then(|v| match is_service {
        true => reader.parsed(v, "a Service's name", dns_label),
        false => reader.parsed(v, "an object's name", dns_subdomain),
    });
    let namespace = map.take("namespace").map(|v| reader.parsed(v, "a namespace", dns_label));
    let port = match is_service {
        true => map.require(reader, "port").and_then(|v| reader.port(v)),
        false => map.take("port").map_or(Some(0), |v| reader.port(v)),
    };
    let namespace = namespace.unwrap_or_else(|| Some(Arc::clone(context.namespace)))?;
    let (kind, name) = (kind?, name?);
    let invalid = match kind {
        BackendKind::Other(_) => Some(InvalidBackend::InvalidKind),
        BackendKind::Service if namespace != *context.namespace => {
            Some(InvalidBackend::RefNotPermitted)
        }
        BackendKind::Service => None,
    };
    Some(Backend {
        host: format!("{name}.{namespace}{CLUSTER_SUFFIX}").into(),
        kind,
        namespace,
        name,
        port: port?,
        weight: 1,
        request_fields: FieldChanges::default(),
        response_fields: FieldChanges::default(),
        invalid,
    })
}

fn read_kind(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<BackendKind> {
    let group = map.take("group");
    let kind = map.take("kind").map_or(Some("Service"), |v| reader.text(v));
    let group = match group {
        Some(group) if !group.is_empty_text() => reader.text(group)?,
        _ => "",
    };
    Some(match (kind?, group) {
        ("Service", "") => BackendKind::Service,
        (kind, "") => BackendKind::Other(kind.into()),
        (kind, group) => BackendKind::Other(format!("{kind}.{group}").into()),
    })
}
