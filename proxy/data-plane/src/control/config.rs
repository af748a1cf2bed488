//! The proxy's configuration file.
//!
//! [`Config::parse`] is pure: text in, a checked [`Config`] or every diagnostic out, each with file, line and column.
//! An unknown key is an error, so a misspelt setting never passes for its default. Only `workload` and `identity` are
//! required.

mod controller;
mod directory;
mod gateway;
pub(crate) mod labels;
mod listeners;
pub mod load;
mod probes;
mod redis;
mod sections;
mod settings;
mod tokens;
mod tracing;

use crate::connection::net::InterceptionConfig;
use crate::control::upgrade::MeetingPoint;
use crate::limits::{self, Limits};
use crate::telemetry::AccessLog;
use crate::traffic::provider_calls::ProviderSettings;
use crate::traffic::settings::{InboundConfig, TrafficSettings};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::http::gate::UnderscorePolicy;
use crate::ports::{METRICS_PORT, READINESS_PORT};
use crate::telemetry::LogLevel;
use identity::TrustDomain;
use policy::resources::DEFAULT_ROOT_NAMESPACE;
use policy::yaml::{self, YamlMapping, YamlReader, YamlValue};
use policy::{
    DefaultAuthorization, Diagnostic, Diagnostics, Locality, PathNormalization, PolicyDefaults,
    Workload,
};

pub use controller::{ControllerConfig, PodReference};
pub use directory::{
    FileStamp, MAX_DIRECTORY_BYTES, MAX_DIRECTORY_FILES, is_resource_name, read_directory,
    read_file, read_stream, stamped_files, take_room,
};
pub use gateway::{CertificateFiles, GatewayConfig};
pub use listeners::OutboundConfig;
pub use probes::{AppMetrics, HttpProbe, Probe, ProbeHandler};
pub use redis::{RedisConfig, RedisTls};
pub use settings::{SETTINGS, Setting, SettingDefault};
pub use tokens::TokenConfig;
pub use tracing::{CollectorSecurity, TracingConfig};

/// The longest time that a request waits for the store of limits by default.
const LIMIT_TIMEOUT: Duration = Duration::from_millis(20);
/// The same for the store of sessions: there is no answer without it.
const SESSION_TIMEOUT: Duration = Duration::from_millis(100);

/// The whole configuration of a proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Who the workload beside the proxy is (`workload`).
    pub workload: Workload,
    /// The file of the downward API that holds the workload's labels (`workload.labelsFile`), in place of `labels`.
    pub labels_file: Option<PathBuf>,
    /// Where the workload runs (`workload.locality`). Default: what its labels say, see [`Locality::of_labels`].
    pub locality: Option<Locality>,
    /// The workload's trust domain (`identity.trustDomain`). Default `cluster.local`.
    pub trust_domain: TrustDomain,
    /// Where the proxy's certificate comes from (`identity`).
    pub identity: IdentitySource,
    /// The directory of resource files (`resources.directory`); `None`: the empty set.
    pub resources: Option<PathBuf>,
    /// The controller whose stream the resources come from (`resources.controller`), instead of a directory. Default:
    /// none.
    pub controller: Option<ControllerConfig>,
    /// What holds where no resource says otherwise (`defaults`), the ports' own mTLS modes included.
    pub defaults: PolicyDefaults,
    /// The namespace whose resources act on every workload (`rootNamespace`). Default `postern-system`.
    pub root_namespace: String,
    /// How far request paths are normalised (`pathNormalization`). Default `MERGE_SLASHES`.
    pub path_normalization: PathNormalization,
    /// What becomes of headers with `_` in their names (`headersWithUnderscores`). Default `allow`.
    pub headers_with_underscores: UnderscorePolicy,
    /// Traffic to the app (`inbound`).
    pub inbound: InboundConfig,
    /// Traffic from the app (`outbound`).
    pub outbound: OutboundConfig,
    /// How the proxy's own connections are told apart by the interception rules (`interception`).
    pub interception: InterceptionConfig,
    /// Where the keys of token issuers may come from (`tokens`).
    pub tokens: TokenConfig,
    /// The admin endpoint (`admin`).
    pub admin: AdminConfig,
    /// Where `/metrics` is served (`metrics.bind`); `None`: nowhere. Default `[::]:15020`.
    pub metrics: Option<SocketAddr>,
    /// Whose metrics are added to ours (`metrics.app`).
    pub app_metrics: Option<AppMetrics>,
    /// The probes that the proxy runs against the app in the kubelet's place (`probes`).
    pub probes: Vec<Probe>,
    /// Where `/ready` and `/live` are served (`readiness.bind`); `None`: nowhere. Default `[::]:15021`.
    pub readiness: Option<SocketAddr>,
    /// Where the next process of this proxy finds it, to take its sockets over (`upgrade.socket`); `None`: nowhere.
    /// Default: a name of the network namespace, made of the admin address.
    pub upgrade: Option<UpgradeSocket>,
    /// What is logged (`logs`).
    pub logs: LogConfig,
    /// Where spans are sent, and how many (`tracing`); `None`: no span is made. Default: none.
    pub tracing: Option<TracingConfig>,
    /// Where limits of all proxies are counted (`rateLimits`); `None`: nowhere. Default: none.
    pub limit_store: Option<RedisConfig>,
    /// Where users who signed in are remembered by all proxies (`sessions`); `None`: in our own memory. Default: none.
    pub session_store: Option<RedisConfig>,
    /// Every limit and deadline (`limits`).
    pub limits: Limits,
    /// The edge (`mode: gateway`); `None`: a sidecar.
    pub gateway: Option<GatewayConfig>,
    /// Worker threads (`workers`); `None`: the CPU limit of the cgroup, of a sidecar at most 2.
    pub workers: Option<NonZeroUsize>,
}

