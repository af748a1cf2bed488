//! DestinationRule (`networking.istio.io/v1`): how a service is called.
//!
//! Istio's fields and their meaning, read strictly. What is not done here is refused by name, with what to do instead: a
//! setting that is passed over would be thought to hold.

mod connection_pool;
mod host;
mod load_balancer;
mod outlier_detection;
mod settings;
mod tls;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::object::ResourceObject;
use crate::traffic_policy::{TrafficPolicy, UpstreamTls};
use crate::yaml::{DiagnosticCode, SourcePosition, YamlMapping, YamlReader, YamlValue};
use crate::{Diagnostic, Resources, Service};
use settings::refuse_keys;

/// The most ports of one rule that have settings of their own.
const MAX_PORTS: usize = 64;

/// A DestinationRule.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationRule {
    name: Arc<str>,
    namespace: Arc<str>,
    host: Arc<str>,
    created: Option<Arc<str>>,
    policy: Arc<TrafficPolicy>,
    ports: BTreeMap<u16, Arc<TrafficPolicy>>,
    file: Arc<str>,
    mark: SourcePosition,
}

impl DestinationRule {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The namespace whose clients it acts on (all clients, in the root namespace).
    pub fn namespace(&self) -> &Arc<str> {
        &self.namespace
    }

    /// The host that is called, canonical; `*` or `*.` before a name for every host that ends so.
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// What it says of ports without settings of their own.
    pub fn policy(&self) -> &Arc<TrafficPolicy> {
        &self.policy
    }

    /// What it says of single ports (`portLevelSettings`), in the place of the whole [`Self::policy`].
    pub fn port_policies(&self) -> &BTreeMap<u16, Arc<TrafficPolicy>> {
        &self.ports
    }

    /// What is smaller holds, of two rules of one namespace for one host: the older (`creationTimestamp`; what has none
    /// counts as younger), then the first by name.
    pub(crate) fn precedence(&self) -> (bool, Option<&str>, &str) {
        (self.created.is_none(), self.created.as_deref(), &self.name)
    }

    /// TLS for a service of the mesh, as a diagnostic: its proxies speak mutual TLS already, and nothing else is let in.
    pub(super) fn misplaced_tls(&self, resources: &Resources) -> Option<Diagnostic> {
        let is_ours = |service: &&Service| {
            !service.external && service.host == self.host && self.acts_beside(service, resources)
        };
        let mut policies = std::iter::once(&self.policy).chain(self.ports.values());
        policies.find(|policy| policy.tls.is_some())?;
        let entries = resources.service_entries().iter();
        let service = entries.flat_map(|entry| entry.services()).find(is_ours)?;
        let found = format!("`tls` for {}, which is in the mesh", service.host);
        let fix = "take `tls` out, or set `location: MESH_EXTERNAL` in its ServiceEntry".to_owned();
        let expected = "mode ISTIO_MUTUAL, which the mesh always speaks";
        let diagnostic = Diagnostic::new(&self.file, self.mark, found, expected, Some(fix));
        let name = format!("DestinationRule {}", self.name);
        Some(diagnostic.with_code(DiagnosticCode::Value).within(name.into()))
    }

    fn acts_beside(&self, service: &Service, resources: &Resources) -> bool {
        let is_root = |namespace: &Arc<str>| **namespace == *resources.root_namespace();
        service.namespace == self.namespace
            || is_root(&service.namespace)
            || is_root(&self.namespace)
    }
}

/// The rules that say nothing, because another of their namespace holds for the host, as diagnostics. They are no ground to
/// refuse a set: in a cluster each object comes alone, and the same one holds wherever it is read.
pub(super) fn hidden(rules: &[DestinationRule]) -> Vec<Diagnostic> {
    let mut sorted: Vec<_> = rules.iter().collect();
    sorted.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
    let mut first = HashMap::new();
    let hidden =
        sorted.into_iter().filter_map(|rule| match first.entry((&rule.namespace, &rule.host)) {
            Entry::Vacant(vacant) => {
                vacant.insert(&rule.name);
                None
            }
            Entry::Occupied(holds) => Some(rule.hidden_by(holds.get())),
        });
    hidden.collect()
}

impl DestinationRule {
    fn hidden_by(&self, other: &str) -> Diagnostic {
        let found = format!("a second DestinationRule for {} in its namespace", self.host);
        let expected = "each host once in a namespace";
        let fix =
            format!("{other} holds, which is older or first by name; join the two, or remove one");
        let diagnostic = Diagnostic::new(&self.file, self.mark, found, expected, Some(fix));
        let name = format!("DestinationRule {}", self.name);
        diagnostic.with_code(DiagnosticCode::NoEffect).within(name.into())
    }
}

pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
) -> Option<DestinationRule> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `host` and `trafficPolicy`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let host = map.require(reader, "host").and_then(|v| host::read(reader, v, &object.namespace));
    let policy = map.take("trafficPolicy");
    if policy.is_none() && !map.has("subsets") {
        refuse_without_effect(reader, spec.node.mark);
    }
    refuse_keys(reader, &mut map, UNSUPPORTED);
    read_exports(reader, &mut map);
    map.finish(reader);
    let host = host?;
    let (policy, ports) = match policy {
        Some(value) => read_policy(reader, value, &host)?,
        None => Default::default(),
    };
    Some(DestinationRule {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        host,
        created: object.created.map(Arc::from),
        policy: Arc::new(policy),
        ports,
        file: Arc::clone(reader.file()),
        mark: object.mark,
    })
}

const UNSUPPORTED: &[(&str, &str)] = &[
    (
        "subsets",
        "make a Service of each version and name them with their weights among the backends of an HTTPRoute",
    ),
    (
        "workloadSelector",
        "a rule is for every client of its namespace; put clients that call otherwise into a namespace of their own",
    ),
];

fn refuse_without_effect(reader: &mut YamlReader, mark: SourcePosition) {
    let found = "a DestinationRule without `trafficPolicy`, which changes nothing";
    let fix = "say what is to be different, or take the object out".to_owned();
    reader.report_with_code(DiagnosticCode::NoEffect, mark, found, "`trafficPolicy`", Some(fix));
}

/// A rule acts on the clients of its own namespace (invariant 12): naming others would promise what does not hold.
fn read_exports(reader: &mut YamlReader, map: &mut YamlMapping<'_>) {
    let Some(value) = map.take("exportTo") else { return };
    for item in reader.filled_list(value, MAX_PORTS).unwrap_or_default() {
        if !item.is_text(".") && !item.is_text("*") {
            let fix = "a DestinationRule acts on the clients of its own namespace, one of the root namespace on all; write \".\"";
            let expected = "\".\" or \"*\"";
            reader.report_value_with_code(DiagnosticCode::Reach, item, expected, Some(fix.into()));
        }
    }
}

type PortPolicies = BTreeMap<u16, Arc<TrafficPolicy>>;

/// `trafficPolicy`.
fn read_policy(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    host: &str,
) -> Option<(TrafficPolicy, PortPolicies)> {
    let mut map = reader.mapping(value)?;
    let policy = read_settings(reader, &mut map, host);
    let ports = map.take("portLevelSettings").map(|v| read_ports(reader, v, host));
    refuse_keys(reader, &mut map, UNSUPPORTED_POLICY);
    map.finish(reader);
    Some((policy, ports.unwrap_or_default()))
}

const UNSUPPORTED_POLICY: &[(&str, &str)] = &[
    (
        "tunnel",
        "bytes pass between proxies by CONNECT already; a proxy of others is called by the app itself",
    ),
    (
        "proxyProtocol",
        "who calls is said by the certificate of the proxy, and to the app by x-forwarded-client-cert",
    ),
];

/// What stands in `trafficPolicy` and in each of its ports alike.
fn read_settings(reader: &mut YamlReader, map: &mut YamlMapping<'_>, host: &str) -> TrafficPolicy {
    let balancer = map.take("loadBalancer").and_then(|v| load_balancer::read(reader, v));
    let pool = map.take("connectionPool").and_then(|v| connection_pool::read(reader, v));
    let outlier = map.take("outlierDetection").and_then(|v| outlier_detection::read(reader, v));
    let tls: Option<UpstreamTls> = map.take("tls").and_then(|v| tls::read(reader, v, host));
    TrafficPolicy {
        load_balancing: balancer.unwrap_or_default(),
        connection_pool: pool.unwrap_or_default(),
        outlier_detection: outlier.unwrap_or_default(),
        tls: tls.map(Arc::new),
    }
}

fn read_ports(reader: &mut YamlReader, value: YamlValue<'_>, host: &str) -> PortPolicies {
    let mut ports = PortPolicies::new();
    for item in reader.filled_list(value, MAX_PORTS).unwrap_or_default() {
        let Some((port, policy)) = read_port(reader, item, host) else { continue };
        if ports.insert(port, Arc::new(policy)).is_some() {
            let found = format!("port {port} again");
            let code = DiagnosticCode::Repeated;
            reader.report_with_code(code, item.node.mark, found, "each port once", None);
        }
    }
    ports
}

fn read_port(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    host: &str,
) -> Option<(u16, TrafficPolicy)> {
    let mut map = reader.mapping(value)?;
    let port = map.require(reader, "port").and_then(|v| {
        let mut map = reader.mapping(v)?;
        let number = map.require(reader, "number").and_then(|v| reader.port(v));
        map.finish(reader);
        number
    });
    let policy = read_settings(reader, &mut map, host);
    refuse_keys(reader, &mut map, UNSUPPORTED_POLICY);
    map.finish(reader);
    Some((port?, policy))
}

#[cfg(test)]
mod tests;
