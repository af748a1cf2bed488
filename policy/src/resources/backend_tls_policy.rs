//! BackendTLSPolicy (`gateway.networking.k8s.io`): the TLS that is spoken to a Service outside the mesh.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::gateway::{read_texts, references};
use super::object::ResourceObject;
use super::route::hosts::{precise, read_host};
use super::route::section_name;
use crate::gateway::{BackendTlsPolicy, BackendTlsTarget, TrustAnchors};
use crate::traffic_policy::SubjectAltName;
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The most targets, authorities, names and options, as the standard has them.
const MAX_TARGETS: usize = 16;
const MAX_AUTHORITIES: usize = 8;
const MAX_NAMES: usize = 5;
const MAX_OPTIONS: usize = 16;
/// The longest URI and the longest name of a set of authorities, as the standard has them.
const MAX_URI: usize = 253;
const MAX_WELL_KNOWN: usize = 253;

/// Reads a policy. A reference that leads nowhere is no mistake of the file: what is sent to the Service then fails.
pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
) -> Option<BackendTlsPolicy> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with targetRefs and validation", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let targets = map.require(reader, "targetRefs");
    let targets = targets.and_then(|v| read_targets(reader, v, &object.namespace));
    let validation = map.require(reader, "validation");
    let validation = validation.and_then(|v| read_validation(reader, v, &object.namespace));
    let options =
        map.take("options").map_or(Some(BTreeMap::new()), |v| read_texts(reader, v, MAX_OPTIONS));
    map.finish(reader);
    let Validation { anchors, host, names } = validation?;
    Some(BackendTlsPolicy {
        id: object.id(),
        created: object.created.map(Into::into),
        targets: targets?,
        anchors,
        host,
        names,
        options: options?,
    })
}

fn read_targets(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<Vec<BackendTlsTarget>> {
    let items = reader.filled_list(value, MAX_TARGETS)?;
    let read: Vec<_> = items.into_iter().map(|item| read_target(reader, item, namespace)).collect();
    let targets: Vec<BackendTlsTarget> = read.into_iter().collect::<Option<_>>()?;
    let mut seen = HashSet::new();
    let again = targets.iter().find(|target| !seen.insert((&target.object, &target.section)));
    if let Some(again) = again {
        let found = format!("the target {} again", again.object.object.name);
        let fix = "tell them apart by `sectionName`, or remove one".to_owned();
        let (code, mark) = (DiagnosticCode::Repeated, value.node.mark);
        reader.report_with_code(code, mark, found, "each target once", Some(fix));
        return None;
    }
    Some(targets)
}

fn read_target(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<BackendTlsTarget> {
    let mut map = reader.mapping(value)?;
    let section = map.take("sectionName").map(|v| reader.parsed(v, "a port's name", section_name));
    let object = references::read_rest(reader, map, namespace);
    let section = section.map_or(Some(None), |section| section.map(Some))?;
    Some(BackendTlsTarget { object: object?, section })
}

struct Validation {
    anchors: TrustAnchors,
    host: Arc<str>,
    names: Vec<SubjectAltName>,
}

fn read_validation(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<Validation> {
    let mut map = reader.mapping(value)?;
    let anchors = read_anchors(reader, &mut map, namespace);
    let host = map.require(reader, "hostname");
    let host = host.and_then(|v| reader.parsed(v, "a host", precise));
    let names = map.take("subjectAltNames").filter(|names| !names.is_empty_list());
    let names = names.map_or(Some(Vec::new()), |v| {
        let items = reader.filled_list(v, MAX_NAMES)?;
        let read: Vec<_> = items.into_iter().map(|item| read_name(reader, item)).collect();
        read.into_iter().collect()
    });
    map.finish(reader);
    Some(Validation { anchors: anchors?, host: host?, names: names? })
}

/// One of the two, as the standard has it.
fn read_anchors(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    namespace: &Arc<str>,
) -> Option<TrustAnchors> {
    let refs = map.take("caCertificateRefs").filter(|refs| !refs.is_empty_list());
    let known = map.take("wellKnownCACertificates").filter(|known| !known.is_empty_text());
    match (refs, known) {
        (Some(refs), None) => {
            let items = reader.filled_list(refs, MAX_AUTHORITIES)?;
            let read: Vec<_> = items
                .into_iter()
                .map(|item| references::read_local(reader, item, namespace))
                .collect();
            read.into_iter().collect::<Option<_>>().map(TrustAnchors::References)
        }
        (None, Some(known)) => reader.parsed(known, "a set of authorities", |text| match text {
            "System" => Ok(TrustAnchors::System),
            other if other.len() <= MAX_WELL_KNOWN => Ok(TrustAnchors::Unknown(other.into())),
            _ => Err("write System"),
        }),
        _ => {
            let found =
                "`validation` without one of `caCertificateRefs`, `wellKnownCACertificates`";
            let fix = "write one of the two, and not both".to_owned();
            reader.report(map.mark(), found, "whose certificates are trusted", Some(fix));
            None
        }
    }
}

#[derive(Clone, Copy)]
enum NameKind {
    Host,
    Uri,
}

fn read_name(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<SubjectAltName> {
    let mut map = reader.mapping(value)?;
    let kinds = &[("Hostname", NameKind::Host), ("URI", NameKind::Uri)];
    let kind = map.require(reader, "type").and_then(|v| reader.choice(v, kinds));
    let name = match kind {
        Some(NameKind::Host) => {
            let host = map.require(reader, "hostname").and_then(|v| read_host(reader, v));
            host.map(|host| SubjectAltName::Host(host.to_string().into()))
        }
        Some(NameKind::Uri) => {
            let uri = map.require(reader, "uri");
            uri.and_then(|v| reader.parsed(v, "an absolute URI", absolute_uri))
        }
        None => return None,
    };
    map.finish(reader);
    name
}

/// A scheme and what is specific to it (RFC 3986 §3).
fn absolute_uri(text: &str) -> Result<SubjectAltName, &'static str> {
    let scheme = text.split_once("://").filter(|(scheme, rest)| {
        let letters = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        let begins = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        begins && scheme.bytes().all(letters) && !rest.is_empty()
    });
    let plain = text.len() <= MAX_URI && text.bytes().all(|byte| byte.is_ascii_graphic());
    match scheme.filter(|_| plain) {
        Some(_) => Ok(SubjectAltName::Uri(text.into())),
        None => Err("write it with its scheme, such as spiffe://cluster.local/ns/shop/sa/cart"),
    }
}

#[cfg(test)]
mod tests;
