//! Services: their endpoints, whom these endpoints must prove to be, and the document that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use identity::SpiffeId;
use policy::Protocol;

use super::changes::{Change, Dependency};
use super::{
    EndpointRecord, Index, ObjectName, Pod, ResourceDocument, Service, ServicePort, Slice, message,
};
use crate::controller::service_message as proto;

/// The most endpoints a proxy is told of one service: each proxy gets its own share of a larger one, chosen by its pod's uid,
/// and every endpoint that it dials itself.
pub(super) const MOST_ENDPOINTS: usize = 1000;
/// The most endpoints without a proxy that are named in a document.
const MOST_NAMED: usize = 8;

/// A Service with what was made of it.
#[derive(Debug)]
pub(super) struct ServiceRecord {
    pub(super) object: Service,
    /// The document, made when a proxy first asks; one a share, see [`MOST_ENDPOINTS`].
    shares: OnceLock<Vec<OnceLock<Arc<ResourceDocument>>>>,
}

/// An endpoint of a service that no proxy protects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnprotectedEndpoint {
    /// The service.
    pub service: ObjectName,
    /// The endpoint's address.
    pub ip: IpAddr,
    /// Its pod; `None` where no pod of the service's namespace has this address.
    pub pod: Option<Arc<str>>,
}

/// The ready endpoints of a service, told apart by whether a proxy answers for them.
#[derive(Debug, Default)]
struct ReadyEndpoints {
    inside: BTreeMap<IpAddr, MeshEndpoint>,
    outside: BTreeSet<(IpAddr, Option<Arc<str>>)>,
}

#[derive(Debug)]
struct MeshEndpoint {
    account: Arc<str>,
    ports: BTreeMap<Arc<str>, u16>,
    locality: Option<policy::Locality>,
}

impl Index {
    pub(super) fn set_service(&mut self, name: ObjectName, object: Option<Service>) {
        let before = self.services.get(&name).map(|record| record.object.clone());
        if before == object {
            return;
        }
        // What its endpoints are at their own addresses follows from its ports.
        let mut touched = self.endpoint_ips_of(&name);
        for ip in before.iter().flat_map(|service| &service.cluster_ips) {
            remove(&mut self.cluster_ips, ip, &name);
            touched.insert(*ip);
        }
        for ip in object.iter().flat_map(|service| &service.cluster_ips) {
            self.cluster_ips.entry(*ip).or_default().insert(name.clone());
            touched.insert(*ip);
        }
        let record = object.map(|object| ServiceRecord { object, shares: OnceLock::new() });
        match record {
            Some(record) => self.services.insert(name.clone(), record),
            None => self.services.remove(&name),
        };
        self.review_routes_of(&name);
        self.changes.record(Change::Destinations(Dependency::Service(name)));
        self.changes.record_addresses(&touched);
        // Policies may target the service, and the pods behind it may learn their ports' protocols.
        self.changes.record(Change::AllWorkloads);
    }

    pub(super) fn set_slice(&mut self, name: ObjectName, slice: Option<Slice>) {
        if self.slices.get(&name) == slice.as_ref() {
            return;
        }
        let before = self.slices.remove(&name);
        if let Some(old) = &before {
            self.unlink_slice(&name, old);
        }
        if let Some(new) = &slice {
            self.link_slice(&name, new);
        }
        self.slice_changed(&name, before.as_ref(), slice.as_ref());
        if let Some(new) = slice {
            self.slices.insert(name, new);
        }
    }

    fn unlink_slice(&mut self, name: &ObjectName, slice: &Slice) {
        let service = service_of(name, slice);
        remove(&mut self.slices_of, &service, name);
        for endpoint in &slice.endpoints {
            if let Some(pod) = &endpoint.pod {
                let pod = ObjectName { namespace: name.namespace.clone(), name: pod.clone() };
                remove(&mut self.slices_with, &pod, name);
            }
        }
        let still: BTreeSet<IpAddr> = self.endpoint_ips_of(&service);
        for endpoint in slice.endpoints.iter().filter(|endpoint| !still.contains(&endpoint.ip)) {
            remove(&mut self.endpoint_ips, &endpoint.ip, &service);
        }
    }

    fn link_slice(&mut self, name: &ObjectName, slice: &Slice) {
        let service = service_of(name, slice);
        self.slices_of.entry(service.clone()).or_default().insert(name.clone());
        for endpoint in &slice.endpoints {
            if let Some(pod) = &endpoint.pod {
                let pod = ObjectName { namespace: name.namespace.clone(), name: pod.clone() };
                self.slices_with.entry(pod).or_default().insert(name.clone());
            }
            self.endpoint_ips.entry(endpoint.ip).or_default().insert(service.clone());
        }
    }

