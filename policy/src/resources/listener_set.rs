//! ListenerSet (`gateway.networking.k8s.io`): listeners that are added to a Gateway.

use super::gateway::{GATEWAY_GROUP, listeners};
use super::object::{ResourceObject, dns_label, dns_subdomain};
use crate::gateway::{ListenerSet, ObjectName};
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue};

/// Reads a ListenerSet. Whether its Gateway takes listeners of it is not said by it.
pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<ListenerSet> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with parentRef and listeners", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let parent = map.require(reader, "parentRef");
    let parent = parent.and_then(|value| read_parent(reader, value, object));
    let listeners = listeners::read(reader, &mut map, &object.namespace);
    map.finish(reader);
    Some(ListenerSet {
        id: object.id(),
        created: object.created.map(Into::into),
        parent: parent?,
        listeners: listeners?,
    })
}

fn read_parent(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    object: &ResourceObject<'_>,
) -> Option<ObjectName> {
    let mut map = reader.mapping(value)?;
    for (key, known) in [("group", GATEWAY_GROUP), ("kind", "Gateway")] {
        let other = map.take(key).filter(|value| !value.is_text(known));
        if let Some(other) = other {
            let fix = "a ListenerSet adds to a Gateway, and to nothing else".to_owned();
            let code = DiagnosticCode::Unsupported;
            reader.report_value_with_code(code, other, known, Some(fix));
        }
    }
    let namespace = map.take("namespace").map(|v| reader.parsed(v, "a namespace", dns_label));
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "an object's name", dns_subdomain));
    map.finish(reader);
    let namespace = namespace.unwrap_or_else(|| Some(object.namespace.clone()))?;
    Some(ObjectName { namespace, name: name? })
}
