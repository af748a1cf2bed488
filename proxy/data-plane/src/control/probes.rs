//! The kubelet's probes of the app, run by the proxy: the kubelet has no certificate, and a port that requires one
//! would fail every probe.
//!
//! This opens no new access. The caller names a probe, not a target; only what `probes` lists is requested, at the
//! address that the kubelet reached; and only the verdict is returned, never a byte of the app's answer.

mod grpc;
mod http;
mod tls;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

pub(crate) use self::http::send;
use ::http::HeaderMap;
use ::http::header::USER_AGENT;

use crate::connection::net::DialOptions;
use crate::control::config::{Config, Probe, ProbeHandler};

/// The app's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeOutcome {
    /// The probe succeeds.
    Good,
    /// The app answered HTTP with this status.
    Status(u16),
    /// It did not answer, or its answer is invalid.
    Failed(String),
}

/// The probe of this path.
pub(crate) fn find<'a>(config: &'a Config, path: &str) -> Option<&'a Probe> {
    config.probes.iter().find(|probe| probe.path == path)
}

/// Runs the probe against the app. `local` is the address at which the kubelet reached us; `headers` are its own.
pub(crate) async fn ask(
    config: &Config,
    probe: &Probe,
    local: SocketAddr,
    headers: &HeaderMap,
) -> ProbeOutcome {
    let answer = async {
        match &probe.ask {
            ProbeHandler::Tcp { port } => {
                connect(config, local, *port).await.map(|_| ProbeOutcome::Good)
            }
            ProbeHandler::Grpc { port, service } => {
                let app = connect(config, local, *port).await?;
                grpc::check(app, service).await
            }
            ProbeHandler::Http(get) => http::get(config, local, get, headers.get(USER_AGENT)).await,
        }
    };
    match tokio::time::timeout(probe.timeout, answer).await {
        Ok(answered) => answered.unwrap_or_else(ProbeOutcome::Failed),
        Err(_) => ProbeOutcome::Failed(format!("no answer within {:?}", probe.timeout)),
    }
}

/// Connects to a port of the app, as inbound traffic does: from the address that the redirection rules recognise.
pub(crate) async fn connect(
    config: &Config,
    local: SocketAddr,
    port: u16,
) -> Result<tokio::net::TcpStream, String> {
    let address = app_address(config, local, port);
    let source = (!config.inbound.bind.is_empty() && !address.ip().is_loopback()).then(|| {
        match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(config.interception.source4),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        }
    });
    let dialled =
        DialOptions::app(&config.limits, &config.interception, source).connect(address).await;
    dialled.map_err(|error| format!("cannot connect to the app at {address}: {error}"))
}

/// Where the app has this port: the forward address of an explicit listener, else the address that the kubelet reached.
fn app_address(config: &Config, local: SocketAddr, port: u16) -> SocketAddr {
    let listeners = config.inbound.listeners.iter();
    let forward = listeners.map(|listener| listener.forward).find(|f| f.port() == port);
    forward.unwrap_or(SocketAddr::new(local.ip().to_canonical(), port))
}

#[cfg(test)]
mod tests;
