//! `targetRefs` of a RateLimitPolicy: Services, Gateways and routes of its own namespace.

use std::sync::Arc;

use super::target::{self, TargetRef};
use crate::resources::object::{dns_label, dns_subdomain};
use crate::route::{RouteId, RouteKind};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The most `targetRefs` of a policy, as of other policies.
const MAX_TARGETS: usize = 16;

/// What a limit is attached to.
#[derive(Debug, Clone, PartialEq)]
pub enum LimitTarget {
    /// The workloads behind a Service: all requests to them.
    Service(TargetRef),
    /// What comes in by a Gateway.
    Gateway {
        /// `namespace/name`.
        name: Arc<str>,
        /// By this listener alone.
        section: Option<Arc<str>>,
    },
    /// What a route takes at a gateway.
    Route {
        /// `HTTPRoute shop/cart`, as a rule's label writes it.
        label: Arc<str>,
        /// What this rule takes alone.
        rule: Option<Arc<str>>,
    },
}

impl LimitTarget {
    /// True for what only a gateway has.
    pub fn is_of_gateway(&self) -> bool {
        !matches!(self, Self::Service(_))
    }
}

#[derive(Debug, Clone, Copy)]
enum TargetKind {
    Service,
    Gateway,
    Route(RouteKind),
}

const KINDS: &[(&str, TargetKind)] = &[
    ("Service", TargetKind::Service),
    ("Gateway", TargetKind::Gateway),
    ("HTTPRoute", TargetKind::Route(RouteKind::Http)),
    ("GRPCRoute", TargetKind::Route(RouteKind::Grpc)),
];
const GATEWAY_API: &str = "gateway.networking.k8s.io";

pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<Vec<LimitTarget>> {
    let items = reader.filled_list(value, MAX_TARGETS)?;
    let targets: Vec<_> =
        items.into_iter().map(|item| read_target(reader, item, namespace)).collect();
    targets.into_iter().collect()
}

fn read_target(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<LimitTarget> {
    let mut map = reader.mapping(value)?;
    let kind = map.require(reader, "kind").and_then(|v| reader.choice(v, KINDS));
    let right = kind.map(|kind| check_group(reader, &mut map, kind));
    let name = map.require(reader, "name").and_then(|v| read_name(reader, v, kind?));
    let section = read_section(reader, &mut map, kind);
    refuse_namespace(reader, &mut map);
    map.finish(reader);
    right??;
    Some(match (kind?, name?, section?) {
        (TargetKind::Service, name, _) => {
            LimitTarget::Service(target::service(reader, &name, namespace, value.node.mark))
        }
        (TargetKind::Gateway, name, section) => {
            LimitTarget::Gateway { name: format!("{namespace}/{name}").into(), section }
        }
        (TargetKind::Route(kind), name, rule) => {
            let id = RouteId { kind, namespace: Arc::clone(namespace), name };
            LimitTarget::Route { label: id.to_string().into(), rule }
        }
    })
}

/// A Service's name is a DNS label, all others' a subdomain.
fn read_name(reader: &mut YamlReader, value: YamlValue<'_>, kind: TargetKind) -> Option<Arc<str>> {
    match kind {
        TargetKind::Service => reader.parsed(value, "a Service's name", dns_label),
        _ => reader.parsed(value, "an object's name", dns_subdomain),
    }
}

fn check_group(reader: &mut YamlReader, map: &mut YamlMapping<'_>, kind: TargetKind) -> Option<()> {
    let group = map.take("group");
    let (right, expected) = match kind {
        TargetKind::Service => {
            let core = |v: YamlValue<'_>| v.is_empty_text() || v.is_text("core");
            (group.is_none_or(core), "\"\", the group of kind Service")
        }
        _ => (group.is_some_and(|v| v.is_text(GATEWAY_API)), "gateway.networking.k8s.io"),
    };
    if right {
        return Some(());
    }
    match group {
        Some(group) => reader.report_value(group, expected, None),
        None => {
            let found = "no `group` in a target";
            let code = DiagnosticCode::MissingKey;
            reader.report_with_code(code, map.mark(), found, format!("group: {expected}"), None);
        }
    }
    None
}

fn read_section(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    kind: Option<TargetKind>,
) -> Option<Option<Arc<str>>> {
    let Some(value) = map.take("sectionName") else { return Some(None) };
    if matches!(kind, Some(TargetKind::Service)) {
        let fix = "a limit is about all ports of a Service; take the line out".to_owned();
        let code = DiagnosticCode::Unsupported;
        reader.report_value_with_code(code, value, "no `sectionName` for a Service", Some(fix));
        return None;
    }
    reader.parsed(value, "the name of a listener or rule", dns_subdomain).map(Some)
}

fn refuse_namespace(reader: &mut YamlReader, map: &mut YamlMapping<'_>) {
    let Some(other) = map.take_unsupported("namespace") else { return };
    let fix = "a policy is about its own namespace; move it to the target's".to_owned();
    let (code, mark) = (DiagnosticCode::Reach, other.node.mark);
    let expected = "a target of the policy's namespace";
    reader.report_with_code(code, mark, "`namespace` in a target", expected, Some(fix));
}
