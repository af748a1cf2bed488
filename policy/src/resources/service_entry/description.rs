//! A service as a controller describes it, field by field, and the check that makes a ServiceEntry of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use identity::SpiffeId;
use ipnet::IpNet;

use super::rules::{self, MAX_ENDPOINTS, MAX_ITEMS};
use super::{Definition, ServiceEntry};
use crate::pattern::AddressPattern;
use crate::resources::object::{dns_label, is_dns_subdomain};
use crate::service::Resolution;
use crate::{Endpoint, EndpointAddress, Locality, Protocol, ServicePort};

/// What a controller says of a service, not checked yet: see [`ServiceEntry::checked`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDescription {
    /// The namespace of the object that defines it.
    pub namespace: String,
    /// The name of that object.
    pub name: String,
    /// The host names, at least one.
    pub hosts: Vec<String>,
    /// Its own addresses, each an IP address or a block.
    pub addresses: Vec<String>,
    /// Whether it has no proxy of ours.
    pub external: bool,
    /// Its ports, at least one.
    pub ports: Vec<PortDescription>,
    /// How its endpoints are found.
    pub resolution: Resolution,
    /// Its endpoints.
    pub endpoints: Vec<EndpointDescription>,
    /// The identities one of which a server of it must present; `None`: they follow from the endpoints' service accounts.
    pub identities: Option<Vec<String>>,
}

/// A port of a service, not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortDescription {
    /// The port clients dial.
    pub number: u32,
    /// The port endpoints listen on.
    pub target_port: u32,
    /// Its name.
    pub name: String,
    /// What is spoken on it.
    pub protocol: Protocol,
}

/// An endpoint of a service, not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointDescription {
    /// An IP address or a DNS name.
    pub address: String,
    /// Ports that differ from the service's target port, by the service port's name.
    pub ports: Vec<(String, u32)>,
    /// The service account of the workload there.
    pub service_account: Option<String>,
    /// Where it runs (`region/zone/subzone`).
    pub locality: Option<String>,
    /// Its share of the calls beside the others'; `None`: 1.
    pub weight: Option<u32>,
}

impl ServiceEntry {
    /// Checks what a controller says of a service by the rules of files.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn checked(
        description: &ServiceDescription,
        root_namespace: &str,
    ) -> Result<Self, Vec<String>> {
        let mut check = Check::default();
        let definition = check.definition(description, root_namespace);
        match definition {
            Some(definition) if check.wrong.is_empty() => Ok(definition.into_entry()),
            _ => Err(check.wrong),
        }
    }
}

/// What a controller says of an entry that was read from an object. Labels of endpoints stay behind: they tell which workloads
/// are behind a service, for `targetRefs`, and a controller knows that itself.
impl From<&ServiceEntry> for ServiceDescription {
    fn from(entry: &ServiceEntry) -> Self {
        let (namespace, name) = entry.name().split_once('/').unwrap_or_default();
        let first = entry.services().first();
        let texts = |ids: &Arc<[SpiffeId]>| ids.iter().map(|id| id.as_str().to_owned()).collect();
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            hosts: entry.services().iter().map(|service| service.host.to_string()).collect(),
            addresses: entry.addresses().iter().map(ToString::to_string).collect(),
            external: first.is_some_and(|service| service.external),
            ports: first.map(|s| s.ports.iter().map(Into::into).collect()).unwrap_or_default(),
            resolution: first.map_or(Resolution::None, |service| service.resolution),
            endpoints: first
                .map(|service| service.endpoints.iter().map(Into::into).collect())
                .unwrap_or_default(),
            identities: entry.identities().map(texts),
        }
    }
}

impl From<&ServicePort> for PortDescription {
    fn from(port: &ServicePort) -> Self {
        let ServicePort { number, target_port, name, protocol } = port;
        let (number, target_port) = (u32::from(*number), u32::from(*target_port));
        Self { number, target_port, name: name.to_string(), protocol: *protocol }
    }
}

impl From<&Endpoint> for EndpointDescription {
    fn from(endpoint: &Endpoint) -> Self {
        let ports = endpoint.ports.iter();
        Self {
            address: match &endpoint.address {
                EndpointAddress::Ip(ip) => ip.to_string(),
                EndpointAddress::Dns(name) => name.to_string(),
            },
            ports: ports.map(|(name, number)| (name.to_string(), u32::from(*number))).collect(),
            service_account: endpoint.service_account.as_ref().map(ToString::to_string),
            locality: endpoint.locality.as_ref().map(ToString::to_string),
            weight: (endpoint.weight != 1).then_some(endpoint.weight),
        }
    }
}

/// Collects what is wrong.
#[derive(Default)]
struct Check {
    wrong: Vec<String>,
}

