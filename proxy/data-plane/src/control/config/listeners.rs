//! Where the proxy listens: redirected traffic and explicit listeners.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use identity::SpiffeId;
use policy::yaml::{SourcePosition, YamlReader, YamlValue};
use policy::{HostName, MtlsMode, Protocol};

use super::sections::MTLS_MODES;
use crate::ports::{INBOUND_PORT, OUTBOUND_PORT};
use crate::traffic::settings::{
    ForwardedFor, InboundConfig, InboundListener, InboundPort, OutboundListener,
};

/// The most explicit listeners of one direction: each costs a socket a worker.
const MAX_LISTENERS: usize = 256;

/// The most brokers of a Kafka cluster that a listener names.
const MAX_BROKERS: usize = 1000;

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("http", Protocol::Http),
    ("http2", Protocol::Http2),
    ("grpc", Protocol::Grpc),
    ("tcp", Protocol::Tcp),
    ("tls", Protocol::Tls),
    ("nats", Protocol::Nats),
    ("mqtt", Protocol::Mqtt),
    ("kafka", Protocol::Kafka),
    ("auto", Protocol::Auto),
];

/// Traffic from the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundConfig {
    /// Where redirected connections arrive (`bind`); empty for `none`. Default `127.0.0.1:15001` and `[::1]:15001`.
    pub bind: Vec<SocketAddr>,
    /// Explicit listeners (`listeners`).
    pub listeners: Vec<OutboundListener>,
}

pub(super) fn inbound(reader: &mut YamlReader, value: Option<YamlValue<'_>>) -> InboundConfig {
    let default = [SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), INBOUND_PORT)];
    let Some(mut map) = value.and_then(|v| reader.mapping(v)) else {
        return InboundConfig {
            bind: default.into(),
            ports: BTreeMap::new(),
            listeners: Vec::new(),
            forwarded_for: ForwardedFor::default(),
            message_source: false,
        };
    };
    let bind = bind(reader, map.take("bind"), &default);
    let mut ports = map.take("ports").map(|v| inbound_ports(reader, v)).unwrap_or_default();
    let mut listeners = each(reader, map.take("listeners"), inbound_listener);
    refuse_two_modes(reader, map.mark(), &ports, &listeners);
    share_message_protocols(reader, map.mark(), &mut ports, &mut listeners);
    let forwarded_for = map.take("forwardedFor").and_then(|v| forwarded_for(reader, v));
    let message_source = map.take("messageSource").and_then(|v| reader.boolean(v));
    map.finish(reader);
    InboundConfig {
        bind,
        ports,
        listeners,
        forwarded_for: forwarded_for.unwrap_or_default(),
        message_source: message_source.unwrap_or(false),
    }
}

/// Modes, like policies, apply to the app's port: a listener that accepts plaintext for it would open the others, too.
fn refuse_two_modes(
    reader: &mut YamlReader,
    mark: SourcePosition,
    ports: &BTreeMap<u16, InboundPort>,
    listeners: &[InboundListener],
) {
    let mut modes: BTreeMap<u16, Option<MtlsMode>> =
        ports.iter().map(|(port, declared)| (*port, declared.mtls)).collect();
    for listener in listeners {
        let port = listener.forward.port();
        if modes.insert(port, listener.mtls).is_some_and(|other| other != listener.mtls) {
            reader.report(
                mark,
                format!("two mTLS modes for the app's port {port}"),
                "one mode a port",
                Some("write the same `mtls` wherever the port stands".into()),
            );
        }
    }
}

