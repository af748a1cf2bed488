//! `targetRefs` of policies about a gateway: Gateways, ListenerSets, single listeners of them and, where a policy takes
//! them, HTTPRoutes.

use std::sync::Arc;

use super::object::dns_subdomain;
use crate::client_traffic::{ClientTrafficTarget, ListenerOwner};
use crate::gateway::ObjectName;
use crate::route::{RouteId, RouteKind};
use crate::sign_in::SignInTarget;
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The most targets of one policy (Gateway API's limit).
const MAX_TARGETS: usize = 16;
const GROUP: &str = "gateway.networking.k8s.io";
const OWNERS: &[(&str, ListenerOwner)] =
    &[("Gateway", ListenerOwner::Gateway), ("ListenerSet", ListenerOwner::ListenerSet)];
/// `None`: an HTTPRoute.
const OWNERS_AND_ROUTES: &[(&str, Option<ListenerOwner>)] = &[
    ("Gateway", Some(ListenerOwner::Gateway)),
    ("ListenerSet", Some(ListenerOwner::ListenerSet)),
    ("HTTPRoute", None),
];

/// What one item names.
struct NamedTarget<'n, K> {
    kind: K,
    object: ObjectName,
    section: Option<(YamlValue<'n>, Arc<str>)>,
}

pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    own: &Arc<str>,
) -> Option<Vec<ClientTrafficTarget>> {
    let items = reader.filled_list(value, MAX_TARGETS)?;
    let read = |item| read_target(reader, item, own, OWNERS).map(NamedTarget::listener);
    items.into_iter().map(read).collect()
}

/// As [`read`], HTTPRoutes among them.
pub(super) fn read_with_routes(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    own: &Arc<str>,
) -> Option<Vec<SignInTarget>> {
    let items = reader.filled_list(value, MAX_TARGETS)?;
    let read = |item| {
        let NamedTarget { kind, object, section } =
            read_target(reader, item, own, OWNERS_AND_ROUTES)?;
        match kind {
            Some(kind) => {
                Some(SignInTarget::Listener(NamedTarget { kind, object, section }.listener()))
            }
            None => {
                refuse_section_of_route(reader, section);
                let ObjectName { namespace, name } = object;
                Some(SignInTarget::Route(RouteId { kind: RouteKind::Http, namespace, name }))
            }
        }
    };
    items.into_iter().map(read).collect()
}

fn refuse_section_of_route(reader: &mut YamlReader, section: Option<(YamlValue<'_>, Arc<str>)>) {
    let Some((section, _)) = section else { return };
    let fix = "name the route alone, or a listener of the Gateway".to_owned();
    let found = "`sectionName` of an HTTPRoute";
    reader.report(section.node.mark, found, "an HTTPRoute as a whole", Some(fix));
}

impl NamedTarget<'_, ListenerOwner> {
    fn listener(self) -> ClientTrafficTarget {
        let section = self.section.map(|(_, section)| section);
        ClientTrafficTarget { kind: self.kind, object: self.object, section }
    }
}

fn read_target<'n, K: Copy>(
    reader: &mut YamlReader,
    value: YamlValue<'n>,
    own: &Arc<str>,
    kinds: &[(&str, K)],
) -> Option<NamedTarget<'n, K>> {
    let mut map = reader.mapping(value)?;
    if let Some(group) = map.require(reader, "group").filter(|group| !group.is_text(GROUP)) {
        let code = DiagnosticCode::Unsupported;
        reader.report_value_with_code(code, group, GROUP, None);
    }
    let kind = map.require(reader, "kind").and_then(|v| reader.choice(v, kinds));
    refuse_namespace(reader, &mut map);
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "an object's name", dns_subdomain));
    let section = map.take("sectionName").map(|v| {
        let name = reader.parsed(v, "the name of a listener", dns_subdomain)?;
        Some((v, name))
    });
    map.finish(reader);
    Some(NamedTarget {
        kind: kind?,
        object: ObjectName::new(Arc::clone(own), name?),
        section: section.map_or(Some(None), |section| section.map(Some))?,
    })
}

fn refuse_namespace(reader: &mut YamlReader, map: &mut YamlMapping<'_>) {
    let Some(other) = map.take_unsupported("namespace") else { return };
    let fix = "a policy is about its own namespace; move it to the Gateway's".to_owned();
    let (found, expected) = ("`namespace` in a target", "an object of the own namespace");
    let code = DiagnosticCode::Reach;
    reader.report_with_code(code, other.node.mark, found, expected, Some(fix));
}
