//! What the programs that run in a cluster have in common: the flags, the log, the client of the API server, the end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::UsageError;

/// Flags of `controller` and `injector` alike.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterFlags {
    /// Where `/ready`, `/live` and `/metrics` are served.
    #[arg(long, default_value = "[::]:15021", value_name = "ADDRESS")]
    pub(super) readiness: SocketAddr,
    /// The SPIFFE Workload API of the cert agent beside us.
    #[arg(long, default_value = "unix:///run/postern/agent.sock", value_name = "SOCKET", value_parser = socket)]
    pub(super) workload_api: String,
    /// How to reach the API server; without it, as a pod of the cluster does.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The least important message that is logged: error, warn, info, debug or trace.
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    log_level: tracing::Level,
}

impl ClusterFlags {
    /// Runs `program`, whose token is cancelled by SIGTERM or SIGINT.
    pub(super) fn run<F>(
        &self,
        program: impl FnOnce(Client, CancellationToken) -> F,
    ) -> anyhow::Result<ExitCode>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let filter = EnvFilter::new(format!("warn,k8s={}", self.log_level));
        tracing_subscriber::fmt()
            .json()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let config = self.config().await.map_err(UsageError)?;
            let client = Client::try_from(config).context("the API server's TLS configuration")?;
            program(client, ended()?).await.map(|()| ExitCode::SUCCESS)
        })
    }

    /// How the API server is reached.
    async fn config(&self) -> anyhow::Result<Config> {
        let Some(path) = &self.kubeconfig else {
            // The error's text holds that of its source.
            return Config::incluster().map_err(|error| {
                anyhow!("this is no pod of a cluster ({error}); say with --kubeconfig FILE how to reach the API server")
            });
        };
        let file = Kubeconfig::read_from(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        config.with_context(|| format!("{} names no API server", path.display()))
    }
}

/// Cancelled by the first SIGTERM or SIGINT.
fn ended() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let told = CancellationToken::new();
    let ended = told.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    Ok(ended)
}

fn socket(text: &str) -> Result<String, String> {
    match text.starts_with("unix:///") {
        true => Ok(text.to_owned()),
        false => Err("write unix:///absolute/path".to_owned()),
    }
}
