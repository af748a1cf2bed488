//! Where the proxies send spans, the same for every pod.

use clap::Args;
use identity::SpiffeId;
use policy::yaml::parse_percentage;
use serde_json::{Value, json};

use super::HostPort;

/// The collector of spans, as flags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct TracingSettings {
    /// The collector that the proxies send spans to, such as collector.observability.svc:4317: OTLP
    /// over gRPC with TLS. Without it they make none.
    #[arg(id = "tracing_collector", long = "tracing-collector", value_name = "HOST:PORT")]
    pub collector: Option<HostPort>,
    /// The SPIFFE id that the collector proves; the proxies show it their own. Without it, it needs
    /// a certificate of a public authority.
    #[arg(
        id = "tracing_identity",
        long = "tracing-identity",
        value_name = "ID",
        requires = "tracing_collector",
        value_parser = spiffe_id
    )]
    pub identity: Option<SpiffeId>,
    /// Send spans without TLS: everybody on the way may read them.
    #[arg(
        id = "tracing_plaintext",
        long = "tracing-plaintext",
        requires = "tracing_collector",
        conflicts_with = "tracing_identity"
    )]
    pub plaintext: bool,
    /// The share of the traces that begin at a proxy which is recorded, such as 0.5%. Without it,
    /// the proxy's default.
    #[arg(
        id = "tracing_sampling",
        long = "tracing-sampling",
        value_name = "PERCENT",
        requires = "tracing_collector",
        value_parser = percentage
    )]
    pub sampling: Option<String>,
}

impl TracingSettings {
    /// The section `tracing` of a proxy's configuration; `None` without a collector.
    #[must_use]
    pub fn section(&self) -> Option<Value> {
        let collector = self.collector.as_ref()?;
        let scheme = if self.plaintext { "http" } else { "https" };
        let mut section = json!({ "endpoint": format!("{scheme}://{collector}") });
        if self.plaintext {
            section["plaintext"] = json!(true);
        }
        if let Some(identity) = &self.identity {
            section["identity"] = json!(identity.as_str());
        }
        if let Some(sampling) = &self.sampling {
            section["sampling"] = json!(sampling);
        }
        Some(section)
    }
}

fn spiffe_id(text: &str) -> Result<SpiffeId, String> {
    SpiffeId::parse(text).map_err(|error| error.to_string())
}

fn percentage(text: &str) -> Result<String, &'static str> {
    match parse_percentage(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("a percentage from 0% to 100%, such as 1% or 0.05%"),
    }
}
