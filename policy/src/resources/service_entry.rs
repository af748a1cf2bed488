//! ServiceEntry (`networking.istio.io/v1`): services known from files, or from a controller's messages.

mod description;
pub(super) mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use identity::{SpiffeId, TrustDomain};
use ipnet::IpNet;

use super::label;
use super::object::ResourceObject;
use crate::pattern::AddressPattern;
use crate::service::Resolution;
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};
use crate::{Endpoint, EndpointAddress, Locality, Protocol, Service, ServicePort};
pub use description::{EndpointDescription, PortDescription, ServiceDescription};
use rules::{MAX_ENDPOINTS, MAX_ITEMS};

/// A ServiceEntry: one service for each of its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEntry {
    name: Arc<str>,
    namespace: Arc<str>,
    /// True unless `exportTo` says that it is for its own namespace.
    exported: bool,
    addresses: Vec<IpNet>,
    pub(super) services: Vec<Service>,
    /// True when `subjectAltNames` named the identities; else they follow from the endpoints' service accounts.
    named_identities: bool,
}

impl ServiceEntry {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// True when its writer meant it for other namespaces, too.
    pub(crate) fn is_exported(&self) -> bool {
        self.exported
    }

    /// The namespace whose clients it acts on (all clients, in the root namespace).
    pub fn namespace(&self) -> &Arc<str> {
        &self.namespace
    }

    /// The services' own addresses (`addresses`).
    pub fn addresses(&self) -> &[IpNet] {
        &self.addresses
    }

    /// The identities that it names; `None` when they follow from the endpoints' service accounts.
    pub fn identities(&self) -> Option<&Arc<[SpiffeId]>> {
        self.services.first().filter(|_| self.named_identities).map(|service| &service.identities)
    }

    /// The services with their identities: `subjectAltNames`, else the endpoints' service accounts in the entry's namespace.
    pub(crate) fn services_in(&self, trust_domain: &TrustDomain) -> Vec<Service> {
        let mut services = self.services.clone();
        if !self.named_identities {
            for service in &mut services {
                service.identities = account_identities(service, trust_domain);
            }
        }
        services
    }
}

fn account_identities(service: &Service, trust_domain: &TrustDomain) -> Arc<[SpiffeId]> {
    let accounts =
        service.endpoints.iter().filter_map(|endpoint| endpoint.service_account.as_deref());
    let ids = accounts
        .filter_map(|account| SpiffeId::workload(trust_domain, &service.namespace, account).ok());
    let ids: std::collections::BTreeSet<SpiffeId> = ids.collect();
    ids.into_iter().collect()
}

pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
    root_namespace: &str,
) -> Option<ServiceEntry> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "`spec` with hosts and ports", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let hosts =
        map.require(reader, "hosts").and_then(|v| read_hosts(reader, v, object, root_namespace));
    let addresses =
        map.take("addresses").map(|v| list(reader, v, read_address)).unwrap_or_default();
    let ports = map.require(reader, "ports").and_then(|v| read_ports(reader, v));
    let locations = [("MESH_EXTERNAL", true), ("MESH_INTERNAL", false)];
    let external = map.take("location").map_or(Some(true), |v| reader.choice(v, &locations));
    let resolution = read_resolution(reader, &mut map);
    let endpoints = map.take("endpoints").map(|v| read_endpoints(reader, v)).unwrap_or_default();
    let identities = map.take("subjectAltNames").map(|v| list(reader, v, read_identity));
    let exported = read_exports(reader, &mut map);
    if let Some(value) = map.take_unsupported("workloadSelector") {
        let fix =
            "list the endpoints; workloadSelector is not supported by this version".to_owned();
        let mark = value.node.mark;
        reader.report_with_code(
            DiagnosticCode::Unsupported,
            mark,
            "`workloadSelector`",
            "`endpoints`",
            Some(fix),
        );
    }
    map.finish(reader);
    let (ports, resolution) = (ports?, resolution?);
    for wrong in rules::contradictions(resolution, &endpoints, &ports) {
        reader.report(object.mark, wrong.found, wrong.expected, None);
    }
    let definition = Definition {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        hosts: hosts?,
        addresses,
        external: external?,
        exported,
        ports,
        resolution,
        endpoints,
        identities: identities.map(Arc::from),
    };
    Some(definition.into_entry())
}

