//! Objects of the API server, cut down to what the index keeps.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::DynamicObject;
use policy::core_group::Secret as SecretOfPolicies;
use policy::{Locality, Protocol};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::gateways::objects::APPLIED;
use super::index::{
    Deployment, EndpointRecord, KindRole, Namespace, ObjectName, Pod, PolicyKind, PolicyObject,
    ReportedCondition, ResourceDocument, Service, ServiceExposure, ServicePort, Slice, SlicePort,
};
use super::status::ACCEPTED;
use super::trust_bundle::BUNDLE_KEY;

/// The label that makes a namespace part of the mesh, and its value.
pub const MEMBER_LABEL: (&str, &str) = ("postern.dev/inject", "enabled");
/// The label of a gateway's pods: the gateway's name (Gateway API, GEP-1762).
pub const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
/// The type of the Secrets that hold a certificate and its key.
pub const TLS_SECRET: &str = "kubernetes.io/tls";
/// The type of the Secrets that hold anything else.
pub const OPAQUE_SECRET: &str = "Opaque";
/// The longest value that is kept of these, in bytes: a private key of RSA has 3 KiB.
const MOST_CREDENTIAL: usize = 16 << 10;
/// Where a ConfigMap has the certificates of authorities (Gateway API, `caCertificateRefs`).
const AUTHORITIES_KEY: &str = "ca.crt";
/// The container that takes a pod's traffic.
pub const PROXY_CONTAINER: &str = "postern-proxy";
/// The label of an EndpointSlice that names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The namespace and name of an object.
pub fn name_of(object: &impl kube::ResourceExt) -> ObjectName {
    ObjectName::new(object.namespace().as_deref().unwrap_or_default(), &object.name_any())
}

/// Of a Pod. One that is on the host's network shares its addresses with others and counts as having no proxy; so does a
/// gateway's, whose ports speak what its listeners say and not the mesh's mutual TLS.
#[must_use]
pub fn pod(object: core::Pod) -> Pod {
    let spec = object.spec.unwrap_or_default();
    let status = object.status.unwrap_or_default();
    let is_ours = |container: &core::Container| container.name == PROXY_CONTAINER;
    let sidecars = spec.init_containers.iter().flatten();
    let has_proxy = spec.containers.iter().chain(sidecars).any(is_ours);
    let labels = object.metadata.labels.unwrap_or_default();
    let on_host = spec.host_network == Some(true);
    let ips = status.pod_ips.unwrap_or_default();
    Pod {
        uid: object.metadata.uid.unwrap_or_default().into(),
        service_account: spec.service_account_name.unwrap_or_else(|| "default".into()).into(),
        ips: ips.iter().filter_map(|ip| address(&ip.ip)).collect(),
        has_proxy: has_proxy && !on_host && !labels.contains_key(GATEWAY_LABEL),
        labels: Arc::new(labels),
        ended: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        on_host,
    }
}

/// Of a Service. One that is only a name for something outside (`ExternalName`) is none here.
#[must_use]
pub fn service(object: core::Service) -> Option<Service> {
    let applied = applied(object.metadata.annotations.as_ref());
    let spec = object.spec?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let ips = spec.cluster_ips.unwrap_or_default();
    let ports = spec.ports.unwrap_or_default();
    let targets: Vec<_> = ports.iter().filter(|port| is_tcp(port.protocol.as_deref())).collect();
    let balancer = object.status.and_then(|status| status.load_balancer);
    let ingress = balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
    Some(Service {
        exposure: ServiceExposure {
            is_balanced: spec.type_.as_deref() == Some("LoadBalancer"),
            ingress: ingress.into_iter().filter_map(|at| at.ip.or(at.hostname)).collect(),
            applied,
        },
        cluster_ips: ips.iter().filter_map(|ip| address(ip)).collect(),
        selector: spec.selector.unwrap_or_default(),
        ports: targets.into_iter().filter_map(service_port).collect(),
    })
}

