//! `postern-k8s injector`.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::cluster_flags::ClusterFlags;
use crate::inject;
use crate::injector::{InjectorSettings, run as run_injector};

/// Flags of `injector`.
#[derive(Debug, clap::Args)]
pub(super) struct InjectorArgs {
    #[command(flatten)]
    common: ClusterFlags,
    #[command(flatten)]
    inject: inject::InjectionSettings,
    /// Where the API server calls (HTTPS).
    #[arg(long, default_value = "[::]:9443", value_name = "ADDRESS")]
    bind: SocketAddr,
    /// The name under which the API server calls, which the authority's registry must give to our
    /// identity [default: postern-injector.ROOT-NAMESPACE.svc].
    #[arg(long, value_name = "NAME")]
    dns_name: Option<String>,
    /// Our MutatingWebhookConfiguration, whose CA bundle is kept up to date.
    #[arg(long, default_value = "postern-injector", value_name = "NAME")]
    webhook_configuration: String,
}

/// Runs the injector until SIGTERM or SIGINT; the API server then calls another replica, or retries.
pub(super) fn run(args: &InjectorArgs) -> anyhow::Result<ExitCode> {
    let settings = settings(args);
    args.common.run(|client, ended| async move {
        ended.run_until_cancelled(run_injector(settings, client)).await.unwrap_or(Ok(()))
    })
}

fn settings(args: &InjectorArgs) -> InjectorSettings {
    let default = || format!("postern-injector.{}.svc", args.inject.root_namespace);
    InjectorSettings {
        dns_name: args.dns_name.clone().unwrap_or_else(default),
        inject: args.inject.clone(),
        bind: args.bind,
        readiness: args.common.readiness,
        workload_api: args.common.workload_api.clone(),
        webhook_configuration: args.webhook_configuration.clone(),
    }
}
