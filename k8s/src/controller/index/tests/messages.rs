//! Messages as a proxy reads them, and as a ServiceEntry would say them.

use policy::resources::{EndpointDescription, PortDescription, ServiceDescription, ServiceEntry};
use policy::service::Resolution;
use prost::Message as _;

use super::*;
use crate::controller::service_message as proto;

pub(super) fn read(document: &ResourceDocument) -> proto::Service {
    proto::Service::decode(document.bytes.as_slice()).expect("a message")
}

/// The entry that a proxy makes of a message.
pub(super) fn checked(message: &proto::Service, root_namespace: &str) -> ServiceEntry {
    let port = |port: &proto::Port| PortDescription {
        number: port.number,
        target_port: port.target_port,
        name: port.name.clone(),
        protocol: policy::Protocol::parse(&word(port.protocol().as_str_name())).unwrap(),
    };
    let endpoint = |endpoint: &proto::Endpoint| EndpointDescription {
        address: endpoint.address.clone(),
        ports: endpoint.ports.iter().map(|port| (port.name.clone(), port.number)).collect(),
        service_account: (!endpoint.service_account.is_empty())
            .then(|| endpoint.service_account.clone()),
        locality: (!endpoint.locality.is_empty()).then(|| endpoint.locality.clone()),
        weight: (endpoint.weight != 0).then_some(endpoint.weight),
    };
    let description = ServiceDescription {
        namespace: message.namespace.clone(),
        name: message.name.clone(),
        hosts: message.hosts.clone(),
        addresses: message.addresses.clone(),
        external: message.location() == proto::Location::External,
        ports: message.ports.iter().map(port).collect(),
        resolution: match message.resolution() {
            proto::Resolution::Static => Resolution::Static,
            proto::Resolution::Dns => Resolution::Dns,
            _ => Resolution::None,
        },
        endpoints: message.endpoints.iter().map(endpoint).collect(),
        identities: message.identities.as_ref().map(|identities| identities.ids.clone()),
    };
    ServiceEntry::checked(&description, root_namespace).expect("a proxy takes it")
}

/// The message, in the words of a ServiceEntry's spec.
pub(super) fn spec(document: &ResourceDocument, root_namespace: &str) -> Value {
    let message = read(document);
    checked(&message, root_namespace);
    let port = |port: &proto::Port| {
        json!({
            "number": port.number,
            "name": port.name,
            "protocol": word(port.protocol().as_str_name()),
            "targetPort": port.target_port,
        })
    };
    let endpoint = |endpoint: &proto::Endpoint| {
        let ports = endpoint.ports.iter().map(|port| (port.name.clone(), port.number.into()));
        let ports: serde_json::Map<String, Value> = ports.collect();
        match ports.is_empty() {
            true => json!({"address": endpoint.address}),
            false => json!({"address": endpoint.address, "ports": ports}),
        }
    };
    let mut spec = json!({
        "hosts": message.hosts,
        "location": format!("MESH_{}", word(message.location().as_str_name())),
        "resolution": word(message.resolution().as_str_name()),
        "ports": message.ports.iter().map(port).collect::<Vec<_>>(),
    });
    if !message.addresses.is_empty() {
        spec["addresses"] = message.addresses.into();
    }
    if !message.endpoints.is_empty() {
        spec["endpoints"] = message.endpoints.iter().map(endpoint).collect();
    }
    if let Some(identities) = message.identities {
        spec["subjectAltNames"] = identities.ids.into();
    }
    spec
}

/// `HTTP` of `PROTOCOL_HTTP`.
fn word(name: &str) -> String {
    name.split_once('_').unwrap().1.to_owned()
}

/// What somebody wrote reaches a proxy as it is.
#[test]
fn a_service_entry_arrives_as_it_was_written() {
    let mut events = shop();
    let written = json!({
        "hosts": ["api.example.com", "www.example.com"], "location": "MESH_INTERNAL", "resolution": "DNS",
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS", "targetPort": 8443}],
        "endpoints": [{"address": "a.example.com", "serviceAccount": "api", "ports": {"tls": 9443}}],
    });
    events.push(policy(PolicyKind::ServiceEntry, "shop", "api", &written));
    let index = index(events);
    let delta = asks(&index, "shop", "frontend-1", &["api.example.com:443"]).services.unwrap();
    let entry = checked(&read(&delta.changed[0].1), "postern-system");
    let document = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "api", "namespace": "shop"}, "spec": written,
    });
    let file = policy::SourceFile { name: "f".into(), bytes: document.to_string().into_bytes() };
    let resources = policy::Resources::parse(&[file], "postern-system").unwrap();
    assert_eq!(entry, resources.service_entries()[0]);
    assert!(entry.identities().is_none(), "they follow from the service accounts");
}