/// Where the proxy's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentitySource {
    /// The SPIFFE Workload API on this unix socket (`identity.workloadApi`).
    WorkloadApi(PathBuf),
    /// PEM files, reloaded when they change (`identity.files`).
    Files(IdentityFiles),
}

/// The PEM files of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate, leaf first.
    pub certificate: PathBuf,
    /// Its private key, PKCS#8.
    pub key: PathBuf,
    /// The roots of the workload's own trust domain.
    pub bundle: PathBuf,
    /// Revocation lists (`X509 CRL` blocks). Default: none, nobody is revoked.
    pub crl: Option<PathBuf>,
    /// The JWT authorities of the own trust domain, a JWK set (`jwtBundle`). Default: none, no token of the mesh is taken.
    pub jwt_bundle: Option<PathBuf>,
    /// The roots of other trust domains (`federated: {other.example: /path.pem}`); never merged.
    pub federated: Vec<(TrustDomain, PathBuf)>,
}

/// The admin endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens (`bind`), loopback only; `None`: nowhere. Default `127.0.0.1:15000`.
    pub bind: Option<SocketAddr>,
    /// The file with the token `POST` needs (`tokenFile`); `None`: every `POST` is refused.
    pub token_file: Option<PathBuf>,
    /// Whether `POST /quitquitquit` needs no token (`drainFromPod`), so that a job's container can end its pod. Default
    /// false.
    pub drain_from_pod: bool,
}

/// Where an in-place upgrade begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeSocket {
    /// The socket.
    pub point: MeetingPoint,
    /// Whether the configuration names it: then the proxy does not start without it.
    pub required: bool,
}

/// What is logged on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important message that is written (`level`). Default info.
    pub level: LogLevel,
    /// Which connections and requests are logged (`access`). Default all.
    pub access: AccessLog,
}

impl Config {
    /// Reads a configuration file; `file_name` is what messages call it.
    ///
    /// # Errors
    /// Every diagnostic at once.
    pub fn parse(file_name: &str, text: &[u8]) -> Result<Self, Diagnostics> {
        let file: Arc<str> = file_name.into();
        let mut diagnostics = Vec::new();
        let documents = yaml::read(&file, text, &mut diagnostics);
        let mut reader = YamlReader::new(Arc::clone(&file));
        let mut roots = documents.iter().filter_map(|document| document.root.as_ref());
        let root = roots.next();
        if let Some(second) = roots.next() {
            reader.report(second.mark, "a second document", "one document", None);
        }
        let config = match root {
            Some(node) => read_config(&mut reader, YamlValue { node, name: "" }),
            None => None,
        };
        diagnostics.extend(reader.into_diagnostics());
        if root.is_none() && diagnostics.is_empty() {
            diagnostics.push(empty_file(&file));
        }
        let config = Diagnostics::ok_unless_any(config, diagnostics)?;
        config.ok_or_else(|| Diagnostics::from(empty_file(&file)))
    }

