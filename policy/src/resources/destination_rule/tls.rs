//! `tls`: what is spoken to a service outside the mesh.
//!
//! Within the mesh there is one answer, mutual TLS by SPIFFE identities, and no rule changes it (invariant 10).

use std::sync::Arc;

use super::host::reaches_cluster;
use super::settings::refuse_keys;
use crate::resources::service_entry::rules;
use crate::traffic_policy::{
    CaCertificates, ClientCertificateFiles, SubjectAltName, UpstreamTls, UpstreamTlsMode,
};
use crate::yaml::{YamlMapping, YamlReader, YamlValue};

/// The longest path of a file, in bytes (PATH_MAX of Linux).
const MAX_PATH: usize = 4096;
/// The most names of one rule.
const MAX_NAMES: usize = 64;

/// `mode`, as it is written.
#[derive(Clone, Copy, PartialEq)]
enum WrittenMode {
    Disable,
    Simple,
    Mutual,
    Mesh,
}

const MODES: &[(&str, WrittenMode)] = &[
    ("DISABLE", WrittenMode::Disable),
    ("SIMPLE", WrittenMode::Simple),
    ("MUTUAL", WrittenMode::Mutual),
    ("ISTIO_MUTUAL", WrittenMode::Mesh),
];

/// `None` for ISTIO_MUTUAL, which says what holds anyway, and after a diagnostic.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    host: &str,
) -> Option<UpstreamTls> {
    let mut map = reader.mapping(value)?;
    let written = map.require(reader, "mode");
    let mode = written.and_then(|v| reader.choice(v, MODES));
    refuse_keys(reader, &mut map, UNSUPPORTED);
    if let (Some(value), Some(mode)) = (written, mode)
        && mode != WrittenMode::Mesh
        && reaches_cluster(host)
    {
        let fix = "take `tls` out: Services of the cluster are in the mesh, which speaks mutual TLS; SIMPLE and MUTUAL are for hosts outside";
        reader.report_value(value, "ISTIO_MUTUAL", Some(fix.to_owned()));
    }
    let tls = read_files_and_names(reader, &mut map, mode?);
    map.finish(reader);
    tls
}

const SECRETS: &str =
    "mount the files into the proxy and name them: caCertificates, clientCertificate, privateKey";

const UNSUPPORTED: &[(&str, &str)] = &[
    ("credentialName", SECRETS),
    (
        "insecureSkipVerify",
        "take it out: a certificate is always checked; name its root in caCertificates",
    ),
    ("caCrl", "take it out: lists of revoked certificates are not read"),
];

/// Every other key is refused where its mode gives it no meaning.
fn read_files_and_names(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    mode: WrittenMode,
) -> Option<UpstreamTls> {
    let client = match mode {
        WrittenMode::Mutual => {
            let certificate = map.require(reader, "clientCertificate");
            let certificate = certificate.and_then(|v| file(reader, v));
            let key = map.require(reader, "privateKey").and_then(|v| file(reader, v));
            Some(certificate.zip(key)?)
        }
        _ => None,
    };
    let (ca_certificates, sni, names) = match mode {
        WrittenMode::Simple | WrittenMode::Mutual => (
            map.take("caCertificates").and_then(|v| file(reader, v)),
            map.take("sni").and_then(|v| name(reader, v)),
            map.take("subjectAltNames").map(|v| read_names(reader, v)),
        ),
        WrittenMode::Disable | WrittenMode::Mesh => (None, None, None),
    };
    let mode = match (mode, client) {
        (WrittenMode::Mesh, _) => return None,
        (WrittenMode::Disable, _) => UpstreamTlsMode::Disable,
        (_, None) => UpstreamTlsMode::Simple,
        (_, Some((certificate, private_key))) => {
            UpstreamTlsMode::Mutual(ClientCertificateFiles { certificate, private_key })
        }
    };
    let ca_certificates = ca_certificates.map_or(CaCertificates::System, CaCertificates::File);
    let subject_alt_names = names.unwrap_or_default();
    Some(UpstreamTls { mode, ca_certificates, sni, subject_alt_names })
}

fn file(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Arc<str>> {
    reader.parsed(value, "the absolute path of a file", |text| {
        let plain = text.len() <= MAX_PATH && !text.contains(char::is_control);
        match plain && text.starts_with('/') {
            true => Ok(text.into()),
            false => Err("begin with '/'"),
        }
    })
}

fn name(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Arc<str>> {
    reader.parsed(value, "a DNS name", rules::host)
}

fn read_names(reader: &mut YamlReader, value: YamlValue<'_>) -> Arc<[SubjectAltName]> {
    let items = reader.filled_list(value, MAX_NAMES).unwrap_or_default();
    let names = items.into_iter().filter_map(|item| name(reader, item));
    names.map(SubjectAltName::Host).collect()
}
