//! `clientCertificates`: who may sign a partner's certificate, and whom it is taken for.

use std::sync::Arc;

use identity::SpiffeId;

use crate::client_traffic::{CertificateMode, ClientCertificates, PartnerMapping, PartnerName};
use crate::resources::object::dns_subdomain;
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The most authorities of one policy: each is asked at a handshake.
const MAX_AUTHORITIES: usize = 16;
/// The most mappings of one policy.
const MAX_MAPPINGS: usize = 1024;
/// The longest name in a certificate, in bytes.
const MAX_NAME: usize = 2048;
const MODES: &[(&str, CertificateMode)] =
    &[("required", CertificateMode::Required), ("optional", CertificateMode::Optional)];

pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    own: &Arc<str>,
) -> Option<ClientCertificates> {
    let mut map = reader.mapping(value)?;
    let mode = map.require(reader, "mode").and_then(|v| reader.choice(v, MODES));
    let authorities = map.require(reader, "authorities");
    let authorities = authorities.and_then(|v| {
        let items = reader.filled_list(v, MAX_AUTHORITIES)?;
        items.into_iter().map(|item| read_authority(reader, item, own)).collect()
    });
    let principals = map.take("principals").map(|v| read_mappings(reader, v));
    map.finish(reader);
    Some(ClientCertificates {
        mode: mode?,
        authorities: authorities?,
        principals: principals.unwrap_or_else(|| Some(Vec::new()))?,
    })
}

/// A ConfigMap of the policy's namespace, as `namespace/name`.
fn read_authority(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    own: &Arc<str>,
) -> Option<Arc<str>> {
    let mut map = reader.mapping(value)?;
    if let Some(group) = map.take("group").filter(|group| !group.is_empty_text()) {
        let code = DiagnosticCode::Unsupported;
        reader.report_value_with_code(code, group, "\"\", the group of kind ConfigMap", None);
    }
    if let Some(kind) = map.require(reader, "kind").filter(|kind| !kind.is_text("ConfigMap")) {
        let fix = "put the certificates under `ca.crt` of a ConfigMap".to_owned();
        let code = DiagnosticCode::Unsupported;
        reader.report_value_with_code(code, kind, "ConfigMap", Some(fix));
    }
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "a ConfigMap's name", dns_subdomain));
    map.finish(reader);
    Some(format!("{own}/{}", name?).into())
}

/// The mappings. A name that means two principals is refused: which one holds must not depend on the order.
fn read_mappings(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<PartnerMapping>> {
    let items = reader.filled_list(value, MAX_MAPPINGS)?;
    let mut mappings: Vec<PartnerMapping> = Vec::with_capacity(items.len());
    let mut is_whole = true;
    for item in items {
        match read_mapping(reader, item) {
            Some(mapping) if mappings.iter().any(|known| known.name == mapping.name) => {
                let code = DiagnosticCode::Repeated;
                let found = "a name of a certificate again";
                let fix = "take one of them out".to_owned();
                let expected = "each name once";
                reader.report_with_code(code, item.node.mark, found, expected, Some(fix));
            }
            Some(mapping) => mappings.push(mapping),
            None => is_whole = false,
        }
    }
    is_whole.then_some(mappings)
}

fn read_mapping(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<PartnerMapping> {
    let mut map = reader.mapping(value)?;
    let name = map.require(reader, "subjectAltName").and_then(|v| read_name(reader, v));
    let principal = map.require(reader, "principal");
    let expected = "a principal such as partner.example/acme";
    let principal = principal.and_then(|v| reader.parsed(v, expected, principal_text));
    map.finish(reader);
    Some(PartnerMapping { name: name?, principal: principal? })
}

/// A principal as policies write it: the id without its scheme, of a workload and not of a whole domain.
fn principal_text(text: &str) -> Result<SpiffeId, String> {
    if text.starts_with("spiffe:") {
        return Err("write the id without spiffe://".to_owned());
    }
    let id = SpiffeId::parse(&format!("spiffe://{text}")).map_err(|error| error.to_string())?;
    match id.path() {
        "" => Err("name somebody of the trust domain: <trust domain>/<name>".to_owned()),
        _ => Ok(id),
    }
}

fn read_name(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<PartnerName> {
    let mut map = reader.mapping(value)?;
    let dns = take_name(reader, &mut map, "dns", "a host such as api.acme.example", dns_name);
    let uri = take_name(reader, &mut map, "uri", "a URI such as urn:acme:orders", uri_name);
    let email = take_name(reader, &mut map, "email", "an address of mail", email_name);
    map.finish(reader);
    let mut written = [dns, uri, email].into_iter().flatten();
    match (written.next(), written.next()) {
        (Some(name), None) => name,
        (found, _) => {
            let found = if found.is_some() { "several names" } else { "no name" };
            let expected = "one of `dns`, `uri` and `email`";
            reader.report(value.node.mark, found, expected, None);
            None
        }
    }
}

fn take_name(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    key: &'static str,
    expected: &str,
    parse: fn(&str) -> Result<PartnerName, &'static str>,
) -> Option<Option<PartnerName>> {
    map.take(key).map(|value| {
        reader.parsed(value, expected, |text| match text.len() <= MAX_NAME {
            true => parse(text),
            false => Err("at most 2048 bytes"),
        })
    })
}

fn dns_name(text: &str) -> Result<PartnerName, &'static str> {
    let name = dns_subdomain(&text.to_ascii_lowercase()).map_err(
        |_| "a whole host without *: who holds a certificate of many hosts is not one partner",
    )?;
    Ok(PartnerName::Dns((*name).into()))
}

fn uri_name(text: &str) -> Result<PartnerName, &'static str> {
    let scheme = text.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty());
    match scheme && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
        true => Ok(PartnerName::Uri(text.into())),
        false => {
            Err("a scheme, a colon and visible ASCII characters; it is compared byte for byte")
        }
    }
}

fn email_name(text: &str) -> Result<PartnerName, &'static str> {
    let visible = text.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    match text.split_once('@') {
        Some((local, host))
            if visible
                && !local.is_empty()
                && dns_subdomain(&host.to_ascii_lowercase()).is_ok() =>
        {
            Ok(PartnerName::Email(text.into()))
        }
        _ => Err("one address, such as orders@acme.example"),
    }
}
