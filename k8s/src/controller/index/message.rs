//! The message that tells a proxy of a service (`proto/service.proto`).

use std::sync::Arc;

use policy::Protocol;
use policy::resources::{EndpointDescription, PortDescription, ServiceDescription, ServiceEntry};
use policy::service::Resolution;

use crate::controller::service_message as proto;

/// What is told of a ServiceEntry that somebody wrote.
pub(super) fn of_entry(entry: &ServiceEntry) -> proto::Service {
    let from = ServiceDescription::from(entry);
    let location =
        if from.external { proto::Location::External } else { proto::Location::Internal };
    proto::Service {
        namespace: from.namespace,
        name: from.name,
        hosts: from.hosts,
        addresses: from.addresses,
        location: location.into(),
        ports: from.ports.into_iter().map(port).collect(),
        resolution: resolution(from.resolution).into(),
        endpoints: from.endpoints.into_iter().map(endpoint).collect(),
        identities: from.identities.map(|ids| proto::Identities { ids }),
        endpoints_without_proxy: Vec::new(),
    }
}

fn port(from: PortDescription) -> proto::Port {
    let PortDescription { number, target_port, name, protocol: spoken } = from;
    proto::Port { number, target_port, name, protocol: protocol(spoken).into() }
}

fn endpoint(from: EndpointDescription) -> proto::Endpoint {
    let ports = from.ports.into_iter();
    proto::Endpoint {
        address: from.address,
        ports: ports.map(|(name, number)| proto::EndpointPort { name, number }).collect(),
        service_account: from.service_account.unwrap_or_default(),
        locality: from.locality.unwrap_or_default(),
        weight: from.weight.unwrap_or_default(),
    }
}

fn resolution(from: Resolution) -> proto::Resolution {
    match from {
        Resolution::None => proto::Resolution::None,
        Resolution::Static => proto::Resolution::Static,
        Resolution::Dns => proto::Resolution::Dns,
    }
}

/// What callers are told. The protocols of brokers are bytes to them.
fn protocol(from: Protocol) -> proto::Protocol {
    match from {
        Protocol::Auto => proto::Protocol::Auto,
        Protocol::Http => proto::Protocol::Http,
        Protocol::Http2 => proto::Protocol::Http2,
        Protocol::Grpc => proto::Protocol::Grpc,
        Protocol::Tcp | Protocol::Nats | Protocol::Mqtt | Protocol::Kafka => proto::Protocol::Tcp,
        Protocol::Tls => proto::Protocol::Tls,
    }
}

/// A port of a service; `name` is its own, or made of its number where it has none.
pub(super) fn service_port(
    name: &Arc<str>,
    number: u16,
    target_port: u16,
    spoken: Protocol,
) -> proto::Port {
    proto::Port {
        number: number.into(),
        target_port: target_port.into(),
        name: port_name(name, number),
        protocol: protocol(spoken).into(),
    }
}

/// A port's name, where the one port of a Service has none.
pub(super) fn port_name(name: &str, number: u16) -> String {
    if name.is_empty() { format!("port-{number}") } else { name.to_owned() }
}
