//! The small sections of the configuration file, one function each.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use identity::{SpiffeId, TrustDomain};
use policy::yaml::{YamlReader, YamlValue};
use policy::{
    DefaultAuthorization, DefaultEgress, Locality, MtlsMode, PathNormalization, PolicyDefaults,
    Workload,
};

use super::listeners;
use super::{
    AdminConfig, ControllerConfig, IdentityFiles, IdentitySource, LogConfig, UpgradeSocket,
};
use crate::connection::net::InterceptionConfig;
use crate::control::upgrade::MeetingPoint;
use crate::http::gate::UnderscorePolicy;
use crate::ports::{ADMIN_PORT, INBOUND_SOURCE_V4};
use crate::telemetry::{AccessLog, LOG_LEVELS, LogLevel};

const DEFAULT_TRUST_DOMAIN: &str = "cluster.local";

/// The modes of a port, as PeerAuthentication writes them.
pub(super) const MTLS_MODES: &[(&str, MtlsMode)] = &[
    ("STRICT", MtlsMode::Strict),
    ("PERMISSIVE", MtlsMode::Permissive),
    ("DISABLE", MtlsMode::Disable),
];

/// `workload`: who the app is. Its labels are given there, or in a file of the downward API.
pub(super) fn workload(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<(Workload, Option<PathBuf>, Option<Locality>)> {
    let mut map = reader.mapping(value)?;
    let namespace = map.require(reader, "namespace").and_then(|v| dns_label(reader, v));
    let account = map.require(reader, "serviceAccount");
    let service_account = account.and_then(|v| service_account(reader, v));
    let labels = map.take("labels").map(|v| (v, labels(reader, v)));
    let file = map.take("labelsFile").and_then(|v| path(reader, v));
    let locality = map
        .take("locality")
        .and_then(|v| reader.parsed(v, "a locality such as eu/eu-west-1a", Locality::parse));
    map.finish(reader);
    if let (Some((written, _)), Some(_)) = (&labels, &file) {
        let fix = Some("remove one".to_owned());
        reader.report(written.node.mark, "`labels` and `labelsFile`", "one of them", fix);
    }
    let workload = Workload {
        namespace: namespace?,
        service_account: service_account?,
        labels: labels.and_then(|(_, labels)| labels).unwrap_or_default(),
    };
    Some((workload, file, locality))
}

fn service_account(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<String> {
    reader.parsed(value, "a service account's name", |text| {
        let trust_domain = TrustDomain::parse(DEFAULT_TRUST_DOMAIN)?;
        SpiffeId::workload(&trust_domain, "default", text).map(|_| text.to_owned())
    })
}

fn labels(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<std::collections::BTreeMap<String, String>> {
    let mut map = reader.mapping(value)?;
    let entries = map.entries();
    Some(
        entries
            .filter_map(|(key, value)| Some((key.text.to_string(), label(reader, value)?)))
            .collect(),
    )
}

/// A label's value, which may be empty.
fn label(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<String> {
    match value.is_empty_text() {
        true => Some(String::new()),
        false => reader.text(value).map(str::to_owned),
    }
}

/// The name of a namespace or a container: a DNS label (RFC 1123).
pub(super) fn dns_label(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<String> {
    reader.parsed(value, "a name of Kubernetes (RFC 1123 label)", |text| {
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let bytes = text.as_bytes();
        match inner && bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) {
            true => Ok(text.to_owned()),
            false => Err(
                "such names are lower-case letters, digits and '-', at most 63, no '-' at an end",
            ),
        }
    })
}

/// `identity`: the trust domain and exactly one source.
pub(super) fn identity(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<(TrustDomain, IdentitySource)> {
    let mut map = reader.mapping(value)?;
    let named =
        map.take("trustDomain").map(|v| reader.parsed(v, "a trust domain", TrustDomain::parse));
    let trust_domain = named.unwrap_or_else(|| TrustDomain::parse(DEFAULT_TRUST_DOMAIN).ok());
    let api = map.take("workloadApi").map(|v| (v, reader.parsed(v, "a unix socket", unix_socket)));
    let files = map.take("files").map(|v| (v, identity_files(reader, v)));
    map.finish(reader);
    let source = match (api, files) {
        (Some((_, api)), None) => api.map(IdentitySource::WorkloadApi),
        (None, Some((_, files))) => files.map(IdentitySource::Files),
        (Some(_), Some((second, _))) => {
            reader.report(
                second.node.mark,
                "`workloadApi` and `files`",
                "one source",
                Some("remove one".into()),
            );
            None
        }
        (None, None) => {
            reader.report(
                value.node.mark,
                "no source in `identity`",
                "`workloadApi` or `files`",
                None,
            );
            None
        }
    };
    Some((trust_domain?, source?))
}

/// `unix:///absolute/path` (SPIFFE Workload Endpoint §4).
fn unix_socket(text: &str) -> Result<PathBuf, &'static str> {
    match text.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') && path.len() > 1 => Ok(path.into()),
        _ => {
            Err("write unix:///absolute/path (other transports are not supported by this version)")
        }
    }
}

fn identity_files(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<IdentityFiles> {
    let mut map = reader.mapping(value)?;
    let mut file =
        |reader: &mut YamlReader, key| map.require(reader, key).and_then(|v| path(reader, v));
    let certificate = file(reader, "certificate");
    let key = file(reader, "key");
    let bundle = file(reader, "bundle");
    let crl = map.take("crl").and_then(|v| path(reader, v));
    let jwt_bundle = map.take("jwtBundle").and_then(|v| path(reader, v));
    let federated = map.take("federated").and_then(|v| federated(reader, v));
    map.finish(reader);
    Some(IdentityFiles {
        certificate: certificate?,
        key: key?,
        bundle: bundle?,
        crl,
        jwt_bundle,
        federated: federated.unwrap_or_default(),
    })
}

fn federated(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<(TrustDomain, PathBuf)>> {
    let mut map = reader.mapping(value)?;
    let mut bundles = Vec::new();
    for (key, value) in map.entries() {
        match TrustDomain::parse(&key.text) {
            Ok(trust_domain) => {
                bundles.extend(path(reader, value).map(|path| (trust_domain, path)))
            }
            Err(error) => {
                reader.report(
                    key.mark,
                    format!("`{}`", key.text),
                    "a trust domain",
                    Some(error.to_string()),
                );
            }
        }
    }
    Some(bundles)
}

pub(super) fn path(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<PathBuf> {
    reader.text(value).map(PathBuf::from)
}

/// `resources`: a directory, or the controller's stream.
pub(super) fn resources(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<(Option<PathBuf>, Option<ControllerConfig>)> {
    let mut map = reader.mapping(value)?;
    let controller = map.take("controller");
    let directory = match controller {
        Some(_) => map.take("directory"),
        None => map.require(reader, "directory"),
    };
    map.finish(reader);
    let Some(controller) = controller else {
        return Some((directory.and_then(|v| path(reader, v)), None));
    };
    if let Some(second) = directory {
        let fix = Some("remove one".into());
        reader.report(second.node.mark, "`controller` and `directory`", "one source", fix);
    }
    Some((None, super::controller::read(reader, controller)))
}

/// `defaults`, beginning with those of the mode.
pub(super) fn defaults(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
    mut defaults: PolicyDefaults,
) -> PolicyDefaults {
    let Some(mut map) = value.and_then(|v| reader.mapping(v)) else { return defaults };
    let authorization = [
        ("deny", DefaultAuthorization::Deny),
        ("audit", DefaultAuthorization::Audit),
        ("allow", DefaultAuthorization::Allow),
    ];
    let egress = [("deny", DefaultEgress::Deny), ("allow", DefaultEgress::Allow)];
    choose(reader, map.take("authorization"), &authorization, &mut defaults.authorization);
    choose(reader, map.take("mtls"), MTLS_MODES, &mut defaults.mtls);
    choose(reader, map.take("egress"), &egress, &mut defaults.egress);
    map.finish(reader);
    defaults
}

/// Sets `target` to the choice that was written, if any.
fn choose<T: Copy>(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
    choices: &[(&str, T)],
    target: &mut T,
) {
    if let Some(choice) = value.and_then(|v| reader.choice(v, choices)) {
        *target = choice;
    }
}

pub(super) fn path_normalization(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
) -> PathNormalization {
    let levels = [
        ("NONE", PathNormalization::None),
        ("BASE", PathNormalization::Base),
        ("MERGE_SLASHES", PathNormalization::MergeSlashes),
        ("DECODE_AND_MERGE_SLASHES", PathNormalization::DecodeAndMergeSlashes),
    ];
    let mut level = PathNormalization::default();
    choose(reader, value, &levels, &mut level);
    level
}

pub(super) fn underscores(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
) -> UnderscorePolicy {
    let choices = [
        ("allow", UnderscorePolicy::Allow),
        ("drop", UnderscorePolicy::Drop),
        ("refuse", UnderscorePolicy::Refuse),
    ];
    let mut choice = UnderscorePolicy::default();
    choose(reader, value, &choices, &mut choice);
    choice
}

pub(super) fn interception(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
) -> InterceptionConfig {
    let mut interception = InterceptionConfig { mark: None, source4: INBOUND_SOURCE_V4 };
    let Some(mut map) = value.and_then(|v| reader.mapping(v)) else { return interception };
    if let Some(mark) = map.take("mark").and_then(|v| reader.integer(v, 1..=u64::from(u32::MAX))) {
        interception.mark = u32::try_from(mark).ok();
    }
    let source4 =
        map.take("source4").and_then(|v| reader.parsed(v, "a loopback IPv4 address", loopback4));
    interception.source4 = source4.unwrap_or(interception.source4);
    map.finish(reader);
    interception
}

fn loopback4(text: &str) -> Result<Ipv4Addr, &'static str> {
    match text.parse() {
        Ok(address) if Ipv4Addr::is_loopback(&address) && address != Ipv4Addr::LOCALHOST => {
            Ok(address)
        }
        _ => Err("write one of 127.0.0.0/8 that is not 127.0.0.1, which the app itself uses"),
    }
}

pub(super) fn admin(reader: &mut YamlReader, value: Option<YamlValue<'_>>) -> AdminConfig {
    let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), ADMIN_PORT);
    let mut admin = AdminConfig { bind: Some(default), token_file: None, drain_from_pod: false };
    let Some(mut map) = value.and_then(|v| reader.mapping(v)) else { return admin };
    if let Some(value) = map.take("bind") {
        admin.bind = listeners::one_bind(reader, Some(value), default);
        if admin.bind.is_some_and(|address| !address.ip().to_canonical().is_loopback()) {
            let fix = "write 127.0.0.1:15000; the admin endpoint shows and changes too much for a network".to_owned();
            reader.report_value(value, "a loopback address", Some(fix));
        }
    }
    admin.token_file = map.take("tokenFile").and_then(|v| path(reader, v));
    admin.drain_from_pod =
        map.take("drainFromPod").and_then(|v| reader.boolean(v)).unwrap_or(false);
    map.finish(reader);
    admin
}

/// `upgrade`: the socket that is written, or none; else a name that no other proxy of the network namespace has.
pub(super) fn upgrade(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
    admin: Option<SocketAddr>,
) -> Option<UpgradeSocket> {
    let known = admin.filter(|address| address.port() != 0).map(MeetingPoint::of_address);
    let default = known.map(|point| UpgradeSocket { point, required: false });
    let Some(mut map) = value.and_then(|v| reader.mapping(v)) else { return default };
    let socket = map.take("socket");
    map.finish(reader);
    match socket {
        None => default,
        Some(value) if value.is_text("none") => None,
        Some(value) => reader
            .parsed(value, "a socket's path, or none", MeetingPoint::path)
            .map(|point| UpgradeSocket { point, required: true }),
    }
}

pub(super) fn logs(reader: &mut YamlReader, value: Option<YamlValue<'_>>) -> LogConfig {
    let mut logs = LogConfig { level: LogLevel::Info, access: AccessLog::All };
    let Some(mut map) = value.and_then(|v| reader.mapping(v)) else { return logs };
    let access =
        [("all", AccessLog::All), ("refused", AccessLog::Refused), ("off", AccessLog::Off)];
    choose(reader, map.take("level"), LOG_LEVELS, &mut logs.level);
    choose(reader, map.take("access"), &access, &mut logs.access);
    map.finish(reader);
    logs
}

pub(super) fn workers(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
) -> Option<NonZeroUsize> {
    let number = value.and_then(|v| reader.integer(v, 1..=64))?;
    usize::try_from(number).ok().and_then(NonZeroUsize::new)
}
