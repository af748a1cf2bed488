//! Addresses that are known, but outside of the mesh: what is behind them has no identity, so a proxy that dials one refuses it
//! by name (`upstream_not_in_mesh`), whatever its default for unknown destinations is (ARCHITECTURE, invariant 10).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use policy::Protocol;

use super::services::{ports_of, remove};
use super::{Index, ObjectName, Pod, ResourceDocument, message};
use crate::controller::service_message as proto;

impl Index {
    /// Notes the addresses of a pod that was `before` something else.
    pub(super) fn move_pod(&mut self, name: &ObjectName, before: Option<&Pod>) {
        let now = self.pods.get(name);
        let matters = |pod: &Pod| (pod.ips.clone(), pod.has_proxy, pod.ended, pod.on_host);
        if before.map(matters) == now.map(matters) {
            return;
        }
        // Also those on the host's network: endpoints are believed by them.
        let touched = before.into_iter().chain(now).flat_map(|pod| pod.ips.iter().copied());
        let touched = touched.collect();
        let (before, now) = (own_addresses(before), own_addresses(now));
        for ip in before.difference(&now) {
            remove(&mut self.pod_ips, ip, name);
        }
        for ip in now {
            self.pod_ips.entry(ip).or_default().insert(name.clone());
        }
        self.changes.record_addresses(&touched);
    }

    /// Whether a proxy answers for the service at this address and port.
    pub(super) fn is_inside(&self, service: &ObjectName, ip: IpAddr, port: u16) -> bool {
        let Some(record) = self.services.get(service) else { return false };
        self.slices_about(service).any(|slice| {
            let mut ready = slice.endpoints.iter().filter(|found| found.ip == ip && found.ready);
            ports_of(slice, &record.object).any(|(_, number)| number == port)
                && ready.any(|found| self.pod_at(service, found).is_some_and(|pod| pod.has_proxy))
        })
    }

    /// The name of what is at an address where nobody of the mesh answers: a pod with an address of its own, on any port; a
    /// Service, on a port that it does not have; a pod on the host's network, on the ports of its Service; or what an EndpointSlice
    /// of the client's own namespace says. What slices of other namespaces say of addresses that are no pod's of theirs is their
    /// business alone (invariant 12).
    pub(super) fn outside(
        &self,
        client_namespace: &Arc<str>,
        address: SocketAddr,
    ) -> Option<String> {
        let (ip, port) = (address.ip(), address.port());
        if let Some(service) = self.cluster_ips.get(&ip).and_then(BTreeSet::first) {
            return Some(self.host_of(service));
        }
        if let Some(pod) = self.pod_ips.get(&ip).and_then(BTreeSet::first) {
            return Some(self.host_at(ip, &pod.namespace));
        }
        let services = self.endpoint_ips.get(&ip).into_iter().flatten();
        let mut services = services.filter(|name| self.services.contains_key(name));
        let found = services.find(|service| {
            let own = service.namespace == *client_namespace;
            self.slices_about(service).any(|slice| {
                let mut here = slice.endpoints.iter().filter(|endpoint| endpoint.ip == ip);
                slice.ports.iter().any(|slot| slot.number == port)
                    && here.any(|endpoint| own || self.pod_at(service, endpoint).is_some())
            })
        });
        found.map(|service| self.host_at(ip, &service.namespace))
    }

    /// As the cluster's DNS names an address in a namespace.
    fn host_at(&self, ip: IpAddr, namespace: &str) -> String {
        format!("{}.{namespace}.pod.{}", dashed(ip), self.settings.cluster_domain)
    }

    /// The document of such an address: a service without identities.
    pub(super) fn outside_document(&self, host: &str, address: SocketAddr) -> ResourceDocument {
        let (ip, port) = (address.ip(), address.port());
        let port = message::service_port(&"".into(), port, port, Protocol::Auto);
        ResourceDocument::of_service(&proto::Service {
            namespace: self.settings.root_namespace.to_string(),
            name: format!("outside-{}-{}", dashed(ip), port.number),
            hosts: vec![host.to_owned()],
            addresses: vec![ip.to_string()],
            location: proto::Location::Internal.into(),
            ports: vec![port],
            resolution: proto::Resolution::None.into(),
            ..proto::Service::default()
        })
    }
}

fn own_addresses(pod: Option<&Pod>) -> BTreeSet<IpAddr> {
    let pod = pod.filter(|pod| !pod.ended && !pod.on_host);
    pod.into_iter().flat_map(|pod| pod.ips.iter().copied()).collect()
}

/// An address as one label of a name; IPv6 in full, because a label begins with no dash.
fn dashed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string().replace('.', "-"),
        IpAddr::V6(ip) => {
            let groups = ip.segments().map(|group| format!("{group:x}"));
            groups.join("-")
        }
    }
}
