//! The client of the Kubernetes API server: from inside a pod by the pod's own account, elsewhere by a kubeconfig file.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Callers have deadlines of their own above it.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// For one answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// A client; nothing is asked yet. To be made inside a runtime, which it then belongs to.
///
/// # Errors
/// Outside of a pod without `kubeconfig`, or a file that is none.
pub async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let mut config = match kubeconfig {
        Some(path) => {
            let at = || path.display().to_string();
            let file = Kubeconfig::read_from(path).with_context(at)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .with_context(at)?
        }
        None => Config::incluster().map_err(|error| {
            // Its words have those of its source.
            anyhow!("this is no pod of a cluster ({error}); say with --kubeconfig FILE how to reach the API server")
        })?,
    };
    config.connect_timeout = Some(CONNECT_DEADLINE);
    config.read_timeout = Some(ANSWER_DEADLINE);
    config.write_timeout = Some(ANSWER_DEADLINE);
    // What cannot be answered now is said so at once: the agent asks again by itself.
    config.default_retry = false;
    Client::try_from(config).context("cannot set up the connection to the Kubernetes API")
}
