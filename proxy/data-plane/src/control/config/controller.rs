//! `resources.controller`: whose stream the resources come from.

use identity::SpiffeId;
use policy::yaml::{YamlReader, YamlValue};

/// The controller, and how the proxy identifies itself to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerConfig {
    /// Its host name or address (`address`, before the colon).
    pub host: String,
    /// Its port (`address`).
    pub port: u16,
    /// The SPIFFE id it must prove (`identity`).
    pub identity: SpiffeId,
    /// The pod the proxy is in (`pod`).
    pub pod: PodReference,
}

/// The pod a proxy is in: the controller compares both with the Pod object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodReference {
    /// `metadata.name` (`name`).
    pub name: String,
    /// `metadata.uid` (`uid`).
    pub uid: String,
}

pub(super) fn read(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ControllerConfig> {
    let mut map = reader.mapping(value)?;
    let address = map.require(reader, "address");
    let address = address.and_then(|v| reader.parsed(v, "HOST:PORT", host_and_port));
    let identity = map.require(reader, "identity");
    let identity = identity.and_then(|v| reader.parsed(v, "a SPIFFE id", SpiffeId::parse));
    let pod = map.require(reader, "pod").and_then(|v| read_pod(reader, v));
    map.finish(reader);
    let (host, port) = address?;
    Some(ControllerConfig { host, port, identity: identity?, pod: pod? })
}

fn read_pod(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<PodReference> {
    let mut map = reader.mapping(value)?;
    let name = map.require(reader, "name").and_then(|v| reader.text(v)).map(str::to_owned);
    let uid = map.require(reader, "uid").and_then(|v| reader.text(v)).map(str::to_owned);
    map.finish(reader);
    Some(PodReference { name: name?, uid: uid? })
}

/// Splits `HOST:PORT`, an IPv6 address in brackets, which are taken off.
pub(super) fn host_and_port(text: &str) -> Result<(String, u16), &'static str> {
    const WRONG: &str =
        "write for example postern-controller.postern-system.svc:15010 or [::1]:15010";
    let (host, port) = text.rsplit_once(':').ok_or(WRONG)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or(WRONG)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(host) if host.parse::<std::net::Ipv6Addr>().is_ok() => Ok((host.to_owned(), port)),
        None if !host.is_empty() && !host.contains(':') => Ok((host.to_owned(), port)),
        _ => Err(WRONG),
    }
}
