//! `gateway`: which Gateways a proxy at the edge serves, where it listens for them, and certificates that are files.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use policy::GatewaySelection;
use policy::gateway::ObjectName;
use policy::yaml::{YamlMapping, YamlReader, YamlValue};

use super::sections::path;

/// The most certificates that are named by their files.
const MAX_CERTIFICATES: usize = 256;

/// What a proxy is (`mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Beside a workload.
    Sidecar,
    /// At the edge.
    Gateway,
}

/// A proxy at the edge (`mode: gateway`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// The one Gateway that is served (`gateway.name`). Default: every one of the class `postern`.
    pub name: Option<ObjectName>,
    /// Where ports of Gateways without addresses are listened on (`gateway.bind`). Default `::`, which means IPv4, too.
    pub bind: IpAddr,
    /// Certificates that stand for Secrets (`gateway.certificates`). Default: none.
    pub certificates: Vec<CertificateFiles>,
}

/// PEM files that stand for a Secret, reloaded when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The Secret's name (`name`, as `NAMESPACE/NAME`).
    pub name: ObjectName,
    /// The certificate, leaf first (`certificate`).
    pub certificate: PathBuf,
    /// Its private key (`key`).
    pub key: PathBuf,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self { name: None, bind: Ipv6Addr::UNSPECIFIED.into(), certificates: Vec::new() }
    }
}

impl GatewayConfig {
    /// Which Gateways of the resources are served.
    #[must_use]
    pub fn selection(&self) -> GatewaySelection {
        let certificates: BTreeSet<_> =
            self.certificates.iter().map(|files| files.name.clone()).collect();
        GatewaySelection { gateway: self.name.clone(), certificates, ..GatewaySelection::default() }
    }
}

/// `mode`, and the section `gateway`, which a sidecar must not have.
pub(super) fn read(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<GatewayConfig> {
    let modes = [("sidecar", Mode::Sidecar), ("gateway", Mode::Gateway)];
    let mode = map.take("mode").and_then(|v| reader.choice(v, &modes)).unwrap_or(Mode::Sidecar);
    let section = map.take("gateway");
    if let (Mode::Sidecar, Some(section)) = (mode, section) {
        let fix = "write `mode: gateway`, or remove it".to_owned();
        reader.report(
            section.node.mark,
            "`gateway` of a sidecar",
            "it beside `mode: gateway`",
            Some(fix),
        );
    }
    if mode == Mode::Sidecar {
        return None;
    }
    Some(section.and_then(|section| gateway(reader, section)).unwrap_or_default())
}

/// A gateway has no app: a section about one would be of no effect.
pub(super) fn refuse_app_sections(reader: &mut YamlReader, map: &mut YamlMapping<'_>) {
    for key in ["inbound", "outbound", "probes"] {
        if let Some(value) = map.take(key) {
            let fix = "remove it: a gateway listens where its Gateways say".to_owned();
            reader.report(
                value.node.mark,
                format!("`{key}` of a gateway"),
                "no app beside it",
                Some(fix),
            );
        }
    }
}

fn gateway(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<GatewayConfig> {
    let mut map = reader.mapping(value)?;
    let name = map.take("name").and_then(|v| object(reader, v));
    let bind = map.take("bind").and_then(|v| {
        reader.parsed(v, "an address", |text| {
            text.parse::<IpAddr>()
                .map_err(|_| "write for example \"::\" or 192.0.2.1, without a port")
        })
    });
    let certificates =
        map.take("certificates").and_then(|v| reader.filled_list(v, MAX_CERTIFICATES));
    let certificates = certificates.unwrap_or_default().into_iter();
    let certificates = certificates.filter_map(|item| certificate(reader, item)).collect();
    map.finish(reader);
    let default = GatewayConfig::default();
    Some(GatewayConfig { name, bind: bind.unwrap_or(default.bind), certificates })
}

fn certificate(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<CertificateFiles> {
    let mut map = reader.mapping(value)?;
    let name = map.require(reader, "name").and_then(|v| object(reader, v));
    let certificate = map.require(reader, "certificate").and_then(|v| path(reader, v));
    let key = map.require(reader, "key").and_then(|v| path(reader, v));
    map.finish(reader);
    Some(CertificateFiles { name: name?, certificate: certificate?, key: key? })
}

fn object(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ObjectName> {
    reader.parsed(value, "NAMESPACE/NAME", |text| match text.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok(ObjectName::new(namespace, name))
        }
        _ => Err("write for example shop/edge"),
    })
}
