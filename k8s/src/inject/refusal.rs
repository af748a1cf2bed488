//! Pods that cannot be in the mesh as they are, each with its name, the reason and the way out.

use serde_json::Value;

use super::operating_system::Foreign;
use super::pod::Pod;
use super::settings::{AGENT_UID, PROXY_UID};
use super::shape::{Misshapen, escaped};

/// Why a pod is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something the injector must understand has another shape than Kubernetes gives it; all there is.
    #[error("{NO_POD}: {}", joined(.0))]
    Malformed(Vec<Misshapen>),
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
    /// The pod says that it needs Windows, by `os`, `nodeSelector` or affinity.
    #[error(
        "the pod needs {name}; only Linux pods can be in the mesh; opt out with the annotation postern.dev/inject: disabled"
    )]
    OperatingSystem {
        /// What it needs.
        name: String,
        /// Where it says so, a JSON pointer into the pod.
        pointer: String,
    },
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

const NO_POD: &str = "not a pod that Kubernetes would take";

fn joined(mistakes: &[Misshapen]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One reason of a refusal, and the field it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    /// A JSON pointer into the object.
    pub(super) pointer: String,
    pub(super) words: String,
}

impl Refusal {
    /// Every reason with its field, for a pod that stands at `place` in an object.
    pub(super) fn reasons(&self, pod: &Value, place: &str) -> Vec<Reason> {
        if let Self::Malformed(mistakes) = self {
            let told = mistakes.iter().map(|mistake| mistake.below(place));
            let reason = |mistake: Misshapen| Reason {
                pointer: mistake.pointer().to_owned(),
                words: format!("{NO_POD}: {mistake}"),
            };
            return told.map(reason).collect();
        }
        vec![Reason { pointer: format!("{place}{}", self.field(pod)), words: self.to_string() }]
    }

    /// The field it is about, as far as it can be told.
    fn field(&self, pod: &Value) -> String {
        match self {
            Self::Malformed(_) => String::new(),
            Self::HostNetwork => "/spec/hostNetwork".to_owned(),
            Self::UserCollision { whose, .. } => {
                let container = whose.strip_prefix("container ");
                let holder = container.map_or("/spec".to_owned(), |name| place_of(pod, name));
                format!("{holder}/securityContext/runAsUser")
            }
            Self::PortCollision { container, port } => {
                let container = place_of(pod, container);
                let ports = pod.pointer(&format!("{container}/ports")).and_then(Value::as_array);
                let same = |declared: &Value| declared["containerPort"] == *port;
                let index = ports.and_then(|ports| ports.iter().position(same));
                format!("{container}/ports/{}", index.unwrap_or_default())
            }
            Self::OperatingSystem { pointer, .. } => pointer.clone(),
            Self::Annotation { key, .. } => format!("/metadata/annotations/{}", escaped(key)),
            Self::Probe { container, kind, .. } => {
                let inside = if kind.ends_with("Probe") { "" } else { "/lifecycle" };
                format!("{}{inside}/{kind}", place_of(pod, container))
            }
        }
    }
}

/// Where a container of this name is; the spec, where there is none.
fn place_of(pod: &Value, container: &str) -> String {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let found = lists.into_iter().find_map(|list| {
        let containers = pod.pointer(&format!("/spec/{list}"))?.as_array()?;
        let index = containers.iter().position(|c| c["name"] == container)?;
        Some(format!("/spec/{list}/{index}"))
    });
    found.unwrap_or_else(|| "/spec".to_owned())
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
    if let Some(Foreign { name, pointer }) = pod.spec.foreign_os.clone() {
        return Err(Refusal::OperatingSystem { name, pointer });
    }
    users(pod, ours)?;
    ports(pod, ours)
}

/// Refuses a pod one of whose containers, other than ours, runs as one of our users.
///
/// # Errors
/// [`Refusal::UserCollision`].
pub(super) fn users(pod: &Pod, ours: &[&str]) -> Result<(), Refusal> {
    collision("the pod", pod.spec.run_as_user)?;
    for container in pod.all_containers().filter(|c| !ours.contains(&c.name.as_str())) {
        collision(&format!("container {}", container.name), container.run_as_user)?;
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
