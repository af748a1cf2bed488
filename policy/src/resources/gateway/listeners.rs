//! `listeners` of a Gateway or ListenerSet.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{namespaces, read_texts, references};
use crate::gateway::{
    AllowedRoutes, Listener, ListenerProtocol, ListenerTlsConfig, NamespaceScope, RouteGroupKind,
    TlsMode,
};
use crate::resources::route::hosts::read_host;
use crate::resources::route::section_name;
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The most listeners, the most certificates of one, the most kinds of routes and the most options, as the standard has
/// them.
const MAX_LISTENERS: usize = 64;
const MAX_CERTIFICATES: usize = 64;
const MAX_KINDS: usize = 8;
const MAX_OPTIONS: usize = 16;
/// The longest protocol, as the standard has it.
const MAX_PROTOCOL: usize = 255;

const MODES: &[(&str, TlsMode)] =
    &[("Terminate", TlsMode::Terminate), ("Passthrough", TlsMode::Passthrough)];

/// Reads the listeners.
pub(in crate::resources) fn read(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    namespace: &Arc<str>,
) -> Option<Vec<Listener>> {
    let value = map.require(reader, "listeners")?;
    let items = reader.filled_list(value, MAX_LISTENERS)?;
    // Every listener is read, so that all mistakes are told.
    let read: Vec<_> = items.iter().map(|item| read_listener(reader, *item, namespace)).collect();
    let listeners: Vec<Listener> = read.into_iter().collect::<Option<_>>()?;
    refuse_repeated(reader, &items, &listeners)?;
    Some(listeners)
}

/// Two listeners of one name, or for one port, protocol and host.
fn refuse_repeated(
    reader: &mut YamlReader,
    items: &[YamlValue<'_>],
    listeners: &[Listener],
) -> Option<()> {
    let (mut names, mut places) = (HashSet::new(), HashSet::new());
    let mut once = true;
    for (item, listener) in items.iter().zip(listeners) {
        let place = (listener.port, listener.protocol.as_str(), &listener.host);
        let found = match (names.insert(&listener.name), places.insert(place)) {
            (true, true) => continue,
            (false, _) => format!("a second listener with the name {}", listener.name),
            (true, false) => format!(
                "a second listener of port {}, protocol {} and the same host",
                listener.port, listener.protocol
            ),
        };
        let (code, mark) = (DiagnosticCode::Repeated, item.node.mark);
        reader.report_with_code(code, mark, found, "each once", None);
        once = false;
    }
    once.then_some(())
}

fn read_listener(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<Listener> {
    let mut map = reader.mapping(value)?;
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "a listener's name", section_name));
    let port = map.require(reader, "port").and_then(|v| reader.port(v));
    let protocol = map.require(reader, "protocol");
    let protocol = protocol.and_then(|v| reader.parsed(v, "a protocol", read_protocol));
    let hostname = map.take("hostname").filter(|value| !value.is_empty_text());
    let tls = map.take("tls");
    let routes = map.take("allowedRoutes");
    map.finish(reader);
    let host = hostname.map(|v| read_host(reader, v));
    let config = tls.map(|v| read_tls(reader, v, namespace));
    let allowed = routes.map_or(Some(AllowedRoutes::default()), |v| read_allowed_routes(reader, v));
    let protocol = protocol?;
    refuse_misplaced(reader, value, &protocol, [("hostname", hostname), ("tls", tls)])?;
    let tls = config.map_or(Some(None), |config| config.map(Some))?;
    check_mode(reader, value, &protocol, tls.as_ref())?;
    Some(Listener {
        name: name?,
        host: host.map_or(Some(None), |host| host.map(Some))?,
        port: port?,
        protocol,
        tls: tls.map(|(config, _)| config),
        allowed_routes: allowed?,
    })
}

/// One that is known, or any that the standard lets an implementation have.
fn read_protocol(text: &str) -> Result<ListenerProtocol, &'static str> {
    Ok(match text {
        "HTTP" => ListenerProtocol::Http,
        "HTTPS" => ListenerProtocol::Https,
        "TLS" => ListenerProtocol::Tls,
        "TCP" => ListenerProtocol::Tcp,
        other => {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-./".contains(&byte);
            if other.len() > MAX_PROTOCOL || !other.bytes().all(known) {
                return Err("write HTTP, HTTPS, TLS or TCP");
            }
            ListenerProtocol::Other(other.into())
        }
    })
}

