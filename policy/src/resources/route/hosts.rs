//! `hostnames`: the hosts a route is about.

use std::sync::Arc;

use crate::HostName;
use crate::route::{RouteHost, RouteKind};
use crate::yaml::{YamlMapping, YamlReader, YamlValue};

/// The most hosts of a route, as the standard has it.
const MAX_HOSTS: usize = 16;
/// Of a TLSRoute.
const MAX_SERVER_NAMES: usize = 1024;

/// Reads the hosts; without any a route is about all of them.
pub(super) fn read(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    kind: RouteKind,
) -> Option<Vec<RouteHost>> {
    let Some(value) = map.take("hostnames") else { return Some(Vec::new()) };
    let most = if kind == RouteKind::Tls { MAX_SERVER_NAMES } else { MAX_HOSTS };
    let items = reader.filled_list(value, most)?;
    let hosts: Vec<_> = items.into_iter().map(|item| read_host(reader, item)).collect();
    let mut hosts: Vec<RouteHost> = hosts.into_iter().collect::<Option<_>>()?;
    hosts.sort();
    hosts.dedup();
    Some(hosts)
}

/// Reads a host, or `*.` and one.
pub(in crate::resources) fn read_host(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<RouteHost> {
    reader.parsed(value, "a host, or *. and a host", |text| match text.strip_prefix("*.") {
        Some(parent) => precise(parent).map(RouteHost::Below),
        None => precise(text).map(RouteHost::Exact),
    })
}

/// A host name that is no address, without port, in lower case.
///
/// # Errors
/// What to write.
pub(in crate::resources) fn precise(text: &str) -> Result<Arc<str>, String> {
    let host = HostName::parse(text, None).map_err(|error| error.to_string())?;
    if host.port().is_some() {
        return Err("write the host without a port".to_owned());
    }
    if host.name().starts_with('[') || host.name().parse::<std::net::IpAddr>().is_ok() {
        return Err("write a name: an address is none".to_owned());
    }
    if host.name() != text {
        return Err(format!("write {}", host.name()));
    }
    Ok(text.into())
}