fn service_port(port: &core::ServicePort) -> Option<ServicePort> {
    let name = port.name.clone().unwrap_or_default();
    // A target port with a name may carry the protocol where the Service's port has none.
    let target = match &port.target_port {
        Some(IntOrString::String(target)) => target.as_str(),
        _ => "",
    };
    let protocol = Protocol::of_port(port.app_protocol.as_deref(), &[&name, target]);
    let number = u16::try_from(port.port).ok()?;
    Some(ServicePort { name: name.into(), number, protocol })
}

fn is_tcp(protocol: Option<&str>) -> bool {
    matches!(protocol, None | Some("TCP"))
}

/// Of an EndpointSlice. One without a Service's name belongs to nobody we know.
#[must_use]
pub fn slice(object: discovery::EndpointSlice) -> Option<Slice> {
    let service = object.metadata.labels.as_ref()?.get(SERVICE_LABEL)?.as_str().into();
    let ports = object.ports.unwrap_or_default();
    let ports = ports.into_iter().filter(|port| is_tcp(port.protocol.as_deref()));
    let endpoints = object.endpoints.into_iter().flatten();
    Some(Slice {
        service,
        ports: ports
            .filter_map(|port| {
                let number = u16::try_from(port.port?).ok()?;
                Some(SlicePort { name: port.name.unwrap_or_default().into(), number })
            })
            .collect(),
        endpoints: endpoints.flat_map(endpoint).collect(),
    })
}

fn endpoint(endpoint: discovery::Endpoint) -> Vec<EndpointRecord> {
    let ready = endpoint.conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
    let target = endpoint.target_ref.filter(|target| target.kind.as_deref() == Some("Pod"));
    let pod: Option<Arc<str>> = target.and_then(|target| target.name).map(Into::into);
    // What no node's label can be is passed over: a zone is a hint, and an endpoint without one is called all the same.
    let locality = endpoint.zone.and_then(|zone| Locality::of_zone(&zone).ok());
    let ips = endpoint.addresses.iter().filter_map(|ip| address(ip));
    let record = |ip| EndpointRecord { ip, ready, pod: pod.clone(), locality: locality.clone() };
    ips.map(record).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Of a Namespace.
#[must_use]
pub fn namespace(object: core::Namespace) -> Namespace {
    let labels = object.metadata.labels.unwrap_or_default();
    let member = labels.get(MEMBER_LABEL.0).is_some_and(|value| value == MEMBER_LABEL.1);
    Namespace { member, labels: Arc::new(labels) }
}

/// Of a Deployment that runs a gateway.
#[must_use]
pub fn deployment(object: apps::Deployment) -> Deployment {
    Deployment {
        applied: applied(object.metadata.annotations.as_ref()),
        available: object.status.and_then(|status| status.available_replicas).unwrap_or_default(),
    }
}

fn applied(annotations: Option<&BTreeMap<String, String>>) -> Option<String> {
    annotations?.get(APPLIED).cloned()
}

/// Of a Secret of type `kubernetes.io/tls`, as a proxy is told it: its certificate and key, and nothing else.
#[must_use]
pub fn secret(object: core::Secret) -> Option<Arc<ResourceDocument>> {
    if object.type_.as_deref() != Some(TLS_SECRET) {
        return None;
    }
    let kept = |(key, value): (String, ByteString)| {
        let value = Zeroizing::new(value.0);
        let is_kept = ["tls.crt", "tls.key"].contains(&key.as_str());
        is_kept.then(|| (key, Value::from(BASE64.encode(&*value))))
    };
    let data: serde_json::Map<_, _> =
        object.data.unwrap_or_default().into_iter().filter_map(kept).collect();
    let name = object.metadata.name.unwrap_or_default();
    let namespace = object.metadata.namespace.unwrap_or_default();
    Some(Arc::new(ResourceDocument::of_policy(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": TLS_SECRET,
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }))))
}