/// What clients say to a broker is judged whichever way they come: where a port is declared with a broker's protocol once,
/// it speaks that everywhere, and is declared with no other.
fn share_message_protocols(
    reader: &mut YamlReader,
    mark: SourcePosition,
    ports: &mut BTreeMap<u16, InboundPort>,
    listeners: &mut [InboundListener],
) {
    let of_listeners =
        listeners.iter().map(|listener| (listener.forward.port(), listener.protocol));
    let declared = ports.iter().map(|(port, declared)| (*port, declared.protocol));
    let declared: Vec<_> =
        declared.chain(of_listeners).filter(|(_, protocol)| *protocol != Protocol::Auto).collect();
    let of_brokers = declared.iter().filter(|(_, protocol)| protocol.messages().is_some());
    let spoken: BTreeMap<u16, Protocol> = of_brokers.copied().collect();
    for (port, other) in declared {
        if let Some(protocol) = spoken.get(&port).filter(|protocol| **protocol != other) {
            let [one, two] = [*protocol, other].map(Protocol::as_str);
            reader.report(
                mark,
                format!("the protocols `{one}` and `{two}` for the app's port {port}"),
                "one protocol for a broker's port",
                Some("write the same `protocol` wherever the port stands".into()),
            );
        }
    }
    for listener in listeners {
        if let Some(protocol) = spoken.get(&listener.forward.port()) {
            listener.protocol = *protocol;
        }
    }
    for (port, protocol) in spoken {
        let undeclared = InboundPort { protocol, mtls: None };
        ports.entry(port).or_insert(undeclared).protocol = protocol;
    }
}

