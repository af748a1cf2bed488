//! The connection to the collector.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use identity::tls::ALPN_H2;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::proto::ExportTraceServiceRequest;
use super::proto::trace_service_client::TraceServiceClient;
use crate::connection::net::DialOptions;
use crate::connection::tls;
use crate::connection::web_authorities;
use crate::control::config::{CollectorSecurity, TracingConfig};
use crate::http::grpc_channel;
use crate::traffic::state::ProxyState;

/// A connection is made anew after this time: its name may mean other addresses by then, and what proved the collector
/// must still hold.
const LONGEST_CONNECTION: Duration = Duration::from_secs(300);

/// Why the collector has not taken a batch.
pub(super) enum ExportError {
    /// It is away, or too busy: the batch is sent again.
    Away(anyhow::Error),
    /// It will never take this batch.
    Refused(anyhow::Error),
}

/// The collector, connected to when there is something to send.
pub(super) struct Collector {
    state: Arc<ProxyState>,
    config: TracingConfig,
    open: Option<(TraceServiceClient<Channel>, Instant)>,
}

impl Collector {
    pub(super) fn new(state: Arc<ProxyState>, config: TracingConfig) -> Self {
        Self { state, config, open: None }
    }

    /// Sends one batch, over a connection that is open or a new one. The number of spans that the collector rejects.
    pub(super) async fn export(
        &mut self,
        request: ExportTraceServiceRequest,
    ) -> Result<u64, ExportError> {
        let limit = self.state.settings.limits.trace_timeout;
        let away = ExportError::Away;
        // Out of its place until it has proved to work.
        let (mut client, since) = match self.open.take() {
            Some(open) if open.1.elapsed() < LONGEST_CONNECTION => open,
            _ => {
                let connecting = tokio::time::timeout(limit, self.connect()).await;
                let late = || anyhow!("no connection within {limit:?}");
                let channel = connecting.map_err(|_| late()).flatten().map_err(away)?;
                (TraceServiceClient::new(channel), Instant::now())
            }
        };
        let answered = tokio::time::timeout(limit, client.export(request)).await;
        let answered = answered.map_err(|_| away(anyhow!("no answer within {limit:?}")))?;
        let rejected = match answered {
            Ok(answer) => answer.into_inner().partial_success.map_or(0, |part| part.rejected_spans),
            Err(status) if is_away(&status) => return Err(away(told(&status))),
            Err(status) => {
                self.open = Some((client, since));
                return Err(ExportError::Refused(told(&status)));
            }
        };
        self.open = Some((client, since));
        Ok(u64::try_from(rejected).unwrap_or(0))
    }

    async fn connect(&self) -> anyhow::Result<Channel> {
        let TracingConfig { host, port, security, .. } = &self.config;
        let stream = self.dial().await.with_context(|| format!("cannot reach {host}:{port}"))?;
        let (config, scheme) = match security {
            CollectorSecurity::Plaintext => (None, "http"),
            CollectorSecurity::Web(authorities) => {
                (Some(web_config(authorities.as_ref())?), "https")
            }
            CollectorSecurity::Mesh(identity) => {
                let own = self.state.valid_credentials();
                let own = own.context("no certificate of the workload's yet")?;
                (Some(own.client_config([identity.clone()].into(), &[ALPN_H2])?), "https")
            }
        };
        let authority = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))?
            .origin(format!("{scheme}://{authority}").parse()?)
            .user_agent(concat!("postern-proxy/", env!("CARGO_PKG_VERSION")))?;
        let Some(config) = config else { return Ok(grpc_channel::over(stream, endpoint).await?) };
        let name = tls::server_name(host, stream.peer_addr()?.ip());
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Ok(grpc_channel::over(stream.context("the collector's TLS")?, endpoint).await?)
    }

    /// The proxy's own connections carry the mark that the interception rules exempt, where one is configured.
    async fn dial(&self) -> io::Result<TcpStream> {
        let TracingConfig { host, port, .. } = &self.config;
        let settings = &self.state.settings;
        let options = DialOptions::upstream(&settings.limits, &settings.interception);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in tokio::net::lookup_host((host.as_str(), *port)).await? {
            match options.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// TLS 1.3 with a web certificate. The file is read each time, because system updates replace it.
fn web_config(authorities: Option<&PathBuf>) -> anyhow::Result<Arc<ClientConfig>> {
    let roots = web_authorities::read(authorities.map(PathBuf::as_path)).map_err(|error| {
        anyhow!("the certificates of web authorities cannot be used: {error}; name a PEM file in `tracing.certificateAuthorities`")
    })?;
    let mut config = ClientConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// Whether a batch may be taken at another time: what broke on the way, which has a source, and the codes of which OTLP
/// says so (OTLP 1.x, *OTLP/gRPC response*). `ResourceExhausted` is one of them only with a time to wait in its details;
/// without, the batch may be too large, and would be so for ever.
fn is_away(status: &Status) -> bool {
    match status.code() {
        _ if status.source().is_some() => true,
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => !status.details().is_empty(),
        _ => false,
    }
}

/// A status in words: the beginning, since it is the collector's to choose them.
fn told(status: &Status) -> anyhow::Error {
    let message: String = status.message().escape_debug().take(200).collect();
    anyhow!("{:?}: {message}", status.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again() {
        for (code, expect) in [
            (Code::Unavailable, true),
            (Code::ResourceExhausted, false),
            (Code::DeadlineExceeded, true),
            (Code::InvalidArgument, false),
            (Code::Unimplemented, false),
            (Code::PermissionDenied, false),
            (Code::Internal, false),
        ] {
            assert_eq!(is_away(&Status::new(code, "")), expect, "{code:?}");
        }
        let later = Status::with_details(Code::ResourceExhausted, "", vec![1].into());
        assert!(is_away(&later), "{later:?}");
        let broken = Status::from_error(Box::new(io::Error::from(io::ErrorKind::BrokenPipe)));
        assert!(is_away(&broken), "{broken:?}");
    }
}
