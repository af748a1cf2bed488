//! Gateway (`gateway.networking.k8s.io`).
//!
//! Every field of the standard is taken, or refused by name. What the standard makes a status is no mistake of the file: a
//! protocol that nothing speaks, a reference that leads nowhere, listeners in each other's way. Of those
//! [`crate::GatewayPlan`] tells.

mod frontend;
pub(super) mod listeners;
mod namespaces;
pub(super) mod references;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::label;
use super::object::{ResourceObject, dns_subdomain};
use crate::gateway::{
    FrontendTls, Gateway, GatewayAddress, Infrastructure, NamespaceScope, ObjectReference,
};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

pub(super) const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// The most addresses of a Gateway, as the standard has it.
const MAX_ADDRESSES: usize = 16;
/// The longest value of an address or annotation that is not understood here, in bytes.
const MAX_TEXT: usize = 4096;
/// The most labels, and the most annotations, of what is made for a Gateway, as the standard has it.
const MAX_LABELS: usize = 8;
const MAX_ANNOTATIONS: usize = 16;

/// Reads a Gateway, of whatever class.
pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<Gateway> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with gatewayClassName, listeners", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let class = map.require(reader, "gatewayClassName");
    let class = class.and_then(|v| reader.parsed(v, "a GatewayClass's name", dns_subdomain));
    let listeners = listeners::read(reader, &mut map, &object.namespace);
    let addresses = map.take("addresses").map_or(Some(Vec::new()), |v| read_addresses(reader, v));
    let allowed = map.take("allowedListeners");
    let allowed = allowed.map_or(Some(NamespaceScope::None), |v| read_allowed(reader, v));
    let tls = map
        .take("tls")
        .map_or(Some((FrontendTls::default(), None)), |v| read_tls(reader, v, &object.namespace));
    let infrastructure = map.take("infrastructure");
    let infrastructure = infrastructure.map_or(Some(Infrastructure::default()), |v| {
        read_infrastructure(reader, v, &object.namespace)
    });
    refuse_default_scope(reader, &mut map);
    map.finish(reader);
    let (frontend, client_certificate) = tls?;
    Some(Gateway {
        id: object.id(),
        created: object.created.map(Into::into),
        class: class?,
        addresses: addresses?,
        listeners: listeners?,
        allowed_listeners: allowed?,
        frontend,
        client_certificate,
        infrastructure: infrastructure?,
    })
}

/// A route that names no Gateway is attached to none.
fn refuse_default_scope(reader: &mut YamlReader, map: &mut YamlMapping<'_>) {
    let Some(value) = map.take_unsupported("defaultScope") else { return };
    let fix = "take it out, and name the Gateway in `parentRefs` of each route".to_owned();
    let (code, mark) = (DiagnosticCode::Unsupported, value.node.mark);
    let found = "`defaultScope`, which is not supported";
    reader.report_with_code(code, mark, found, "what is supported", Some(fix));
}