/// Of a Secret of type `Opaque`, as a proxy is told it: what policies about sign-in and tokens can refer to, and nothing else.
/// `None` where there is nothing of it, as in nearly all.
#[must_use]
pub fn credentials(object: core::Secret) -> Option<Arc<ResourceDocument>> {
    if object.type_.as_deref() != Some(OPAQUE_SECRET) {
        return None;
    }
    let kept = |(key, value): (String, ByteString)| {
        let value = Zeroizing::new(value.0);
        let is_kept = SecretOfPolicies::VALUES.contains(&key.as_str());
        (is_kept && value.len() <= MOST_CREDENTIAL).then(|| (key, BASE64.encode(&*value)))
    };
    let data: BTreeMap<String, String> =
        object.data.unwrap_or_default().into_iter().filter_map(kept).collect();
    let name = object.metadata.name.unwrap_or_default();
    let namespace = object.metadata.namespace.unwrap_or_default();
    (!data.is_empty()).then(|| {
        Arc::new(ResourceDocument::of_policy(&json!({
            "apiVersion": "v1", "kind": "Secret", "type": OPAQUE_SECRET,
            "metadata": {"name": name, "namespace": namespace},
            "data": data,
        })))
    })
}

/// Of a ConfigMap with certificates of authorities, as a proxy is told it: these, and nothing else.
#[must_use]
pub fn authorities(object: &core::ConfigMap) -> Option<Arc<ResourceDocument>> {
    let certificates = object.data.as_ref()?.get(AUTHORITIES_KEY)?;
    Some(Arc::new(ResourceDocument::of_policy(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": object.metadata.name, "namespace": object.metadata.namespace},
        "data": {AUTHORITIES_KEY: certificates},
    }))))
}

/// The digest of the trust bundle in a ConfigMap.
#[must_use]
pub fn bundle_digest(object: &core::ConfigMap) -> u64 {
    let text = object.data.as_ref().and_then(|data| data.get(BUNDLE_KEY));
    digest(text.map(String::as_str).unwrap_or_default())
}

/// The digest of a trust bundle.
#[must_use]
pub fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Of a policy in one of its kind's versions: what its writer wrote, whole, so that an unknown field stays a mistake.
#[must_use]
pub fn policy(kind: PolicyKind, version: &str, object: DynamicObject) -> PolicyObject {
    let (group, ..) = kind.resource();
    let metadata = object.metadata;
    let mut document = match object.data {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    let status = document.remove("status").unwrap_or_default();
    document.insert("apiVersion".into(), format!("{group}/{version}").into());
    document.insert("kind".into(), kind.as_str().into());
    let mut kept = json!({"name": metadata.name.unwrap_or_default()});
    if let Some(namespace) = metadata.namespace {
        kept["namespace"] = namespace.into();
    }
    if let Some(created) = metadata.creation_timestamp
        && let Ok(created) = serde_json::to_value(created)
    {
        kept["creationTimestamp"] = created;
    }
    let dry_run = |key: &String| key.starts_with("istio.io/");
    let annotations: BTreeMap<String, String> = metadata
        .annotations
        .unwrap_or_default()
        .into_iter()
        .filter(|(key, _)| dry_run(key))
        .collect();
    if !annotations.is_empty() {
        kept["annotations"] = json!(annotations);
    }
    document.insert("metadata".into(), kept);
    PolicyObject {
        generation: metadata.generation.unwrap_or_default(),
        document: Arc::new(Value::Object(document)),
        reported: reported(&status),
        uid: metadata.uid.unwrap_or_default().into(),
        status: match kind.role() {
            KindRole::Gateway => status.clone(),
            _ => Value::Null,
        },
        parents: match kind.role() {
            KindRole::Route => parents(status),
            _ => Vec::new(),
        },
        resource_version: metadata.resource_version.unwrap_or_default(),
    }
}

/// What is said in a route's status, by whomever.
fn parents(mut status: Value) -> Vec<Value> {
    match status.get_mut("parents").map(Value::take) {
        Some(Value::Array(parents)) => parents,
        _ => Vec::new(),
    }
}

/// The condition `Accepted` in a status.
fn reported(status: &Value) -> Option<ReportedCondition> {
    let conditions = status.get("conditions")?.as_array()?;
    let ours = conditions.iter().find(|condition| condition["type"] == ACCEPTED)?;
    Some(ReportedCondition {
        accepted: ours["status"] == "True",
        message: ours["message"].as_str().unwrap_or_default().to_owned(),
        generation: ours["observedGeneration"].as_i64().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
