//! ReferenceGrant (`gateway.networking.k8s.io`): a namespace lets routes of others send to its Services.

use std::sync::Arc;

use super::object::{ResourceObject, dns_label, dns_subdomain};
use crate::route::{GrantSource, GrantTarget, ReferenceGrant, RouteKind};
use crate::yaml::{YamlMapping, YamlReader, YamlValue};

/// The most sources and targets of a grant, as the standard has it.
const MAX_ITEMS: usize = 16;

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// Reads a grant. What it says of other kinds than routes and Services is well formed, and permits nothing here.
pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<ReferenceGrant> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `from` and `to`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let from = read_items(reader, &mut map, "from", read_source);
    let to = read_items(reader, &mut map, "to", read_target);
    map.finish(reader);
    Some(ReferenceGrant {
        namespace: Arc::clone(&object.namespace),
        name: Arc::clone(&object.name),
        from: from?,
        to: to?,
    })
}

fn read_items<T>(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    key: &'static str,
    read: impl Fn(&mut YamlReader, YamlValue<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let value = map.require(reader, key)?;
    let items = reader.filled_list(value, MAX_ITEMS)?;
    let found: Vec<_> = items.into_iter().map(|item| read(reader, item)).collect();
    found.into_iter().collect()
}

fn read_source(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<GrantSource> {
    let mut map = reader.mapping(value)?;
    let (group, kind) = read_kind(reader, &mut map);
    let namespace = map.require(reader, "namespace");
    let namespace = namespace.and_then(|v| reader.parsed(v, "a namespace", dns_label));
    map.finish(reader);
    let (group, kind) = (group?, kind?);
    let of_routes = RouteKind::ALL.into_iter().find(|known| known.as_str() == kind);
    Some(GrantSource { kind: of_routes.filter(|_| group == GATEWAY_GROUP), namespace: namespace? })
}

fn read_target(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<GrantTarget> {
    let mut map = reader.mapping(value)?;
    let (group, kind) = read_kind(reader, &mut map);
    let name = map.take("name").map(|v| reader.parsed(v, "an object's name", dns_subdomain));
    map.finish(reader);
    let name = name.map_or(Some(None), |name| name.map(Some))?;
    Some(match (group?, kind?, name) {
        ("", "Service", None) => GrantTarget::AnyService,
        ("", "Service", Some(name)) => GrantTarget::Service(name),
        _ => GrantTarget::Other,
    })
}

/// Group and kind: both must be written, and the core group is `""`.
fn read_kind<'n>(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'n>,
) -> (Option<&'n str>, Option<&'n str>) {
    let group = map.require(reader, "group").and_then(|group| match group.is_empty_text() {
        true => Some(""),
        false => reader.text(group),
    });
    let kind = map.require(reader, "kind").and_then(|kind| reader.text(kind));
    (group, kind)
}
