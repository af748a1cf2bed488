//! `postern-k8s controller`.

use std::net::SocketAddr;
use std::process::ExitCode;

use identity::TrustDomain;
use policy::resources::DEFAULT_ROOT_NAMESPACE;

use super::UsageError;
use super::cluster_flags::ClusterFlags;
use crate::controller::index::IndexSettings;
use crate::controller::{ControllerSettings, run as run_controller};
use crate::inject::InjectionSettings;
use crate::inject::settings::{PullPolicy, TracingSettings, dns_label, image_prefix, trust_domain};

/// Flags of `controller`.
#[derive(Debug, clap::Args)]
pub(super) struct ControllerArgs {
    #[command(flatten)]
    common: ClusterFlags,
    /// Where proxies connect (mutual TLS).
    #[arg(long, default_value = "[::]:15010", value_name = "ADDRESS")]
    bind: SocketAddr,
    /// Where `/status` and `/dashboard` are served besides; they name objects, so loopback only.
    #[arg(long, default_value = "127.0.0.1:15000", value_name = "ADDRESS")]
    admin: SocketAddr,
    /// The trust domain of the cluster's service accounts.
    #[arg(long, default_value = "cluster.local", value_name = "NAME", value_parser = trust_domain)]
    trust_domain: TrustDomain,
    /// What the cluster's DNS names end with.
    #[arg(long, default_value = "cluster.local", value_name = "NAME", value_parser = domain)]
    cluster_domain: String,
    /// The namespace whose policies act on the whole mesh, and where the Lease is kept.
    #[arg(long, default_value = DEFAULT_ROOT_NAMESPACE, value_name = "NAMESPACE", value_parser = dns_label)]
    root_namespace: String,
    /// Run the gateways of every GatewayClass whose controllerName is postern.dev/gateway: a Deployment and a Service for each,
    /// of what --image-prefix names. Needs rights on Secrets, which the controller does not have without gateways.
    #[arg(long)]
    gateways: bool,
    /// Where the images of gateways are: PREFIX/postern-proxy and PREFIX/postern-cert-agent.
    #[arg(long, value_name = "PREFIX", default_value = "localhost/postern", value_parser = image_prefix)]
    image_prefix: String,
    /// When nodes fetch them.
    #[arg(long, value_enum, default_value_t = PullPolicy::IfNotPresent)]
    image_pull_policy: PullPolicy,
    /// Where gateways send spans.
    #[command(flatten)]
    tracing: TracingSettings,
    /// A name that no other replica has, for the Lease: the pod's name.
    #[arg(long, value_name = "NAME")]
    lease_holder: String,
}

/// Runs the controller until SIGTERM or SIGINT.
pub(super) fn run(args: &ControllerArgs) -> anyhow::Result<ExitCode> {
    let settings = settings(args).map_err(UsageError)?;
    args.common.run(|client, ended| run_controller(settings, client, ended))
}

fn settings(args: &ControllerArgs) -> anyhow::Result<ControllerSettings> {
    if !args.admin.ip().to_canonical().is_loopback() {
        anyhow::bail!("--admin {} is no loopback address; /status names objects", args.admin);
    }
    Ok(ControllerSettings {
        index: IndexSettings {
            root_namespace: args.root_namespace.as_str().into(),
            cluster_domain: args.cluster_domain.as_str().into(),
            trust_domain: args.trust_domain.clone(),
            gateways: args.gateways,
        },
        gateways: args.gateways.then(|| {
            InjectionSettings::of_control_plane(
                args.trust_domain.clone(),
                &args.root_namespace,
                args.image_prefix.clone(),
                args.image_pull_policy,
                args.tracing.clone(),
            )
        }),
        bind: args.bind,
        readiness: args.common.readiness,
        admin: args.admin,
        workload_api: args.common.workload_api.clone(),
        lease_namespace: args.root_namespace.clone(),
        lease_holder: args.lease_holder.clone(),
    })
}

/// DNS labels with dots between; a dot at an end and capitals do not count.
fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim_matches('.').to_ascii_lowercase();
    domain.split('.').try_for_each(|label| dns_label(label).map(drop))?;
    Ok(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_domains() {
        for (text, expect) in [
            ("cluster.local", Some("cluster.local")),
            (".K8s.Example.", Some("k8s.example")),
            ("", None),
            (".", None),
            ("a..b", None),
            ("a b", None),
        ] {
            assert_eq!(domain(text).ok().as_deref(), expect, "{text:?}");
        }
    }
}