    fn slice_changed(&mut self, name: &ObjectName, before: Option<&Slice>, now: Option<&Slice>) {
        let services = before.into_iter().chain(now).map(|slice| service_of(name, slice));
        for service in services.collect::<BTreeSet<_>>() {
            self.service_changed(&service);
        }
        // Who dialled an address of it must hear that it means something else, whether the document was made or not.
        let told = |found: &EndpointRecord| (found.ip, found.ready, found.pod.clone());
        let addresses = differing(before, now, told).into_iter().map(|(ip, ..)| ip);
        self.changes.record_addresses(&addresses.collect());
        // The pods behind the service are told what their ports speak.
        for pod in differing(before, now, |found| found.pod.clone()).into_iter().flatten() {
            let pod = ObjectName { namespace: name.namespace.clone(), name: pod };
            self.changes.record(Change::Workload(pod));
        }
    }

    /// The addresses in all slices of a service that are still known.
    fn endpoint_ips_of(&self, service: &ObjectName) -> BTreeSet<IpAddr> {
        let slices = self.slices_of.get(service).into_iter().flatten();
        let slices = slices.filter_map(|name| self.slices.get(name));
        slices.flat_map(|slice| slice.endpoints.iter().map(|endpoint| endpoint.ip)).collect()
    }

    pub(super) fn set_pod(&mut self, name: ObjectName, pod: Option<Pod>) {
        if self.pods.get(&name) == pod.as_ref() {
            return;
        }
        let before = match pod {
            Some(pod) => self.pods.insert(name.clone(), pod),
            None => self.pods.remove(&name),
        };
        self.move_pod(&name, before.as_ref());
        let now = self.pods.get(&name);
        let told = |pod: &Pod| (pod.uid.clone(), pod.labels.clone(), pod.service_account.clone());
        if before.as_ref().map(told) != now.map(told) {
            self.changes.record(Change::Workload(name.clone()));
        }
        let slices = self.slices_with.get(&name).into_iter().flatten();
        let services =
            slices.filter_map(|slice| self.slices.get(slice).map(|found| service_of(slice, found)));
        for service in services.collect::<BTreeSet<_>>() {
            self.service_changed(&service);
        }
    }

    /// What was made of the service is out of date. Proxies are woken only when one of them has it.
    fn service_changed(&mut self, service: &ObjectName) {
        if let Some(record) = self.services.get_mut(service)
            && record.shares.take().is_some()
        {
            self.changes.record(Change::Destinations(Dependency::Service(service.clone())));
        }
    }

    /// The document of a service for the proxy whose pod has this uid. `dialled` are endpoints that it dials itself.
    pub(super) fn service_document(
        &self,
        name: &ObjectName,
        uid: &str,
        dialled: &BTreeSet<IpAddr>,
    ) -> Option<Arc<ResourceDocument>> {
        let record = self.services.get(name)?;
        if record.object.ports.is_empty() {
            return None;
        }
        let mut made = None;
        let shares = record.shares.get_or_init(|| {
            let endpoints = self.endpoints(name, &record.object);
            let count = endpoints.inside.len().div_ceil(MOST_ENDPOINTS).max(1);
            made = Some(endpoints);
            (0..count).map(|_| OnceLock::new()).collect()
        });
        let turn = usize::try_from(digest(uid) % shares.len() as u64).unwrap_or(0);
        let mut endpoints = || made.take().unwrap_or_else(|| self.endpoints(name, &record.object));
        if shares.len() > 1 && !dialled.is_empty() {
            let mut all = endpoints();
            all.keep_share(turn, shares.len(), dialled);
            return Some(Arc::new(self.render(name, &record.object, &all)));
        }
        let document = shares.get(turn)?.get_or_init(|| {
            let mut all = endpoints();
            all.keep_share(turn, shares.len(), &BTreeSet::new());
            Arc::new(self.render(name, &record.object, &all))
        });
        Some(document.clone())
    }