fn read_addresses(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<GatewayAddress>> {
    let items = reader.filled_list(value, MAX_ADDRESSES)?;
    let mut addresses: Vec<GatewayAddress> = Vec::new();
    let mut all_read = true;
    for item in items {
        match read_address(reader, item) {
            Some(address @ GatewayAddress::Ip(_)) if addresses.contains(&address) => {
                let (code, mark) = (DiagnosticCode::Repeated, item.node.mark);
                reader.report_with_code(code, mark, "an address again", "each once", None);
                all_read = false;
            }
            Some(address) => addresses.push(address),
            None => all_read = false,
        }
    }
    all_read.then_some(addresses)
}

fn read_address(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<GatewayAddress> {
    let mut map = reader.mapping(value)?;
    let kind = map.take("type").map_or(Some("IPAddress"), |v| reader.text(v));
    let value = map.take("value").filter(|value| !value.is_empty_text());
    map.finish(reader);
    match (kind?, value) {
        ("IPAddress", None) => Some(GatewayAddress::Any),
        ("IPAddress", Some(value)) => reader.parsed(value, "an IP address", ip_address),
        (kind, value) => {
            let value = value.map_or(Some(""), |v| reader.text(v))?;
            let (kind, value) = (short(kind), short(value));
            Some(GatewayAddress::Unsupported { kind, value })
        }
    }
}

/// An address that connections come to; one mapped into IPv6 is the one of IPv4.
fn ip_address(text: &str) -> Result<GatewayAddress, &'static str> {
    let address: IpAddr = text.parse().map_err(|_| "write it as 192.0.2.1 or 2001:db8::1")?;
    match address.to_canonical() {
        address if address.is_multicast() => Err("nobody can listen on it"),
        // Every address is what is meant without any.
        address if address.is_unspecified() => Ok(GatewayAddress::Any),
        address => Ok(GatewayAddress::Ip(address)),
    }
}

/// A value that goes into a status, at a length that fits there.
fn short(text: &str) -> Arc<str> {
    text.chars().take(253).collect::<String>().into()
}

fn read_allowed(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<NamespaceScope> {
    let mut map = reader.mapping(value)?;
    let namespaces = map.take("namespaces");
    map.finish(reader);
    namespaces.map_or(Some(NamespaceScope::None), |v| {
        namespaces::read(reader, v, NamespaceScope::None, true)
    })
}

fn read_tls(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<(FrontendTls, Option<ObjectReference>)> {
    let mut map = reader.mapping(value)?;
    let frontend = map.take("frontend");
    let frontend =
        frontend.map_or(Some(FrontendTls::default()), |v| frontend::read(reader, v, namespace));
    let certificate = map.take("backend").map_or(Some(None), |v| {
        let mut map = reader.mapping(v)?;
        let reference = map.take("clientCertificateRef");
        map.finish(reader);
        reference.map_or(Some(None), |v| references::read_secret(reader, v, namespace).map(Some))
    });
    map.finish(reader);
    Some((frontend?, certificate?))
}

fn read_infrastructure(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &str,
) -> Option<Infrastructure> {
    let mut map = reader.mapping(value)?;
    let labels = map.take("labels").map_or(Some(BTreeMap::new()), |v| {
        refuse_more(reader, v, MAX_LABELS)?;
        label::read(reader, v)
    });
    let annotations = map
        .take("annotations")
        .map_or(Some(BTreeMap::new()), |v| read_texts(reader, v, MAX_ANNOTATIONS));
    let parameters = map.take("parametersRef");
    let parameters = parameters
        .map_or(Some(None), |v| references::read_parameters(reader, v, namespace).map(Some));
    map.finish(reader);
    Some(Infrastructure { labels: labels?, annotations: annotations?, parameters: parameters? })
}

/// A mapping of names to text, such as annotations and options.
pub(super) fn read_texts(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    most: usize,
) -> Option<BTreeMap<String, String>> {
    refuse_more(reader, value, most)?;
    let mut map = reader.mapping(value)?;
    let mut texts = BTreeMap::new();
    let mut all_read = true;
    for (key, value) in map.entries() {
        if !label::is_key(&key.text) {
            let found = format!("the key \"{}\"", key.text);
            reader.report(key.mark, found, "a name, or prefix/name", None);
            all_read = false;
        }
        let text = if value.is_empty_text() { Some("") } else { reader.text(value) };
        match text.filter(|text| text.len() <= MAX_TEXT) {
            Some(text) => drop(texts.insert(key.text.to_string(), text.to_owned())),
            None => all_read = false,
        }
    }
    all_read.then_some(texts)
}

fn refuse_more(reader: &mut YamlReader, value: YamlValue<'_>, most: usize) -> Option<()> {
    let mut map = reader.mapping(value)?;
    let entries = map.entries().count();
    if entries > most {
        let found = format!("{entries} entries for `{}`", value.name);
        reader.report(value.node.mark, found, format!("at most {most}"), None);
        return None;
    }
    Some(())
}

#[cfg(test)]
mod tests;