/// Keys that say nothing to a protocol, as the standard refuses them.
fn refuse_misplaced(
    reader: &mut YamlReader,
    listener: YamlValue<'_>,
    protocol: &ListenerProtocol,
    [hostname, tls]: [(&str, Option<YamlValue<'_>>); 2],
) -> Option<()> {
    let is_udp = matches!(protocol, ListenerProtocol::Other(name) if **name == *"UDP");
    let refused = match protocol {
        ListenerProtocol::Http => vec![tls],
        ListenerProtocol::Tcp => vec![hostname, tls],
        _ if is_udp => vec![hostname, tls],
        _ => Vec::new(),
    };
    let mut none = true;
    for (key, written) in refused {
        let Some(written) = written else { continue };
        let found = format!("`{key}` of a listener of {protocol}");
        let mark = if written.node.mark.line == 0 { listener.node.mark } else { written.node.mark };
        reader.report(mark, found, "a protocol that has it", None);
        none = false;
    }
    none.then_some(())
}

/// TLS that is opened for HTTP, and a choice that must be made for TLS itself, as the standard has it.
fn check_mode(
    reader: &mut YamlReader,
    listener: YamlValue<'_>,
    protocol: &ListenerProtocol,
    tls: Option<&(ListenerTlsConfig, bool)>,
) -> Option<()> {
    let (found, expected) = match (protocol, tls) {
        (ListenerProtocol::Https, Some((config, _))) if config.mode == TlsMode::Passthrough => {
            ("mode Passthrough of a listener of HTTPS", "Terminate; protocol TLS passes it through")
        }
        (ListenerProtocol::Tls, None) => ("no `tls` of a listener of TLS", "`tls` with `mode`"),
        (ListenerProtocol::Tls, Some((_, false))) => {
            ("no `mode` in `tls` of a listener of TLS", "Terminate or Passthrough")
        }
        _ => return Some(()),
    };
    reader.report(listener.node.mark, found, expected, None);
    None
}

/// Reads `tls`, and whether its mode is written.
fn read_tls(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<(ListenerTlsConfig, bool)> {
    let mut map = reader.mapping(value)?;
    let written = map.take("mode");
    let mode = written.map_or(Some(TlsMode::Terminate), |v| reader.choice(v, MODES));
    let refs = map.take("certificateRefs").filter(|refs| !refs.is_empty_list());
    let certificates = refs.map_or(Some(Vec::new()), |v| {
        let items = reader.filled_list(v, MAX_CERTIFICATES)?;
        let read: Vec<_> =
            items.into_iter().map(|v| references::read_secret(reader, v, namespace)).collect();
        read.into_iter().collect()
    });
    let options =
        map.take("options").map_or(Some(BTreeMap::new()), |v| read_texts(reader, v, MAX_OPTIONS));
    map.finish(reader);
    let (mode, certificates, options) = (mode?, certificates?, options?);
    if mode == TlsMode::Terminate && certificates.is_empty() && options.is_empty() {
        let fix = "name the Secret: certificateRefs: [{name: …}]".to_owned();
        let found = "TLS that ends here without a certificate";
        reader.report(value.node.mark, found, "`certificateRefs`", Some(fix));
        return None;
    }
    Some((ListenerTlsConfig { mode, certificates, options }, written.is_some()))
}

fn read_allowed_routes(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<AllowedRoutes> {
    let mut map = reader.mapping(value)?;
    let namespaces = map.take("namespaces").map_or(Some(NamespaceScope::Same), |v| {
        namespaces::read(reader, v, NamespaceScope::Same, false)
    });
    let kinds = map.take("kinds").filter(|kinds| !kinds.is_empty_list());
    let kinds = kinds.map_or(Some(Vec::new()), |v| {
        let items = reader.filled_list(v, MAX_KINDS)?;
        let read: Vec<_> = items.into_iter().map(|item| read_group_kind(reader, item)).collect();
        read.into_iter().collect()
    });
    map.finish(reader);
    Some(AllowedRoutes { namespaces: namespaces?, kinds: kinds? })
}

fn read_group_kind(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<RouteGroupKind> {
    let mut map = reader.mapping(value)?;
    let group = map
        .take("group")
        .map_or(Some(super::GATEWAY_GROUP.into()), |v| references::read_group(reader, v));
    let kind = map.require(reader, "kind").and_then(|v| references::read_kind(reader, v));
    map.finish(reader);
    Some(RouteGroupKind { group: group?, kind: kind? })
}
