//! `postern-k8s inject`: manifests in, injected manifests out.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use crate::inject::InjectionSettings;
use crate::inject::stream::{self, MAX_STREAM, StreamError};

use super::UsageError;

/// Inject manifests: a stream of YAML or JSON on stdin, the same with every workload in the mesh on
/// stdout.
///
/// Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, ReplicationControllers, Jobs, CronJobs,
/// PodTemplates, the workloads of Argo Rollouts, OpenKruise, OpenShift and KEDA, and lists of them are
/// injected unless they are annotated `postern.dev/inject: disabled` (templates: in the template's
/// metadata). Everything else passes byte for byte; what looks like a workload is named on stderr.
///
/// Exit code 0 = done, 1 = a workload cannot be in the mesh (each is named with its line and field,
/// nothing is written), 2 = the input cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct InjectArgs {
    #[command(flatten)]
    settings: InjectionSettings,
}

pub(super) fn run(args: &InjectArgs) -> anyhow::Result<ExitCode> {
    let text = read(io::stdin().lock())?;
    match stream::inject(&text, &args.settings) {
        Ok(injected) => {
            for warning in &injected.warnings {
                writeln!(io::stderr(), "postern-k8s: warning: {warning}")?;
            }
            let mut out = io::stdout().lock();
            out.write_all(injected.text.as_bytes())?;
            out.flush()?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ StreamError::Refused(_)) => Err(error.into()),
        Err(StreamError::Unparsable(message)) => {
            Err(UsageError(anyhow::Error::msg(message)).into())
        }
    }
}

/// One byte more than is taken is read, so that a longer stream is seen to be one.
pub(super) fn read(input: impl Read) -> anyhow::Result<String> {
    let most = u64::try_from(MAX_STREAM)?.saturating_add(1);
    let mut bytes = Vec::new();
    input.take(most).read_to_end(&mut bytes)?;
    String::from_utf8(bytes)
        .map_err(|_| UsageError(anyhow::Error::msg("the input is not UTF-8")).into())
}