    /// Where an invalid configuration says its resources are, and its root namespace: `check` then reports the
    /// diagnostics of both at once.
    pub fn resources_of_broken_file(text: &[u8]) -> (Option<PathBuf>, String) {
        let file: Arc<str> = "".into();
        let documents = yaml::read(&file, text, &mut Vec::new());
        let root = documents.iter().find_map(|document| document.root.as_ref());
        let mut reader = YamlReader::new(file);
        let map = root.and_then(|node| reader.mapping(YamlValue { node, name: "" }));
        let (resources, namespace) = map.map_or((None, None), |mut map| {
            let resources = map.take("resources");
            let resources = resources.and_then(|v| sections::resources(&mut reader, v));
            let resources = resources.and_then(|(directory, _)| directory);
            let namespace = map.take("rootNamespace");
            (resources, namespace.and_then(|v| sections::dns_label(&mut reader, v)))
        });
        (resources, namespace.unwrap_or_else(|| DEFAULT_ROOT_NAMESPACE.to_owned()))
    }
}

impl Config {
    /// The settings of the data plane.
    pub fn traffic_settings(&self) -> TrafficSettings {
        TrafficSettings {
            limits: self.limits,
            is_gateway: self.gateway.is_some(),
            workload: self.workload.clone(),
            locality: (self.locality.clone())
                .or_else(|| Locality::of_labels(&self.workload.labels)),
            trust_domain: self.trust_domain.clone(),
            agent_socket: match &self.identity {
                IdentitySource::WorkloadApi(socket) => Some(socket.clone()),
                IdentitySource::Files(_) => None,
            },
            defaults: self.defaults.clone(),
            root_namespace: self.root_namespace.clone(),
            has_controller: self.controller.is_some(),
            path_normalization: self.path_normalization,
            headers_with_underscores: self.headers_with_underscores,
            inbound: self.inbound.clone(),
            interception: self.interception.clone(),
            access_log: self.logs.access,
            sampling: self.tracing.as_ref().map(|tracing| tracing.sampling),
            own_ports: self.own_ports().collect(),
            providers: ProviderSettings {
                certificate_authorities: self.tokens.certificate_authorities.clone(),
                allow_addresses: self.tokens.allow_addresses.clone(),
            },
        }
    }

    /// Whether a port is one of the proxy's own, which no app can have (SECURITY-CASES S-44).
    pub fn is_own_port(&self, port: u16) -> bool {
        self.own_ports().any(|own| own == port)
    }

    fn own_ports(&self) -> impl Iterator<Item = u16> {
        let transparent = self.inbound.bind.iter().chain(&self.outbound.bind);
        let small = [self.admin.bind, self.metrics, self.readiness].into_iter().flatten();
        transparent.copied().chain(small).map(|address| address.port())
    }
}

fn empty_file(file: &Arc<str>) -> Diagnostic {
    let fix = "see `postern-proxy run --help` for an example".to_owned();
    Diagnostic::new(
        file,
        yaml::SourcePosition::FILE,
        "an empty file",
        "at least `workload` and `identity`",
        Some(fix),
    )
}

