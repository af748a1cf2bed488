//! The message about a service (`k8s/proto/service.proto`), and the check that makes a ServiceEntry of it.
//!
//! The meaning of a message is decided by the rules of files ([`ServiceEntry::checked`]). Decided here is only whether
//! all of it is understood: a field or a value of a later version could narrow the rest, so an unknown one rejects the
//! message.

use policy::Protocol;
use policy::resources::{EndpointDescription, PortDescription, ServiceDescription, ServiceEntry};
use policy::service::Resolution;
use prost::Message as _;

/// The messages, compiled from `k8s/proto/service.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub(crate) mod proto {
    tonic::include_proto!("postern.dev.v2");
}

/// Reads the message about a service.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(bytes: &[u8], root_namespace: &str) -> Result<ServiceEntry, String> {
    let message = proto::Service::decode(bytes).map_err(|error| error.to_string())?;
    if message.encoded_len() != bytes.len() {
        return Err("fields that this version does not know".to_owned());
    }
    let description = described(message)?;
    ServiceEntry::checked(&description, root_namespace).map_err(|wrong| wrong.join("; "))
}

fn described(message: proto::Service) -> Result<ServiceDescription, String> {
    let external = match message.location() {
        proto::Location::External => true,
        proto::Location::Internal => false,
        proto::Location::Unspecified => return Err(unknown("location", message.location)),
    };
    let resolution = match message.resolution() {
        proto::Resolution::None => Resolution::None,
        proto::Resolution::Static => Resolution::Static,
        proto::Resolution::Dns => Resolution::Dns,
        proto::Resolution::Unspecified => return Err(unknown("resolution", message.resolution)),
    };
    Ok(ServiceDescription {
        external,
        resolution,
        ports: message.ports.into_iter().map(port).collect::<Result<_, _>>()?,
        endpoints: message.endpoints.into_iter().map(endpoint).collect(),
        identities: message.identities.map(|identities| identities.ids),
        namespace: message.namespace,
        name: message.name,
        hosts: message.hosts,
        addresses: message.addresses,
    })
}

fn port(message: proto::Port) -> Result<PortDescription, String> {
    let protocol = match message.protocol() {
        proto::Protocol::Auto => Protocol::Auto,
        proto::Protocol::Http => Protocol::Http,
        proto::Protocol::Http2 => Protocol::Http2,
        proto::Protocol::Grpc => Protocol::Grpc,
        proto::Protocol::Tcp => Protocol::Tcp,
        proto::Protocol::Tls => Protocol::Tls,
        proto::Protocol::Unspecified => return Err(unknown("protocol", message.protocol)),
    };
    let proto::Port { number, target_port, name, .. } = message;
    Ok(PortDescription { number, target_port, name, protocol })
}

fn endpoint(message: proto::Endpoint) -> EndpointDescription {
    let ports = message.ports.into_iter().map(|port| (port.name, port.number));
    let written = |text: String| (!text.is_empty()).then_some(text);
    EndpointDescription {
        address: message.address,
        ports: ports.collect(),
        service_account: written(message.service_account),
        locality: written(message.locality),
        weight: (message.weight != 0).then_some(message.weight),
    }
}

fn unknown(what: &str, value: i32) -> String {
    format!("the {what} {value}, which this version does not know")
}

#[cfg(test)]
mod tests;
