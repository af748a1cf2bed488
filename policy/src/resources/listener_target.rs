//! `targetRefs` of policies about a gateway: Gateways, ListenerSets, and single listeners of them.

use std::sync::Arc;

use super::object::dns_subdomain;
use crate::client_traffic::{ClientTrafficTarget, ListenerOwner};
use crate::gateway::ObjectName;
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue};

/// The most targets of one policy (Gateway API's limit).
const MAX_TARGETS: usize = 16;
const GROUP: &str = "gateway.networking.k8s.io";
const OWNERS: &[(&str, ListenerOwner)] =
    &[("Gateway", ListenerOwner::Gateway), ("ListenerSet", ListenerOwner::ListenerSet)];

pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    own: &Arc<str>,
) -> Option<Vec<ClientTrafficTarget>> {
    let items = reader.filled_list(value, MAX_TARGETS)?;
    items.into_iter().map(|item| read_target(reader, item, own)).collect()
}

fn read_target(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    own: &Arc<str>,
) -> Option<ClientTrafficTarget> {
    let mut map = reader.mapping(value)?;
    if let Some(group) = map.require(reader, "group").filter(|group| !group.is_text(GROUP)) {
        let code = DiagnosticCode::Unsupported;
        reader.report_value_with_code(code, group, GROUP, None);
    }
    let kind = map.require(reader, "kind").and_then(|v| reader.choice(v, OWNERS));
    if let Some(other) = map.take_unsupported("namespace") {
        let fix = "a policy is about its own namespace; move it to the Gateway's".to_owned();
        let (found, expected) = ("`namespace` in a target", "an object of the own namespace");
        let code = DiagnosticCode::Reach;
        reader.report_with_code(code, other.node.mark, found, expected, Some(fix));
    }
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "an object's name", dns_subdomain));
    let section = map.take("sectionName");
    let section = section.map(|v| reader.parsed(v, "the name of a listener", dns_subdomain));
    map.finish(reader);
    Some(ClientTrafficTarget {
        kind: kind?,
        object: ObjectName::new(Arc::clone(own), name?),
        section: section.map_or(Some(None), |section| section.map(Some))?,
    })
}
