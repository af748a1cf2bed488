//! What the person who installs the mesh chooses, the same for every pod.

mod tracing;

use std::fmt;
use std::str::FromStr;

use clap::Args;
use identity::TrustDomain;

pub use tracing::TracingSettings;

/// The version of this binary, which is the version of the images it injects.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The user the proxy runs as; its connections are not redirected.
pub const PROXY_UID: i64 = 64137;
/// The user the cert agent runs as; redirected except on its way to the authority.
pub const AGENT_UID: i64 = 64138;

/// The settings of injection, as flags of `inject` and `injector` alike.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct InjectionSettings {
    /// Where the agents find the authority.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "postern-authority.postern-system.svc:15012"
    )]
    pub authority: HostPort,
    /// The trust domain of the cluster's workloads.
    #[arg(long, value_name = "NAME", default_value = "cluster.local", value_parser = trust_domain)]
    pub trust_domain: TrustDomain,
    /// The namespace of the control plane, whose policies act on every workload and whose pods are
    /// never injected.
    #[arg(long, value_name = "NAMESPACE", default_value = "postern-system", value_parser = dns_label)]
    pub root_namespace: String,
    /// Where the images are: PREFIX/postern-proxy and PREFIX/postern-cert-agent. The default is
    /// found only on nodes that have loaded the images, and in no registry.
    #[arg(long, value_name = "PREFIX", default_value = "localhost/postern", value_parser = image_prefix)]
    pub image_prefix: String,
    /// When nodes fetch the images.
    #[arg(long, value_enum, default_value_t = PullPolicy::IfNotPresent)]
    pub image_pull_policy: PullPolicy,
    /// What happens to calls that no policy speaks of.
    #[arg(long, value_enum, default_value_t = DefaultAuthorization::Deny)]
    pub default_authorization: DefaultAuthorization,
    /// Where the proxies find the controller, such as postern-controller.postern-system.svc:15010.
    /// It must prove to be the service account postern-controller of the control plane's namespace.
    /// Without it policies and services come from the ConfigMap below.
    #[arg(long, value_name = "HOST:PORT")]
    pub controller: Option<HostPort>,
    /// The ConfigMap of the workload's namespace that holds its policies and services, one or more
    /// documents a key. A namespace without it has the empty set.
    #[arg(long, value_name = "NAME", default_value = "postern-resources", value_parser = dns_label)]
    pub resources_config_map: String,
    /// Where the proxies send spans.
    #[command(flatten)]
    pub tracing: TracingSettings,
}

impl InjectionSettings {
    /// Those of what the control plane itself makes: its own trust domain and root namespace, and its services there.
    #[must_use]
    pub fn of_control_plane(
        trust_domain: TrustDomain,
        root_namespace: &str,
        image_prefix: String,
        image_pull_policy: PullPolicy,
        tracing: TracingSettings,
    ) -> Self {
        let service =
            |name: &str, port| HostPort { host: format!("{name}.{root_namespace}.svc"), port };
        Self {
            authority: service("postern-authority", 15012),
            controller: Some(service("postern-controller", 15010)),
            trust_domain,
            root_namespace: root_namespace.to_owned(),
            image_prefix,
            image_pull_policy,
            default_authorization: DefaultAuthorization::Deny,
            resources_config_map: "postern-resources".to_owned(),
            tracing,
        }
    }

    /// The image of one of our programs, tagged with our version.
    #[must_use]
    pub fn image(&self, program: &str) -> String {
        format!("{}/{program}:{VERSION}", self.image_prefix)
    }

    /// Whether an image is one of our programs', of whatever version: a tag or a digest below our prefix.
    #[must_use]
    pub fn is_image_of(&self, image: &str, program: &str) -> bool {
        let version = image
            .strip_prefix(self.image_prefix.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.strip_prefix(program));
        version.is_some_and(|version| version.len() > 1 && version.starts_with([':', '@']))
    }
}

/// A host name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A DNS name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// Not 0.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST:PORT, such as 10.0.0.1:15012");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.len() <= 253 && host.bytes().all(name),
        };
        if good { Ok(Self { host: host.to_owned(), port }) } else { Err(wrong()) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// When a node fetches an image (Kubernetes `imagePullPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PullPolicy {
    /// Each time a container starts.
    #[value(name = "Always")]
    Always,
    /// When the node does not have it.
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    /// Never; it was loaded.
    #[value(name = "Never")]
    Never,
}

impl PullPolicy {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// What happens to calls that no policy speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DefaultAuthorization {
    /// They are refused.
    Deny,
    /// They pass, and are logged as what would have been refused.
    Audit,
    /// They pass.
    Allow,
}

impl DefaultAuthorization {
    /// As the proxy's configuration writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Audit => "audit",
            Self::Allow => "allow",
        }
    }
}

pub(crate) fn trust_domain(text: &str) -> Result<TrustDomain, String> {
    TrustDomain::parse(text).map_err(|error| error.to_string())
}

/// A name of Kubernetes that is a DNS label (RFC 1123).
pub(crate) fn dns_label(text: &str) -> Result<String, String> {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let bytes = text.as_bytes();
    let good =
        bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && text.bytes().all(inner);
    if good {
        Ok(text.to_owned())
    } else {
        Err("lower-case letters, digits and '-', at most 63, no '-' at an end".to_owned())
    }
}

pub(crate) fn image_prefix(text: &str) -> Result<String, String> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-._/:".contains(&b);
    let good = !text.is_empty()
        && text.len() <= 200
        && text.bytes().all(inner)
        && !text.starts_with('/')
        && !text.ends_with('/');
    if good {
        Ok(text.to_owned())
    } else {
        Err("a registry and path, such as registry.example/postern".to_owned())
    }
}