    /// The ready endpoints. One is believed only when the Pod it names, in the service's own namespace, has its address: what
    /// an EndpointSlice says of itself proves nothing (ARCHITECTURE, invariant 12).
    fn endpoints(&self, name: &ObjectName, service: &Service) -> ReadyEndpoints {
        let mut endpoints = ReadyEndpoints::default();
        for slice in self.slices_about(name) {
            for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.ready) {
                let pod = self.pod_at(name, endpoint);
                match pod.filter(|pod| pod.has_proxy) {
                    Some(pod) => {
                        let account = pod.service_account.clone();
                        let inside = endpoints.inside.entry(endpoint.ip);
                        let locality = endpoint.locality.clone();
                        let inside = inside.or_insert_with(|| MeshEndpoint {
                            account,
                            ports: BTreeMap::new(),
                            locality,
                        });
                        inside.ports.extend(ports_of(slice, service));
                    }
                    None => {
                        let pod = pod.and(endpoint.pod.clone());
                        endpoints.outside.insert((endpoint.ip, pod));
                    }
                }
            }
        }
        endpoints
    }

    fn render(
        &self,
        name: &ObjectName,
        service: &Service,
        endpoints: &ReadyEndpoints,
    ) -> ResourceDocument {
        let host = self.host_of(name);
        let targets = target_ports(service, endpoints);
        let port = |port: &ServicePort| {
            let target = targets.get(&port.name).copied().unwrap_or(port.number);
            message::service_port(&port.name, port.number, target, port.protocol)
        };
        let ids = self.identities(name, endpoints);
        let resolution = match ids.is_empty() {
            true => proto::Resolution::None,
            false => proto::Resolution::Static,
        };
        let listed = endpoints.inside.iter().filter(|_| !ids.is_empty());
        let listed = listed.map(|(ip, inside)| endpoint_message(*ip, inside, service, &targets));
        tracing::trace!(%host, "document made");
        ResourceDocument::of_service(&proto::Service {
            namespace: self.settings.root_namespace.to_string(),
            name: format!("{}.{}", name.name, name.namespace),
            hosts: vec![host],
            addresses: service.cluster_ips.iter().map(ToString::to_string).collect(),
            location: proto::Location::Internal.into(),
            ports: service.ports.iter().map(port).collect(),
            resolution: resolution.into(),
            endpoints: listed.collect(),
            identities: (!ids.is_empty()).then_some(proto::Identities { ids }),
            endpoints_without_proxy: endpoints.named_outside(),
        })
    }

    /// Whom the endpoints must prove to be: the service accounts of their pods, in the service's namespace.
    fn identities(&self, name: &ObjectName, endpoints: &ReadyEndpoints) -> Vec<String> {
        let accounts: BTreeSet<&Arc<str>> =
            endpoints.inside.values().map(|inside| &inside.account).collect();
        let domain = &self.settings.trust_domain;
        let ids = accounts
            .into_iter()
            .filter_map(|account| SpiffeId::workload(domain, &name.namespace, account).ok());
        ids.map(|id| id.as_str().to_owned()).collect()
    }

    /// The name of a service. The policy reader derives the short ones itself.
    pub(super) fn host_of(&self, name: &ObjectName) -> String {
        format!("{}.{}.svc.{}", name.name, name.namespace, self.settings.cluster_domain)
    }

    /// The Services whose slices name a pod.
    pub(super) fn services_before(&self, pod: &ObjectName) -> BTreeSet<ObjectName> {
        let slices = self.slices_with.get(pod).into_iter().flatten();
        let services = slices.filter_map(|name| Some(service_of(name, self.slices.get(name)?)));
        services.filter(|service| self.services.contains_key(service)).collect()
    }

    /// What the ports of a pod speak, as the Services in front of it say; a port about which two disagree is left out, but
    /// for that of a message broker: no second Service takes the rules about its messages away.
    pub(super) fn port_protocols(&self, pod: &ObjectName) -> BTreeMap<u16, Protocol> {
        let mut found: BTreeMap<u16, BTreeMap<&'static str, Protocol>> = BTreeMap::new();
        let slices = self.slices_with.get(pod).into_iter().flatten();
        for (name, slice) in slices.filter_map(|name| Some((name, self.slices.get(name)?))) {
            let Some(service) = self.services.get(&service_of(name, slice)) else { continue };
            for port in &service.object.ports {
                let Some(target) = slice.ports.iter().find(|slot| slot.name == port.name) else {
                    continue;
                };
                if port.protocol != Protocol::Auto {
                    let said = found.entry(target.number).or_default();
                    said.insert(port.protocol.as_str(), port.protocol);
                }
            }
        }
        let agreed = found.into_iter().filter_map(|(port, said)| {
            let mut of_brokers = said.values().filter(|protocol| protocol.messages().is_some());
            let alone = said.values().next().filter(|_| said.len() == 1);
            of_brokers.next().or(alone).map(|protocol| (port, *protocol))
        });
        agreed.collect()
    }

    /// The endpoints that no proxy protects, of services in namespaces of the mesh: at most `most`.
    #[must_use]
    pub fn outsiders(&self, most: usize) -> Vec<UnprotectedEndpoint> {
        let member =
            |name: &&ObjectName| self.namespaces.get(&name.namespace).is_some_and(|of| of.member);
        let mut names: Vec<&ObjectName> = self.services.keys().filter(member).collect();
        names.sort();
        // What listens at the edge is not what a proxy was forgotten at.
        let names = names.into_iter().filter(|name| !self.is_of_gateway(name));
        let outsiders = names.flat_map(|name| {
            let object = self.services.get(name).map(|record| &record.object);
            let endpoints = object.map(|object| self.endpoints(name, object)).unwrap_or_default();
            let service = name.clone();
            endpoints.outside.into_iter().map(move |(ip, pod)| UnprotectedEndpoint {
                service: service.clone(),
                ip,
                pod,
            })
        });
        outsiders.take(most).collect()
    }

    pub(super) fn slices_about(&self, service: &ObjectName) -> impl Iterator<Item = &Slice> {
        let slices = self.slices_of.get(service).into_iter().flatten();
        slices.filter_map(|name| self.slices.get(name))
    }

    /// The pod that an endpoint names, when that has not ended and has the endpoint's address.
    pub(super) fn pod_at(&self, service: &ObjectName, endpoint: &EndpointRecord) -> Option<&Pod> {
        let namespace = service.namespace.clone();
        let pod = ObjectName { namespace, name: endpoint.pod.clone()? };
        self.pods.get(&pod).filter(|pod| pod.ips.contains(&endpoint.ip) && !pod.ended)
    }
}

