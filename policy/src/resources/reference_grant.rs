//! ReferenceGrant (`gateway.networking.k8s.io`): a namespace lets routes of others send to its Services, and Gateways of
//! others use its certificates.

use std::sync::Arc;

use super::object::{ResourceObject, dns_label, dns_subdomain};
use crate::route::{GrantSource, GrantTarget, GrantedKind, ReferenceGrant, Referrer, RouteKind};
use crate::yaml::{YamlMapping, YamlReader, YamlValue};

/// The most sources and targets of a grant, as the standard has it.
const MAX_ITEMS: usize = 16;

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// Reads a grant. What it says of kinds that refer to nothing here is well formed, and permits nothing.
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
    let known = referrer(kind).filter(|_| group == GATEWAY_GROUP);
    Some(GrantSource { kind: known, namespace: namespace? })
}

fn referrer(kind: &str) -> Option<Referrer> {
    match kind {
        "Gateway" => Some(Referrer::Gateway),
        "ListenerSet" => Some(Referrer::ListenerSet),
        _ => {
            let mut routes = RouteKind::ALL.into_iter();
            routes.find(|known| known.as_str() == kind).map(Referrer::Route)
        }
    }
}

fn read_target(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<GrantTarget> {
    let mut map = reader.mapping(value)?;
    let (group, kind) = read_kind(reader, &mut map);
    let name = map.take("name").map(|v| reader.parsed(v, "an object's name", dns_subdomain));
    map.finish(reader);
    let name = name.map_or(Some(None), |name| name.map(Some))?;
    let (group, kind) = (group?, kind?);
    let known = GrantedKind::ALL.into_iter().find(|(known, _)| *known == kind);
    let kind = known.filter(|_| group.is_empty()).map(|(_, kind)| kind);
    Some(GrantTarget { kind, name })
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
