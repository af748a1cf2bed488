//! The configuration of the data plane. It is fixed for the life of the process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use identity::{SpiffeId, TrustDomain};
use policy::{Locality, MtlsMode, PathNormalization, PolicyDefaults, Protocol, Workload};

use crate::connection::net::InterceptionConfig;
use crate::http::gate::UnderscorePolicy;
use crate::limits::Limits;
use crate::telemetry::AccessLog;
use crate::telemetry::trace::SamplingRate;
use crate::traffic::provider_calls::ProviderSettings;

/// Settings of the data plane, checked by the configuration that they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficSettings {
    /// Every limit and deadline.
    pub limits: Limits,
    /// Whether the proxy stands at the edge.
    pub is_gateway: bool,
    /// The workload beside the proxy, until a controller sends more.
    pub workload: Workload,
    /// Where the workload runs, as far as that is known: endpoints of its zone are preferred.
    pub locality: Option<Locality>,
    /// The workload's trust domain.
    pub trust_domain: TrustDomain,
    /// The socket of the agent beside the proxy, where its certificate comes from one (`identity.workloadApi`).
    pub agent_socket: Option<PathBuf>,
    /// What holds where no resource says otherwise.
    pub defaults: PolicyDefaults,
    /// The namespace whose resources act on every workload.
    pub root_namespace: String,
    /// Whether resources come from a controller: then nothing is allowed before it has answered, and destinations are
    /// requested from it.
    pub has_controller: bool,
    /// How far request paths are normalised.
    pub path_normalization: PathNormalization,
    /// What becomes of headers with `_` in their names.
    pub headers_with_underscores: UnderscorePolicy,
    /// Traffic to the app.
    pub inbound: InboundConfig,
    /// How the proxy's own connections are told apart by the interception rules.
    pub interception: InterceptionConfig,
    /// Which connections and requests are logged.
    pub access_log: AccessLog,
    /// The share of new traces that is recorded; `None` without a collector: then no span is made.
    pub sampling: Option<SamplingRate>,
    /// The ports of the proxy itself, which no app can have (SECURITY-CASES S-44).
    pub own_ports: Vec<u16>,
    /// Whom the proxy may ask on the web for keys and tokens.
    pub providers: ProviderSettings,
}

impl TrafficSettings {
    /// Whether a port is one of the proxy's own.
    #[must_use]
    pub fn is_own_port(&self, port: u16) -> bool {
        self.own_ports.contains(&port)
    }
}

/// Traffic to the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundConfig {
    /// Where redirected connections arrive (`bind`); empty for `none`. Default `[::]:15006`.
    pub bind: Vec<SocketAddr>,
    /// What the app's ports speak (`ports`), by the app's port.
    pub ports: BTreeMap<u16, InboundPort>,
    /// Explicit listeners (`listeners`), for machines without redirection.
    pub listeners: Vec<InboundListener>,
    /// Whose `x-forwarded-for` is trusted (`forwardedFor`). Default: nobody's.
    pub forwarded_for: ForwardedFor,
    /// Whether messages that clients publish carry their principal (`messageSource`). Default: no.
    pub message_source: bool,
}

/// Which peers are trusted to name the client behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardedFor {
    /// Peers by identity (`from`), written as policies write principals.
    pub from: Vec<SpiffeId>,
    /// Trusted proxies in front of those peers, each of which added an address of its own
    /// (`numTrustedProxies`). Default 0: the last address is the client's.
    pub trusted_proxies: usize,
}

/// What a redirected port of the app speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboundPort {
    /// Default: auto.
    pub protocol: Protocol,
    /// The port's mTLS mode, when it has one of its own.
    pub mtls: Option<MtlsMode>,
}

/// An explicit inbound listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundListener {
    /// Where peers connect.
    pub bind: SocketAddr,
    /// Where the app listens; policies apply to its port.
    pub forward: SocketAddr,
    /// Default: auto.
    pub protocol: Protocol,
    /// The mTLS mode, when it has one of its own.
    pub mtls: Option<MtlsMode>,
    /// Where clients of a Kafka listener reach each broker, by its node id. Default: as the brokers say.
    pub advertise: Arc<BTreeMap<i32, SocketAddr>>,
}

/// An explicit outbound listener: a client that connects here calls this service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundListener {
    /// Where the app connects.
    pub bind: SocketAddr,
    /// The service's host, canonical.
    pub service: Arc<str>,
    /// The service's port.
    pub port: u16,
}

impl InboundConfig {
    /// What an app port speaks and its own mTLS mode; undeclared ports are `auto`.
    pub fn port(&self, port: u16) -> InboundPort {
        self.ports
            .get(&port)
            .copied()
            .unwrap_or(InboundPort { protocol: Protocol::Auto, mtls: None })
    }

    /// What an app port is declared to speak, by an explicit listener that forwards to it or by `ports`.
    pub fn declared_protocol(&self, port: u16) -> Protocol {
        let listener = self.listeners.iter().find(|listener| listener.forward.port() == port);
        listener.map_or_else(|| self.port(port).protocol, |listener| listener.protocol)
    }

    /// The mTLS modes that ports and listeners set themselves, by the app's port.
    pub(crate) fn port_mtls(&self) -> BTreeMap<u16, MtlsMode> {
        let ports = self.ports.iter().filter_map(|(port, declared)| Some((*port, declared.mtls?)));
        let listeners = self.listeners.iter().filter_map(|l| Some((l.forward.port(), l.mtls?)));
        ports.chain(listeners).collect()
    }
}
