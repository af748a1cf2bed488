//! What gateways are reviewed by: their documents, and what the cluster says beside them.

use policy::core_group::Secret;
use policy::gateway::ObjectName as Named;
use policy::gateway_status::{GatewayProgress, StatusFacts};

use super::gateway_runs::asked_address;
use super::{Index, ObjectName, PolicyKind, PolicyName};
use crate::controller::gateways::certificates;
use crate::controller::gateways::names::runs;
use crate::controller::gateways::review::ReviewedGateways;

impl Index {
    /// The gateways of ours with all that belongs to them, and our classes.
    #[must_use]
    pub fn reviewed_gateways(&self) -> ReviewedGateways {
        let mut reviewed = ReviewedGateways::default();
        for name in self.own_classes() {
            let served = self.policies.get(name).and_then(|record| record.served.as_ref());
            if let Some(served) = served {
                reviewed.classes.insert(name.to_string());
                reviewed.documents.insert(name.to_string(), served.document.clone());
            }
        }
        for name in self.own_gateways() {
            let documents = self.documents_to_review(name);
            reviewed.gateways.push((name.object.clone(), documents.keys().cloned().collect()));
            reviewed.documents.extend(documents);
        }
        reviewed
    }

    /// What the cluster says of them.
    #[must_use]
    pub fn status_facts(&self) -> ClusterFacts<'_> {
        ClusterFacts { index: self }
    }

    /// The addresses of a gateway: its load balancer's, else its Service's within the cluster.
    #[must_use]
    pub fn gateway_addresses(&self, gateway: &ObjectName) -> Vec<String> {
        let Some(record) = self.services.get(&runs(gateway)) else { return Vec::new() };
        let service = &record.object;
        match service.exposure.is_balanced {
            true => service.exposure.ingress.clone(),
            false => service.cluster_ips.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What the cluster says beside the documents.
#[derive(Debug)]
pub struct ClusterFacts<'a> {
    index: &'a Index,
}

impl StatusFacts for ClusterFacts<'_> {
    fn check_certificate(&self, secret: &Secret) -> Result<(), String> {
        certificates::check(secret)
    }

    fn check_authorities(&self, pem: &[u8]) -> Result<(), String> {
        certificates::check_authorities(pem)
    }

    fn has_service_port(&self, namespace: &str, name: &str, port: u16) -> bool {
        let record = self.index.services.get(&ObjectName::new(namespace, name));
        record.is_some_and(|record| record.object.ports.iter().any(|known| known.number == port))
    }

    fn has_service(&self, namespace: &str, name: &str, port_name: Option<&str>) -> bool {
        let record = self.index.services.get(&ObjectName::new(namespace, name));
        record.is_some_and(|record| {
            let mut ports = record.object.ports.iter();
            port_name.is_none_or(|port| ports.any(|known| *known.name == *port))
        })
    }

    fn progress(&self, gateway: &Named) -> GatewayProgress {
        let name = ObjectName::new(&gateway.namespace, &gateway.name);
        let runs = runs(&name);
        let available = self.index.gateways.deployments.get(&runs).map(|made| made.available);
        if available.unwrap_or_default() == 0 {
            let message = format!("no replica of Deployment {runs} is available yet");
            return GatewayProgress::Pending(message);
        }
        let addresses = self.index.gateway_addresses(&name);
        if addresses.is_empty() {
            return GatewayProgress::AddressNotAssigned(format!(
                "Service {runs} has no address yet"
            ));
        }
        let gateway = PolicyName { kind: PolicyKind::Gateway, object: name };
        let record = self.index.policies.get(&gateway);
        let asked = record.and_then(|record| asked_address(&record.object.document));
        match asked.filter(|asked| !addresses.contains(&asked.to_string())) {
            Some(asked) => GatewayProgress::AddressNotUsable(format!(
                "Service {runs} has another address than {asked}"
            )),
            None => GatewayProgress::Programmed,
        }
    }
}
