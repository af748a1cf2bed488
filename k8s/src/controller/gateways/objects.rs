//! What runs a gateway: its ServiceAccount, its Deployment and its Service.
//!
//! They belong to the Gateway (`ownerReferences`) and go with it. The pods know nothing of listeners, which the controller
//! tells the proxies: an edit of a Gateway changes its Service, and restarts nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::names::{label_value, object_name};
use crate::controller::convert::GATEWAY_LABEL;
use crate::controller::index::ObjectName;
use crate::controller::status::FIELD_MANAGER;
use crate::inject::InjectionSettings;
use crate::inject::gateway::{GatewayOptions, ServiceType, pod_spec};

/// The label of the class, beside [`GATEWAY_LABEL`].
const CLASS_LABEL: &str = "gateway.networking.k8s.io/gateway-class-name";
/// The annotation with a digest of what was applied, by which it is seen that nothing is to be done.
pub const APPLIED: &str = "postern.dev/applied";
/// The annotation that keeps the webhook away: these pods have what it would add.
const INJECT: (&str, &str) = ("postern.dev/inject", "disabled");

/// A gateway, as far as its objects follow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayFacts {
    /// Its namespace and name.
    pub name: ObjectName,
    /// `metadata.uid`, for the owner references.
    pub uid: Arc<str>,
    /// The version of the kind that the cluster has: `gateway.networking.k8s.io/v1`.
    pub api_version: String,
    /// `spec.gatewayClassName`
    pub class: String,
    /// `spec.infrastructure.labels`: put onto everything that is made.
    pub labels: BTreeMap<String, String>,
    /// `spec.infrastructure.annotations`: the same.
    pub annotations: BTreeMap<String, String>,
    /// What the annotations of ours among them ask for.
    pub options: GatewayOptions,
    /// The ports of its listeners, with what is spoken on each: `https`.
    pub ports: BTreeMap<u16, String>,
    /// The first address that is asked for (`spec.addresses`), for the load balancer.
    pub address: Option<IpAddr>,
}

/// An object to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayObject {
    /// Group and version, or the version alone.
    pub api_version: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// As the API server's paths write the kind.
    pub plural: &'static str,
    /// The object.
    pub object: Value,
}

impl GatewayObject {
    /// The digest that it carries.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.object["metadata"]["annotations"][APPLIED].as_str()
    }
}

/// The objects of a gateway, in the order in which they are applied: pods need their ServiceAccount. There is no Service as
/// long as there are no listeners: Kubernetes takes none without ports.
#[must_use]
pub fn gateway_objects(gateway: &GatewayFacts, settings: &InjectionSettings) -> Vec<GatewayObject> {
    let account = object("v1", "ServiceAccount", "serviceaccounts", gateway, &service_account());
    let deployment = deployment(gateway, settings);
    let deployment = object("apps/v1", "Deployment", "deployments", gateway, &deployment);
    let service = (!gateway.ports.is_empty()).then(|| service(gateway));
    let service = service.map(|spec| object("v1", "Service", "services", gateway, &spec));
    [account, deployment].into_iter().chain(service).collect()
}

fn service_account() -> Value {
    json!({"automountServiceAccountToken": false})
}

fn deployment(gateway: &GatewayFacts, settings: &InjectionSettings) -> Value {
    let selector = selector(gateway);
    let mut annotations = gateway.annotations.clone();
    annotations.insert(INJECT.0.to_owned(), INJECT.1.to_owned());
    let mut spec = json!({
        "selector": {"matchLabels": selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {
            "metadata": {"labels": labels(gateway), "annotations": annotations},
            "spec": pod_spec(
                &gateway.name.to_string(),
                &object_name(&gateway.name.name),
                &selector,
                &gateway.options,
                settings,
            ),
        },
    });
    if let Some(replicas) = gateway.options.replicas {
        spec["replicas"] = replicas.into();
    }
    json!({"spec": spec})
}

fn service(gateway: &GatewayFacts) -> Value {
    let port = |(number, protocol): (&u16, &String)| {
        json!({
            "name": format!("{protocol}-{number}"),
            "port": number,
            "targetPort": number,
            "protocol": "TCP",
        })
    };
    let kind = gateway.options.service_type;
    let mut spec = json!({
        "type": kind.as_str(),
        "selector": selector(gateway),
        "ports": gateway.ports.iter().map(port).collect::<Vec<_>>(),
    });
    if kind != ServiceType::ClusterIp {
        // The client's address arrives as it is: limits and logs name it.
        spec["externalTrafficPolicy"] = "Local".into();
    }
    if let (ServiceType::LoadBalancer, Some(address)) = (kind, gateway.address) {
        spec["loadBalancerIP"] = address.to_string().into();
    }
    json!({"spec": spec})
}

/// What the pods of a gateway are found by. It cannot be changed in a Deployment that is there.
fn selector(gateway: &GatewayFacts) -> BTreeMap<String, String> {
    BTreeMap::from([(GATEWAY_LABEL.to_owned(), label_value(&gateway.name.name))])
}

/// Ours win: by them the objects are found.
fn labels(gateway: &GatewayFacts) -> BTreeMap<String, String> {
    let ours = [
        (GATEWAY_LABEL, label_value(&gateway.name.name)),
        (CLASS_LABEL, gateway.class.chars().take(63).collect()),
        ("app.kubernetes.io/name", "postern-gateway".to_owned()),
        ("app.kubernetes.io/managed-by", FIELD_MANAGER.to_owned()),
    ];
    let mut labels = gateway.labels.clone();
    labels.extend(ours.map(|(key, value)| (key.to_owned(), value)));
    labels
}

/// An object of a gateway: `fields` beside its metadata.
fn object(
    api_version: &'static str,
    kind: &'static str,
    plural: &'static str,
    gateway: &GatewayFacts,
    fields: &Value,
) -> GatewayObject {
    let mut object = fields.clone();
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    object["metadata"] = json!({
        "name": object_name(&gateway.name.name),
        "namespace": &*gateway.name.namespace,
        "labels": labels(gateway),
        "annotations": gateway.annotations,
        "ownerReferences": [{
            "apiVersion": gateway.api_version,
            "kind": "Gateway",
            "name": &*gateway.name.name,
            "uid": &*gateway.uid,
            "controller": true,
            "blockOwnerDeletion": false,
        }],
    });
    let digest = crate::controller::convert::digest(&object.to_string());
    object["metadata"]["annotations"][APPLIED] = format!("{digest:016x}").into();
    GatewayObject { api_version, kind, plural, object }
}

#[cfg(test)]
mod tests;