/// What a ServiceEntry says, checked.
struct Definition {
    name: Arc<str>,
    namespace: Arc<str>,
    hosts: Vec<Arc<str>>,
    addresses: Vec<IpNet>,
    external: bool,
    exported: bool,
    ports: Vec<ServicePort>,
    resolution: Resolution,
    endpoints: Vec<Endpoint>,
    /// `None`: they follow from the endpoints' service accounts.
    identities: Option<Arc<[SpiffeId]>>,
}

impl Definition {
    /// One service for each host.
    fn into_entry(self) -> ServiceEntry {
        let named_identities = self.identities.is_some();
        let identities = self.identities.unwrap_or_default();
        let service = |host| Service {
            host,
            namespace: Arc::clone(&self.namespace),
            external: self.external,
            ports: self.ports.clone(),
            resolution: self.resolution,
            endpoints: self.endpoints.clone(),
            identities: Arc::clone(&identities),
        };
        let services = self.hosts.into_iter().map(service).collect();
        ServiceEntry {
            name: self.name,
            namespace: self.namespace.clone(),
            exported: self.exported,
            addresses: self.addresses,
            services,
            named_identities,
        }
    }
}

/// The items of a list that must not be empty, each read by `read`.
fn list<T>(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    read: impl Fn(&mut YamlReader, YamlValue<'_>) -> Option<T>,
) -> Vec<T> {
    let items = reader.filled_list(value, MAX_ITEMS).unwrap_or_default();
    items.into_iter().filter_map(|item| read(reader, item)).collect()
}

fn read_hosts(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    object: &ResourceObject<'_>,
    root_namespace: &str,
) -> Option<Vec<Arc<str>>> {
    let items = reader.filled_list(value, MAX_ITEMS)?;
    let hosts = items.into_iter().filter_map(|item| {
        let host = read_host(reader, item)?;
        refuse_foreign_host(reader, item, &host, object, root_namespace).then_some(host)
    });
    Some(hosts.collect())
}

fn read_host(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Arc<str>> {
    let expected = "a host name without port";
    if value.scalar().is_some_and(|text| text.contains('*')) {
        let fix = "wildcard hosts are not supported by this version".to_owned();
        reader.report_value_with_code(DiagnosticCode::Unsupported, value, expected, Some(fix));
        return None;
    }
    reader.parsed(value, expected, rules::host)
}

/// Notes a host that is another namespace's; true when it is none.
fn refuse_foreign_host(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    host: &str,
    object: &ResourceObject<'_>,
    root_namespace: &str,
) -> bool {
    let Some(owner) = rules::foreign_owner(host, &object.namespace, root_namespace) else {
        return true;
    };
    let found = format!("the host {host} in namespace {}", object.namespace);
    let fix = format!("define it in namespace {owner}, or in the root namespace {root_namespace}");
    let expected = format!("hosts of namespace {}, or outside the cluster", object.namespace);
    reader.report_with_code(DiagnosticCode::Reach, value.node.mark, found, expected, Some(fix));
    false
}

fn read_address(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<IpNet> {
    reader
        .parsed(value, "an address or block", AddressPattern::parse)
        .map(|pattern| pattern.block())
}

fn read_identity(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<SpiffeId> {
    reader.parsed(value, "a SPIFFE id (spiffe://…)", rules::identity)
}

fn read_resolution(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<Resolution> {
    let resolutions =
        [("NONE", Resolution::None), ("STATIC", Resolution::Static), ("DNS", Resolution::Dns)];
    let value = map.take("resolution");
    if let Some(value) = value
        && let Some(word @ ("DNS_ROUND_ROBIN" | "DYNAMIC_DNS")) = value.scalar()
    {
        let fix = format!("{word} is not supported by this version");
        reader.report_value_with_code(
            DiagnosticCode::Unsupported,
            value,
            "one of NONE, STATIC, DNS",
            Some(fix),
        );
        return None;
    }
    value.map_or(Some(Resolution::None), |v| reader.choice(v, &resolutions))
}

/// A ServiceEntry acts on clients of its own namespace (invariant 12): naming others would promise what does not hold. True when
/// it is for all, as it is where nothing is said.
fn read_exports(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> bool {
    let Some(value) = map.take("exportTo") else { return true };
    let items = reader.filled_list(value, MAX_ITEMS).unwrap_or_default();
    for item in &items {
        if !item.is_text(".") && !item.is_text("*") {
            let fix = "a ServiceEntry acts on its own namespace, one of the root namespace on all; write \".\"";
            reader.report_value_with_code(
                DiagnosticCode::Reach,
                *item,
                "\".\" or \"*\"",
                Some(fix.into()),
            );
        }
    }
    items.iter().any(|item| item.is_text("*"))
}

fn read_ports(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<ServicePort>> {
    let items = reader.filled_list(value, MAX_ITEMS)?;
    let mut ports: Vec<ServicePort> = Vec::new();
    for item in items {
        let Some(port) = read_port(reader, item) else { continue };
        if rules::is_repeated(&ports, &port) {
            let found = format!("port {} ({}) again", port.number, port.name);
            reader.report(item.node.mark, found, "each number and each name once", None);
            continue;
        }
        ports.push(port);
    }
    Some(ports)
}

fn read_port(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ServicePort> {
    let mut map = reader.mapping(value)?;
    let number = map.require(reader, "number").and_then(|v| reader.port(v));
    let name = map.require(reader, "name").and_then(|v| reader.text(v));
    let protocol = map.take("protocol").map(|v| read_protocol(reader, v));
    let target = map.take("targetPort").map(|v| reader.port(v));
    map.finish(reader);
    let (number, name) = (number?, name?);
    Some(ServicePort {
        number,
        target_port: target.unwrap_or(Some(number))?,
        name: name.into(),
        protocol: protocol.unwrap_or_else(|| Some(Protocol::of_port(None, &[name])))?,
    })
}

fn read_protocol(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Protocol> {
    reader.parsed(value, "a protocol", |text| {
        let names = || Protocol::names().collect::<Vec<_>>().join(", ");
        Protocol::parse(text).ok_or_else(|| format!("write one of {}", names().to_uppercase()))
    })
}

fn read_endpoints(reader: &mut YamlReader, value: YamlValue<'_>) -> Vec<Endpoint> {
    let items = reader.filled_list(value, MAX_ENDPOINTS).unwrap_or_default();
    items.into_iter().filter_map(|item| read_endpoint(reader, item)).collect()
}

fn read_endpoint(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Endpoint> {
    let mut map = reader.mapping(value)?;
    let address = map.require(reader, "address").and_then(|v| read_endpoint_address(reader, v));
    let ports = map.take("ports").map_or(Some(BTreeMap::new()), |v| read_endpoint_ports(reader, v));
    let labels = map.take("labels").map_or(Some(BTreeMap::new()), |v| label::read(reader, v));
    let account = map
        .take("serviceAccount")
        .map(|v| reader.parsed(v, "a service account's name", rules::account_name));
    let locality = map
        .take("locality")
        .map(|v| reader.parsed(v, "a locality such as eu/eu-west-1a", Locality::parse));
    let weight = map.take("weight").map(|v| read_weight(reader, v));
    if let Some(value) = map.take_unsupported("network") {
        let fix = "remove it; networks behind gateways are not supported by this version";
        reader.report_with_code(
            DiagnosticCode::Unsupported,
            value.node.mark,
            "`network` of an endpoint",
            "an endpoint that every client can reach",
            Some(fix.to_owned()),
        );
    }
    map.finish(reader);
    let labels = labels?.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    Some(Endpoint {
        address: address?,
        ports: ports?,
        labels,
        service_account: account.map_or(Some(None), |a| a.map(Some))?,
        locality: locality.map_or(Some(None), |l| l.map(Some))?,
        weight: weight.unwrap_or(Some(1))?,
    })
}

fn read_weight(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<u32> {
    u32::try_from(reader.integer(value, 1..=u64::from(Endpoint::MAX_WEIGHT))?).ok()
}

fn read_endpoint_address(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<EndpointAddress> {
    reader.parsed(value, "an IP address or a DNS name", rules::endpoint_address)
}

fn read_endpoint_ports(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<BTreeMap<Arc<str>, u16>> {
    let mut map = reader.mapping(value)?;
    let entries = map.entries();
    Some(
        entries
            .filter_map(|(key, value)| Some((Arc::from(&*key.text), reader.port(value)?)))
            .collect(),
    )
}
