//! `postern-k8s controller`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;
use identity::TrustDomain;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use policy::resources::DEFAULT_ROOT_NAMESPACE;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::Misconfigured;
use crate::controller::index::IndexSettings;
use crate::controller::{Settings, run as run_controller};

/// Flags of `controller`.
#[derive(Debug, Args)]
pub(super) struct ControllerArgs {
    /// Where proxies connect (mutual TLS).
    #[arg(long, default_value = "[::]:15010", value_name = "ADDRESS")]
    bind: SocketAddr,
    /// Where `/ready`, `/live` and `/metrics` are served.
    #[arg(long, default_value = "[::]:15021", value_name = "ADDRESS")]
    readiness: SocketAddr,
    /// Where `/status` is served besides; it names objects, so loopback only.
    #[arg(long, default_value = "127.0.0.1:15000", value_name = "ADDRESS")]
    admin: SocketAddr,
    /// The SPIFFE Workload API of the cert agent beside the controller.
    #[arg(long, default_value = "unix:///run/postern/agent.sock", value_name = "SOCKET")]
    workload_api: String,
    /// The trust domain of the cluster's service accounts.
    #[arg(long, default_value = "cluster.local", value_name = "NAME")]
    trust_domain: String,
    /// What the cluster's DNS names end with.
    #[arg(long, default_value = "cluster.local", value_name = "NAME")]
    cluster_domain: String,
    /// The namespace whose policies act on the whole mesh, and where the Lease is kept.
    #[arg(long, default_value = DEFAULT_ROOT_NAMESPACE, value_name = "NAMESPACE")]
    root_namespace: String,
    /// A name that no other replica has, for the Lease: the pod's name.
    #[arg(long, value_name = "NAME")]
    lease_holder: String,
    /// How to reach the API server; without it, as a pod of the cluster does.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The least important message that is logged: error, warn, info, debug or trace.
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    log_level: tracing::Level,
}

/// Runs the controller until it is told to end.
pub(super) fn run(args: ControllerArgs) -> anyhow::Result<ExitCode> {
    let settings = settings(&args).map_err(Misconfigured)?;
    let filter = EnvFilter::new(format!("warn,k8s={}", args.log_level));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let config = config(args.kubeconfig).await.map_err(Misconfigured)?;
        let client = Client::try_from(config).context("the API server's TLS configuration")?;
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
        run_controller(settings, client, ended).await.map(|()| ExitCode::SUCCESS)
    })
}

fn settings(args: &ControllerArgs) -> anyhow::Result<Settings> {
    if !args.admin.ip().to_canonical().is_loopback() {
        anyhow::bail!("--admin {} is no loopback address; /status names objects", args.admin);
    }
    if !args.workload_api.starts_with("unix:///") {
        anyhow::bail!("--workload-api {}: write unix:///absolute/path", args.workload_api);
    }
    let trust_domain = TrustDomain::parse(&args.trust_domain).context("--trust-domain")?;
    Ok(Settings {
        index: IndexSettings {
            root_namespace: args.root_namespace.as_str().into(),
            cluster_domain: args.cluster_domain.trim_matches('.').to_ascii_lowercase().into(),
            trust_domain,
        },
        bind: args.bind,
        readiness: args.readiness,
        admin: args.admin,
        workload_api: args.workload_api.clone(),
        lease_namespace: args.root_namespace.clone(),
        lease_holder: args.lease_holder.clone(),
    })
}

/// How the API server is reached.
pub(super) async fn config(file: Option<PathBuf>) -> anyhow::Result<Config> {
    match file {
        // The error's words have those of its source.
        None => Config::incluster().map_err(|error| {
            anyhow!("this is no pod of a cluster ({error}); say with --kubeconfig FILE how to reach the API server")
        }),
        Some(path) => {
            let file = Kubeconfig::read_from(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(file, &options).await;
            config.with_context(|| format!("{} names no API server", path.display()))
        }
    }
}