/// Reads the root mapping. `None` only after a diagnostic was recorded.
fn read_config(reader: &mut YamlReader, root: YamlValue<'_>) -> Option<Config> {
    let mut map = reader.mapping(root)?;
    let gateway = gateway::read(reader, &mut map);
    let workload = map.require(reader, "workload").and_then(|v| sections::workload(reader, v));
    let identity = map.require(reader, "identity").and_then(|v| sections::identity(reader, v));
    let resources = map.take("resources").and_then(|v| sections::resources(reader, v));
    let (resources, controller) = resources.unwrap_or_default();
    let mut defaults = sections::defaults(reader, map.take("defaults"), defaults_of(&gateway));
    let root_namespace = map.take("rootNamespace").and_then(|v| sections::dns_label(reader, v));
    let path_normalization = sections::path_normalization(reader, map.take("pathNormalization"));
    let headers_with_underscores =
        sections::underscores(reader, map.take("headersWithUnderscores"));
    if gateway.is_some() {
        gateway::refuse_app_sections(reader, &mut map);
    }
    let mut inbound = listeners::inbound(reader, map.take("inbound"));
    let mut outbound = listeners::outbound(reader, map.take("outbound"));
    if gateway.is_some() {
        inbound.bind.clear();
        outbound.bind.clear();
    }
    let interception = sections::interception(reader, map.take("interception"));
    let tokens = tokens::read(reader, map.take("tokens"));
    let admin = sections::admin(reader, map.take("admin"));
    let (metrics, app_metrics) = metrics(reader, map.take("metrics"));
    let probes = probes::probes(reader, map.take("probes"));
    let (readiness, section) = optional_bind(reader, map.take("readiness"), READINESS_PORT);
    section.into_iter().for_each(|section| section.finish(reader));
    let upgrade = sections::upgrade(reader, map.take("upgrade"), admin.bind);
    let logs = sections::logs(reader, map.take("logs"));
    let tracing = map.take("tracing").and_then(|v| tracing::read(reader, v));
    let limit_store = map.take("rateLimits");
    let limit_store = limit_store.and_then(|v| redis::read(reader, v, LIMIT_TIMEOUT));
    let session_store = map.take("sessions");
    let session_store = session_store.and_then(|v| redis::read(reader, v, SESSION_TIMEOUT));
    let limits = limits::read(reader, map.take("limits"));
    let workers = sections::workers(reader, map.take("workers"));
    map.finish(reader);
    listeners::refuse_shared_addresses(
        reader,
        root.node.mark,
        &inbound,
        &outbound,
        [admin.bind, metrics, readiness],
    );
    defaults.port_mtls = inbound.port_mtls();
    let (trust_domain, identity) = identity?;
    defaults.trust_domain = Some(trust_domain.clone());
    let (workload, labels_file, locality) = workload?;
    Some(Config {
        workload,
        labels_file,
        locality,
        trust_domain,
        identity,
        resources,
        controller,
        defaults,
        root_namespace: root_namespace.unwrap_or_else(|| DEFAULT_ROOT_NAMESPACE.to_owned()),
        path_normalization,
        headers_with_underscores,
        inbound,
        outbound,
        interception,
        tokens,
        admin,
        metrics,
        app_metrics,
        probes,
        readiness,
        upgrade,
        logs,
        tracing,
        limit_store,
        session_store,
        limits,
        gateway,
        workers,
    })
}

/// What holds without `defaults`. At the edge an attached route says already what is open to everybody, and policies that
/// select the gateway narrow it; a sidecar has nothing that says so.
fn defaults_of(gateway: &Option<GatewayConfig>) -> PolicyDefaults {
    let mut defaults = PolicyDefaults::default();
    if gateway.is_some() {
        defaults.authorization = DefaultAuthorization::Allow;
        defaults.edge = true;
    }
    defaults
}

/// `metrics`: where the proxy's are served, and where the app's are.
fn metrics(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
) -> (Option<SocketAddr>, Option<AppMetrics>) {
    let (bind, section) = optional_bind(reader, value, METRICS_PORT);
    let Some(mut section) = section else { return (bind, None) };
    let app = section.take("app").and_then(|v| probes::app_metrics(reader, v));
    section.finish(reader);
    (bind, app)
}

/// `metrics` and `readiness`: a mapping with a `bind`, which defaults to every address; and what is
/// left of the mapping.
fn optional_bind<'n>(
    reader: &mut YamlReader,
    value: Option<YamlValue<'n>>,
    port: u16,
) -> (Option<SocketAddr>, Option<YamlMapping<'n>>) {
    let default = SocketAddr::new(IpAddr::from([0u16; 8]), port);
    let Some(mut section) = value.and_then(|value| reader.mapping(value)) else {
        return (Some(default), None);
    };
    let bind = listeners::one_bind(reader, section.take("bind"), default);
    (bind, Some(section))
}

#[cfg(test)]
mod tests;
