//! The `ServiceEntry` of a pod: what other pods' proxies know of it.

use std::net::IpAddr;

use serde_json::{Value, json};

/// A pod seen as a service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// The SPIFFE id that its endpoints present.
    pub(crate) identity: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ports: Vec<ServicePort>,
}

/// One port of a service.
#[derive(Clone, Debug)]
pub(crate) struct ServicePort {
    /// What callers dial.
    pub(crate) number: u16,
    /// Where the endpoint listens: the same, except on loopback, where each pod's inbound listener has its own.
    pub(crate) target: u16,
    /// http, http2, grpc, tcp or auto.
    pub(crate) protocol: String,
}

impl Service {
    /// The names callers may use, longest first.
    pub(crate) fn hosts(&self) -> [String; 3] {
        let Self { name, namespace, .. } = self;
        [
            format!("{name}.{namespace}.svc.cluster.local"),
            format!("{name}.{namespace}"),
            name.clone(),
        ]
    }

    /// The `ServiceEntry` document. JSON is YAML.
    pub(crate) fn document(&self) -> String {
        let endpoints: Vec<Value> =
            self.addresses.iter().map(|address| json!({"address": address})).collect();
        let ports: Vec<Value> = self
            .ports
            .iter()
            .map(|port| {
                let (number, target) = (port.number, port.target);
                // A port without a protocol, and with a name that tells none, is one that nobody declared.
                if port.protocol == "auto" {
                    return json!({"number": number, "targetPort": target, "name": format!("port-{number}")});
                }
                let name = format!("{}-{number}", port.protocol);
                let protocol = port.protocol.to_uppercase();
                json!({"number": number, "targetPort": target, "name": name, "protocol": protocol})
            })
            .collect();
        let entry = json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "hosts": [&self.hosts()[0]],
                "location": "MESH_INTERNAL",
                "resolution": "STATIC",
                "ports": ports,
                "endpoints": endpoints,
                "subjectAltNames": [self.identity],
            },
        });
        serde_json::to_string_pretty(&entry).expect("JSON is printable")
    }
}