impl ReadyEndpoints {
    /// Some of those that no proxy protects, with their pods.
    fn named_outside(&self) -> Vec<String> {
        let named = self.outside.iter().take(MOST_NAMED);
        let named = named.map(|(ip, pod)| match pod {
            Some(pod) => format!("{ip} (pod {pod})"),
            None => ip.to_string(),
        });
        named.collect()
    }

    /// Keeps one share of many, and the endpoints in `also`.
    fn keep_share(&mut self, turn: usize, shares: usize, also: &BTreeSet<IpAddr>) {
        if shares > 1 {
            let share = |ip: &IpAddr| {
                usize::try_from(digest(ip) % shares as u64).is_ok_and(|share| share == turn)
            };
            let mut room = MOST_ENDPOINTS;
            self.inside.retain(|ip, _| {
                let keep = also.contains(ip) || (share(ip) && room > 0);
                room = room.saturating_sub(usize::from(keep));
                keep
            });
        }
    }
}

/// By port name: where the endpoints listen, as the first of them says.
fn target_ports(service: &Service, endpoints: &ReadyEndpoints) -> BTreeMap<Arc<str>, u16> {
    let target = |port: &ServicePort| {
        let mut listed = endpoints.inside.values();
        let first = listed.find_map(|inside| inside.ports.get(&port.name));
        (port.name.clone(), first.copied().unwrap_or(port.number))
    };
    service.ports.iter().map(target).collect()
}

fn endpoint_message(
    ip: IpAddr,
    inside: &MeshEndpoint,
    service: &Service,
    targets: &BTreeMap<Arc<str>, u16>,
) -> proto::Endpoint {
    let differing = service.ports.iter().filter_map(|port| {
        let number = *inside.ports.get(&port.name)?;
        let name = message::port_name(&port.name, port.number);
        let differs = targets.get(&port.name) != Some(&number);
        differs.then(|| proto::EndpointPort { name, number: number.into() })
    });
    let ports = differing.collect();
    proto::Endpoint {
        address: ip.to_string(),
        ports,
        locality: inside.locality.as_ref().map(ToString::to_string).unwrap_or_default(),
        ..proto::Endpoint::default()
    }
}

pub(super) fn ports_of<'a>(
    slice: &'a Slice,
    service: &'a Service,
) -> impl Iterator<Item = (Arc<str>, u16)> + 'a {
    let known = |name: &Arc<str>| service.ports.iter().any(|port| port.name == *name);
    let ports = slice.ports.iter().filter(move |port| known(&port.name));
    ports.map(|port| (port.name.clone(), port.number))
}

fn service_of(slice: &ObjectName, found: &Slice) -> ObjectName {
    ObjectName { namespace: slice.namespace.clone(), name: found.service.clone() }
}

/// What two versions of a slice do not both say of endpoints; all that either says when they differ in what holds for
/// every endpoint.
fn differing<T: Ord + Clone>(
    before: Option<&Slice>,
    now: Option<&Slice>,
    of: impl Fn(&EndpointRecord) -> T,
) -> BTreeSet<T> {
    let all = |slice: Option<&Slice>| -> BTreeSet<T> {
        slice.into_iter().flat_map(|slice| slice.endpoints.iter().map(&of)).collect()
    };
    let whole = |slice: &Slice| (slice.service.clone(), slice.ports.clone());
    let (old, new) = (all(before), all(now));
    match before.map(whole) == now.map(whole) {
        true => old.symmetric_difference(&new).cloned().collect(),
        false => old.union(&new).cloned().collect(),
    }
}

fn digest(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Takes `name` out of the set under `key`, and the set out of the map when it is empty.
pub(super) fn remove<K: std::hash::Hash + Eq, N: Ord>(
    map: &mut std::collections::HashMap<K, BTreeSet<N>>,
    key: &K,
    name: &N,
) {
    if let Some(set) = map.get_mut(key) {
        set.remove(name);
        if set.is_empty() {
            map.remove(key);
        }
    }
}
