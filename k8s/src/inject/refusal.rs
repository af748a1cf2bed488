//! Pods that cannot be in the mesh as they are, each with its name, the reason and the way out.

use super::pod::Pod;
use super::settings::{AGENT_UID, PROXY_UID};

/// Why a pod is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something the injector must understand has another shape than Kubernetes gives it.
    #[error("not a pod that Kubernetes would take: {0}")]
    Malformed(String),
    /// The pod shares the network of its node: the rules would redirect the whole node.
    #[error(
        "the pod has `hostNetwork: true`, so interception would take the traffic of its whole node; remove hostNetwork, or opt out with the annotation postern.dev/inject: disabled"
    )]
    HostNetwork,
    /// A container runs as a user whose traffic is not intercepted.
    #[error(
        "{whose} runs as user {uid}, which is kept for {owner}: its traffic would not be intercepted; choose another runAsUser"
    )]
    UserCollision {
        /// The pod's own default, or a container.
        whose: String,
        /// 64137 or 64138.
        uid: i64,
        /// Whose user it is.
        owner: &'static str,
    },
    /// A container listens where the proxy does.
    #[error(
        "container {container} declares port {port}, which is the proxy's own (15000, 15001, 15006, 15020 and 15021 are); give the app another port"
    )]
    PortCollision {
        /// The container.
        container: String,
        /// The port.
        port: u16,
    },
    /// The pod says that it needs Windows.
    #[error(
        "the pod needs {0}; only Linux pods can be in the mesh; opt out with the annotation postern.dev/inject: disabled"
    )]
    OperatingSystem(String),
    /// An annotation that cannot be obeyed.
    #[error("annotation {key}: {problem}")]
    Annotation {
        /// Its key.
        key: String,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// A probe or lifecycle handler that cannot be served by the proxy.
    #[error("{kind} of container {container}: {problem}")]
    Probe {
        /// The container.
        container: String,
        /// `livenessProbe`, `preStop`, ..
        kind: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// Ports of the proxy in every pod.
const OWN_PORTS: [u16; 5] = [15000, 15001, 15006, 15020, 15021];

/// Refuses what must not be injected.
///
/// # Errors
/// The first reason found.
pub(super) fn check(pod: &Pod, ours: &[&str]) -> Result<(), Refusal> {
    if pod.spec.host_network {
        return Err(Refusal::HostNetwork);
    }
    if let Some(os) = pod.spec.os.as_ref().filter(|os| os.name != "linux") {
        return Err(Refusal::OperatingSystem(os.name.clone()));
    }
    users(pod, ours)?;
    ports(pod, ours)
}

/// Refuses a pod one of whose containers, other than ours, runs as one of our users.
///
/// # Errors
/// [`Refusal::UserCollision`].
pub(super) fn users(pod: &Pod, ours: &[&str]) -> Result<(), Refusal> {
    let of_pod = pod.spec.security_context.as_ref().and_then(|context| context.run_as_user);
    collision("the pod", of_pod)?;
    for container in pod.all_containers().filter(|c| !ours.contains(&c.name.as_str())) {
        let user = container.security_context.as_ref().and_then(|context| context.run_as_user);
        collision(&format!("container {}", container.name), user)?;
    }
    Ok(())
}

fn collision(whose: &str, user: Option<i64>) -> Result<(), Refusal> {
    let owner = match user {
        Some(PROXY_UID) => "the proxy",
        Some(AGENT_UID) => "the cert agent",
        _ => return Ok(()),
    };
    let uid = user.unwrap_or_default();
    Err(Refusal::UserCollision { whose: whose.to_owned(), uid, owner })
}

fn ports(pod: &Pod, ours: &[&str]) -> Result<(), Refusal> {
    for container in pod.all_containers().filter(|c| !ours.contains(&c.name.as_str())) {
        let taken = container
            .ports
            .iter()
            .find(|port| port.is_tcp() && OWN_PORTS.contains(&port.container_port));
        if let Some(port) = taken {
            let container = container.name.clone();
            return Err(Refusal::PortCollision { container, port: port.container_port });
        }
    }
    Ok(())
}