impl Check {
    fn definition(
        &mut self,
        from: &ServiceDescription,
        root_namespace: &str,
    ) -> Option<Definition> {
        let namespace = dns_label(&from.namespace).map_err(ToString::to_string);
        let namespace = self.took("the namespace", &from.namespace, namespace);
        if !is_dns_subdomain(&from.name) {
            self.wrong.push(format!("the name \"{}\" is no object's", shown(&from.name)));
        }
        self.count("hosts", from.hosts.len(), 1, MAX_ITEMS);
        self.count("addresses", from.addresses.len(), 0, MAX_ITEMS);
        self.count("ports", from.ports.len(), 1, MAX_ITEMS);
        self.count("endpoints", from.endpoints.len(), 0, MAX_ENDPOINTS);
        if let Some(identities) = &from.identities {
            self.count("identities", identities.len(), 1, MAX_ITEMS);
        }
        if !self.wrong.is_empty() {
            // Beyond the limits nothing is looked at singly.
            return None;
        }
        let namespace = namespace?;
        let ports = self.ports(&from.ports);
        let endpoints: Vec<_> = from.endpoints.iter().filter_map(|e| self.endpoint(e)).collect();
        for wrong in rules::contradictions(from.resolution, &endpoints, &ports) {
            self.wrong.push(format!("{}; expected {}", wrong.found, wrong.expected));
        }
        Some(Definition {
            name: format!("{namespace}/{}", from.name).into(),
            hosts: self.hosts(&from.hosts, &namespace, root_namespace),
            addresses: from.addresses.iter().filter_map(|text| self.address(text)).collect(),
            external: from.external,
            exported: true,
            ports,
            resolution: from.resolution,
            endpoints,
            identities: from.identities.as_ref().map(|ids| self.identities(ids)),
            namespace,
        })
    }

    fn hosts(&mut self, hosts: &[String], namespace: &str, root_namespace: &str) -> Vec<Arc<str>> {
        let mut checked = Vec::new();
        for text in hosts {
            let Some(host) = self.took("the host", text, rules::host(text)) else { continue };
            match rules::foreign_owner(&host, namespace, root_namespace) {
                Some(owner) => self.wrong.push(format!(
                    "the host {host} in namespace {namespace}, which is namespace {owner}'s"
                )),
                None => checked.push(host),
            }
        }
        checked
    }

    fn address(&mut self, text: &str) -> Option<IpNet> {
        let block = AddressPattern::parse(text).map(|pattern| pattern.block());
        self.took("the address", text, block.map_err(|error| error.to_string()))
    }

    fn identities(&mut self, ids: &[String]) -> Arc<[SpiffeId]> {
        let ids = ids.iter();
        ids.filter_map(|text| self.took("the identity", text, rules::identity(text))).collect()
    }

    fn ports(&mut self, described: &[PortDescription]) -> Vec<ServicePort> {
        let mut ports = Vec::new();
        for from in described {
            let (number, target_port) = (self.port(from.number), self.port(from.target_port));
            let (Some(number), Some(target_port)) = (number, target_port) else { continue };
            let name = from.name.as_str().into();
            let port = ServicePort { number, target_port, name, protocol: from.protocol };
            if from.name.is_empty() {
                self.wrong.push(format!("port {number} without a name"));
            } else if rules::is_repeated(&ports, &port) {
                self.wrong.push(format!("port {number} ({}) again", shown(&from.name)));
            } else {
                ports.push(port);
            }
        }
        ports
    }

    fn port(&mut self, number: u32) -> Option<u16> {
        let port = u16::try_from(number).ok().filter(|number| *number != 0);
        if port.is_none() {
            self.wrong.push(format!("the port {number}; expected one from 1 to 65535"));
        }
        port
    }

    fn endpoint(&mut self, from: &EndpointDescription) -> Option<Endpoint> {
        let address = rules::endpoint_address(&from.address);
        let address = self.took("the endpoint", &from.address, address)?;
        let account = from.service_account.as_deref();
        let service_account = match account {
            Some(text) => Some(self.took("the account", text, rules::account_name(text))?),
            None => None,
        };
        let locality = match from.locality.as_deref() {
            Some(text) => Some(self.took(
                "the locality",
                text,
                Locality::parse(text).map_err(ToString::to_string),
            )?),
            None => None,
        };
        let weight = from.weight.unwrap_or(1);
        if !(1..=Endpoint::MAX_WEIGHT).contains(&weight) {
            let most = Endpoint::MAX_WEIGHT;
            self.wrong.push(format!("the weight {weight}; expected 1 to {most}"));
        }
        let mut ports = BTreeMap::new();
        for (name, number) in &from.ports {
            let number = self.port(*number)?;
            if ports.insert(name.as_str().into(), number).is_some() {
                self.wrong.push(format!("the port name {} of an endpoint again", shown(name)));
            }
        }
        let labels = BTreeMap::new();
        Some(Endpoint { address, ports, labels, service_account, locality, weight })
    }

    fn took<T>(&mut self, what: &str, text: &str, checked: Result<T, String>) -> Option<T> {
        checked
            .map_err(|error| self.wrong.push(format!("{what} \"{}\": {error}", shown(text))))
            .ok()
    }

    fn count(&mut self, what: &str, number: usize, least: usize, most: usize) {
        if number < least || number > most {
            self.wrong.push(format!("{number} {what}; expected {least} to {most}"));
        }
    }
}

/// As much of a text as a diagnostic shows, without what a terminal would act on.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
