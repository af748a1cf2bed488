//! `parentRefs`: what a route is attached to.

use std::sync::Arc;

use super::section_name;
use crate::resources::object::{dns_label, dns_subdomain};
use crate::route::{ParentKind, ParentRef};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The most parents of a route, as the standard has it.
const MAX_PARENTS: usize = 32;

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// Reads the parents. A route without one acts on nothing.
pub(super) fn read(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    namespace: &Arc<str>,
) -> Option<Vec<ParentRef>> {
    let Some(value) = map.take("parentRefs") else {
        let found = "a route without `parentRefs`, which acts on nothing";
        let fix =
            "name the Service: parentRefs: [{group: \"\", kind: Service, name: …}]".to_owned();
        let code = DiagnosticCode::NoEffect;
        reader.report_with_code(code, map.mark(), found, "at least one parent", Some(fix));
        return None;
    };
    let items = reader.filled_list(value, MAX_PARENTS)?;
    let mut parents: Vec<ParentRef> = Vec::new();
    let mut all_read = true;
    for item in items {
        match read_parent(reader, item, namespace) {
            Some(parent) if parents.contains(&parent) => {
                let found = format!("the parent {} again", parent.name);
                let fix = "tell them apart by `port` or `sectionName`, or remove one".to_owned();
                let code = DiagnosticCode::Repeated;
                let mark = item.node.mark;
                reader.report_with_code(code, mark, found, "each parent once", Some(fix));
                all_read = false;
            }
            Some(parent) => parents.push(parent),
            None => all_read = false,
        }
    }
    all_read.then_some(parents)
}

fn read_parent(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<ParentRef> {
    let mut map = reader.mapping(value)?;
    let kind = read_kind(reader, &mut map);
    let named = map.take("namespace").map(|v| reader.parsed(v, "a namespace", dns_label));
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "an object's name", dns_subdomain));
    let port = map.take("port").map(|v| reader.port(v));
    let section = map.take("sectionName").map(|v| reader.parsed(v, "a name", section_name));
    map.finish(reader);
    Some(ParentRef {
        kind: kind?,
        namespace: named.unwrap_or_else(|| Some(Arc::clone(namespace)))?,
        name: name?,
        port: port.map_or(Some(None), |port| port.map(Some))?,
        section: section.map_or(Some(None), |section| section.map(Some))?,
    })
}

fn read_kind(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<ParentKind> {
    let group = map.take("group");
    let kind = map.take("kind");
    let group_name = match group {
        Some(group) if group.is_empty_text() => "",
        Some(group) => reader.text(group)?,
        None => GATEWAY_GROUP,
    };
    let kind_name = kind.map_or(Some("Gateway"), |kind| reader.text(kind))?;
    match (group_name, kind_name) {
        ("", "Service") => Some(ParentKind::Service),
        (GATEWAY_GROUP, "Gateway") => Some(ParentKind::Gateway),
        (GATEWAY_GROUP, "ListenerSet") => Some(ParentKind::ListenerSet),
        _ => {
            let mark = kind.or(group).map_or(map.mark(), |value| value.node.mark);
            let found = format!("the parent kind {kind_name} of group \"{group_name}\"");
            let expected = format!("Service of group \"\", or Gateway of {GATEWAY_GROUP}");
            let forgotten = kind_name == "Service" && group.is_none();
            let fix = forgotten.then(|| {
                format!("write group: \"\" beside it: without one, {GATEWAY_GROUP} is meant")
            });
            reader.report_with_code(DiagnosticCode::Unsupported, mark, found, expected, fix);
            None
        }
    }
}