fn forwarded_for(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ForwardedFor> {
    let mut map = reader.mapping(value)?;
    let from = map.require(reader, "from").and_then(|v| reader.filled_list(v, MAX_LISTENERS));
    let from = from.unwrap_or_default().into_iter().filter_map(|item| {
        reader.parsed(item, "a principal", |text| SpiffeId::parse(&format!("spiffe://{text}")))
    });
    let from = from.collect();
    let proxies = map.take("numTrustedProxies").and_then(|v| reader.integer(v, 0..=16));
    map.finish(reader);
    let trusted_proxies = proxies.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    Some(ForwardedFor { from, trusted_proxies })
}

fn inbound_ports(reader: &mut YamlReader, value: YamlValue<'_>) -> BTreeMap<u16, InboundPort> {
    let mut ports = BTreeMap::new();
    let Some(mut map) = reader.mapping(value) else { return ports };
    for (key, value) in map.entries() {
        let Some(port) = key.text.parse().ok().filter(|port| *port != 0) else {
            reader.report(
                key.mark,
                format!("`{}` in `ports`", key.text),
                "a port from 1 to 65535",
                None,
            );
            continue;
        };
        if let Some(declared) = inbound_port(reader, value) {
            ports.insert(port, declared);
        }
    }
    ports
}

fn inbound_port(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<InboundPort> {
    let mut map = reader.mapping(value)?;
    let protocol = map.take("protocol").and_then(|v| reader.choice(v, PROTOCOLS));
    let mtls = map.take("mtls").and_then(|v| reader.choice(v, MTLS_MODES));
    map.finish(reader);
    Some(InboundPort { protocol: protocol.unwrap_or(Protocol::Auto), mtls })
}

fn inbound_listener(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<InboundListener> {
    let mut map = reader.mapping(value)?;
    let bind = map.require(reader, "bind").and_then(|v| address(reader, v));
    let forward = map.require(reader, "forward").and_then(|v| forward_address(reader, v));
    let protocol = map.take("protocol").and_then(|v| reader.choice(v, PROTOCOLS));
    let mtls = map.take("mtls").and_then(|v| reader.choice(v, MTLS_MODES));
    let advertise = map.take("advertise");
    let advertise = advertise.map(|v| advertised_brokers(reader, v, protocol)).unwrap_or_default();
    map.finish(reader);
    Some(InboundListener {
        bind: bind?,
        forward: forward?,
        protocol: protocol.unwrap_or(Protocol::Auto),
        mtls,
        advertise: advertise.into(),
    })
}

/// Where clients reach each broker of Kafka, by its node id. Clients take no other address for one.
fn advertised_brokers(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    protocol: Option<Protocol>,
) -> BTreeMap<i32, SocketAddr> {
    let mut brokers = BTreeMap::new();
    if protocol != Some(Protocol::Kafka) {
        reader.report_value(value, "`advertise` beside `protocol: kafka` only", None);
        return brokers;
    }
    let Some(mut map) = reader.mapping(value) else { return brokers };
    if map.entries().count() > MAX_BROKERS {
        reader.report_value(value, "at most 1000 brokers", None);
        return brokers;
    }
    for (key, value) in map.entries() {
        match key.text.parse::<i32>().ok().filter(|node| *node >= 0) {
            Some(node) => brokers.extend(address(reader, value).map(|address| (node, address))),
            None => reader.report(
                key.mark,
                format!("`{}` in `advertise`", key.text),
                "the node id of a broker, from 0",
                None,
            ),
        }
    }
    brokers
}

pub(super) fn outbound(reader: &mut YamlReader, value: Option<YamlValue<'_>>) -> OutboundConfig {
    let default = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        .map(|ip| SocketAddr::new(ip, OUTBOUND_PORT));
    let Some(mut map) = value.and_then(|v| reader.mapping(v)) else {
        return OutboundConfig { bind: default.into(), listeners: Vec::new() };
    };
    let bind = bind(reader, map.take("bind"), &default);
    let listeners = each(reader, map.take("listeners"), outbound_listener);
    map.finish(reader);
    OutboundConfig { bind, listeners }
}

fn outbound_listener(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<OutboundListener> {
    let mut map = reader.mapping(value)?;
    let bind = map.require(reader, "bind").and_then(|v| address(reader, v));
    let service = map.require(reader, "service").and_then(|v| service(reader, v));
    let port = map.require(reader, "port").and_then(|v| reader.port(v));
    map.finish(reader);
    Some(OutboundListener { bind: bind?, service: service?, port: port? })
}

fn service(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Arc<str>> {
    let host = reader.parsed(value, "a service's host", |text| HostName::parse(text, None))?;
    if host.port().is_some() {
        reader.report_value(value, "a host without port", Some("write the port as `port`".into()));
        return None;
    }
    Some(host.name().into())
}

/// The items of an optional list, each read by `read`.
fn each<T>(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
    read: impl Fn(&mut YamlReader, YamlValue<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(items) = value.and_then(|v| reader.list(v)) else { return Vec::new() };
    if let Some(extra) = items.get(MAX_LISTENERS) {
        reader.report(extra.node.mark, format!("{} items", items.len()), "at most 256", None);
    }
    items.into_iter().take(MAX_LISTENERS).filter_map(|item| read(reader, item)).collect()
}

/// A `bind`: one address, a list of them, or `none`.
pub(super) fn bind(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
    default: &[SocketAddr],
) -> Vec<SocketAddr> {
    let Some(value) = value else { return default.to_vec() };
    if value.is_list() {
        let items = reader.filled_list(value, MAX_LISTENERS).unwrap_or_default();
        return items.into_iter().filter_map(|item| address(reader, item)).collect();
    }
    match value.is_text("none") {
        true => Vec::new(),
        false => address(reader, value).into_iter().collect(),
    }
}

/// A `bind` of what listens in one place: an address, or `none`.
pub(super) fn one_bind(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
    default: SocketAddr,
) -> Option<SocketAddr> {
    let Some(value) = value else { return Some(default) };
    if value.is_list() {
        reader.report_value(value, "one address, or none", Some("write the address alone".into()));
        return None;
    }
    if value.is_text("none") { None } else { address(reader, value) }
}

fn address(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<SocketAddr> {
    reader.parsed(value, "an address and port", |text| {
        text.parse().map_err(|_| "write 127.0.0.1:8080 or \"[::1]:8080\"")
    })
}

/// An address the app listens on: a real port of a real address.
fn forward_address(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<SocketAddr> {
    let address = address(reader, value)?;
    if address.port() == 0 || address.ip().is_unspecified() {
        reader.report_value(
            value,
            "an address to connect to",
            Some("name the app's address and port".into()),
        );
        return None;
    }
    Some(address)
}

/// Two listeners cannot share one address.
pub(super) fn refuse_shared_addresses(
    reader: &mut YamlReader,
    mark: SourcePosition,
    inbound: &InboundConfig,
    outbound: &OutboundConfig,
    others: [Option<SocketAddr>; 3],
) {
    let inbound_binds =
        inbound.bind.iter().copied().chain(inbound.listeners.iter().map(|l| l.bind));
    let outbound_binds =
        outbound.bind.iter().copied().chain(outbound.listeners.iter().map(|l| l.bind));
    let mut all: Vec<SocketAddr> =
        inbound_binds.chain(outbound_binds).chain(others.into_iter().flatten()).collect();
    all.retain(|address| address.port() != 0);
    all.sort();
    for pair in all.windows(2).filter(|pair| pair[0] == pair[1]) {
        let found = format!("two listeners on {}", pair[0]);
        reader.report(
            mark,
            found,
            "each address once",
            Some("give one of them another port, or `bind: none`".into()),
        );
    }
}
