//! `postern-k8s upgrade-pod`: a pod in, the same with a newer proxy out.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use super::{UsageError, inject};
use crate::inject::add_successor;

/// Upgrade the proxy of a running pod: the pod as JSON on stdin, the same on stdout with an ephemeral container that
/// takes the proxy over
///
///   kubectl get pod -n shop cart-1 -o json | postern-k8s upgrade-pod --image IMAGE \
///     | kubectl replace --raw /api/v1/namespaces/shop/pods/cart-1/ephemeralcontainers -f -
///
/// Exit code 0 = done, 1 = no pod with a proxy, 2 = the input cannot be read.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct UpgradePodArgs {
    /// The image of the newer proxy; the webhook takes it from the injector's own --image-prefix only.
    #[arg(long, value_name = "IMAGE")]
    image: String,
}

pub(super) fn run(args: &UpgradePodArgs) -> anyhow::Result<ExitCode> {
    let text = inject::read(io::stdin().lock())?;
    let mut pod: Value =
        serde_json::from_str(&text).map_err(|error| UsageError(anyhow::Error::new(error)))?;
    add_successor(&mut pod, &args.image)?;
    writeln!(io::stdout(), "{pod}")?;
    Ok(ExitCode::SUCCESS)
}
