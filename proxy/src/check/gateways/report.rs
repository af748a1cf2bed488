//! All statuses of files, as JSON.

use policy::gateway::ObjectName;
use policy::gateway_status::{
    GatewayClassStatus, GatewayStatus, ListenerSetStatus, PolicyStatus, RouteStatus,
};
use serde::Serialize;

use super::GatewayFindings;

/// All statuses, as JSON.
#[derive(Serialize)]
pub(in crate::check) struct GatewayReport<'a> {
    classes: Vec<Told<'a, GatewayClassStatus>>,
    gateways: Vec<Told<'a, GatewayStatus>>,
    listener_sets: Vec<Told<'a, ListenerSetStatus>>,
    routes: Vec<Told<'a, RouteStatus>>,
    backend_tls_policies: Vec<Told<'a, PolicyStatus>>,
}

/// An object with its status, in the shape that a cluster has it.
#[derive(Serialize)]
struct Told<'a, S> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    name: &'a str,
    status: &'a S,
}

impl GatewayFindings {
    /// The report; `None` without Gateways.
    pub(in crate::check) fn report(&self) -> Option<GatewayReport<'_>> {
        let statuses = &self.statuses;
        let is_empty = statuses.gateways.is_empty() && self.warnings.is_empty();
        (!is_empty).then(|| GatewayReport {
            classes: statuses.classes.iter().map(|(name, status)| class(name, status)).collect(),
            gateways: objects("Gateway", &statuses.gateways),
            listener_sets: objects("ListenerSet", &statuses.listener_sets),
            routes: statuses
                .routes
                .iter()
                .map(|(id, status)| {
                    let (kind, namespace) = (id.kind.as_str(), Some(&*id.namespace));
                    Told { kind, namespace, name: &id.name, status }
                })
                .collect(),
            backend_tls_policies: objects("BackendTLSPolicy", &statuses.backend_tls_policies),
        })
    }
}

fn class<'a>(name: &'a str, status: &'a GatewayClassStatus) -> Told<'a, GatewayClassStatus> {
    Told { kind: "GatewayClass", namespace: None, name, status }
}

fn objects<'a, S>(kind: &'static str, told: &'a [(ObjectName, S)]) -> Vec<Told<'a, S>> {
    told.iter()
        .map(|(id, status)| Told { kind, namespace: Some(&id.namespace), name: &id.name, status })
        .collect()
}
