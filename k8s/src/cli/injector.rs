//! `postern-k8s injector`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Misconfigured, controller};
use crate::inject;
use crate::injector::{Settings, run as run_injector};

/// Flags of `injector`.
#[derive(Debug, clap::Args)]
pub(super) struct InjectorArgs {
    #[command(flatten)]
    inject: inject::Settings,
    /// Where the API server calls (HTTPS).
    #[arg(long, default_value = "[::]:9443", value_name = "ADDRESS")]
    bind: SocketAddr,
    /// Where `/ready`, `/live` and `/metrics` are served.
    #[arg(long, default_value = "[::]:15021", value_name = "ADDRESS")]
    readiness: SocketAddr,
    /// The SPIFFE Workload API of the cert agent beside the injector.
    #[arg(long, default_value = "unix:///run/postern/agent.sock", value_name = "SOCKET")]
    workload_api: String,
    /// The name under which the API server calls, which the authority's registry must give to our
    /// identity [default: postern-injector.ROOT-NAMESPACE.svc].
    #[arg(long, value_name = "NAME")]
    dns_name: Option<String>,
    /// Our MutatingWebhookConfiguration, whose CA bundle is kept up to date.
    #[arg(long, default_value = "postern-injector", value_name = "NAME")]
    webhook_configuration: String,
    /// How to reach the API server; without it, as a pod of the cluster does.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The least important message that is logged: error, warn, info, debug or trace.
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    log_level: tracing::Level,
}

/// Runs the injector until it is told to end.
pub(super) fn run(args: InjectorArgs) -> anyhow::Result<ExitCode> {
    if !args.workload_api.starts_with("unix:///") {
        let mistake =
            anyhow::anyhow!("--workload-api {}: write unix:///absolute/path", args.workload_api);
        return Err(Misconfigured(mistake).into());
    }
    let filter = EnvFilter::new(format!("warn,k8s={}", args.log_level));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let config = controller::config(args.kubeconfig.clone()).await.map_err(Misconfigured)?;
        let client = Client::try_from(config).context("the API server's TLS configuration")?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            ended = run_injector(settings(args), client) => ended.map(|()| ExitCode::SUCCESS),
            // The API server asks another replica, or again.
            _ = terminate.recv() => Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
        }
    })
}

fn settings(args: InjectorArgs) -> Settings {
    let default = || format!("postern-injector.{}.svc", args.inject.root_namespace);
    Settings {
        dns_name: args.dns_name.unwrap_or_else(default),
        inject: args.inject,
        bind: args.bind,
        readiness: args.readiness,
        workload_api: args.workload_api,
        webhook_configuration: args.webhook_configuration,
    }
}
