//! Pods that cannot be in the mesh as they are, each with its name, the reason and the way out.

mod own_names;

use serde_json::Value;

use crate::inject::additions::containers::NAMES;
use crate::inject::pod::fields::{MalformedField, dotted, escaped};
use crate::inject::pod::operating_system::NonLinuxRequirement;
use crate::inject::pod::{Container, Pod};
use crate::inject::settings::{AGENT_UID, PROXY_UID};

/// Why a pod is refused: every reason that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", joined(.0))]
pub struct Refusals(pub Vec<Refusal>);

/// Why a pod is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something the injector must understand has another shape than Kubernetes gives it; all there is.
    #[error("{NO_POD}: {}", joined(.0))]
    Malformed(Vec<MalformedField>),
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
    /// Something has a name of ours, in a pod that is not marked as injected.
    #[error(
        "{what} {name} has a name that is kept for what injection adds, and the pod has no annotation postern.dev/injected, which injection sets; rename it"
    )]
    OwnName {
        /// A container, a volume or a mount.
        what: &'static str,
        /// Its name.
        name: String,
        /// Its JSON pointer into the pod.
        pointer: String,
    },
    /// The pod says that it runs on no Linux node, by `os`, `nodeSelector` or affinity.
    #[error(
        "{} leaves no Linux node: found {found}; only Linux pods can be in the mesh; opt out with the annotation postern.dev/inject: disabled",
        dotted(.pointer)
    )]
    OperatingSystem {
        /// What it asks for.
        found: String,
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

fn joined<T: ToString>(reasons: &[T]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One reason of a refusal, and the field it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusalReason {
    /// A JSON pointer into the object.
    pub(crate) pointer: String,
    pub(crate) message: String,
}

impl Refusals {
    /// Every reason with its field, for a pod that is at the pointer `place` of an object.
    pub(crate) fn reasons(&self, pod: &Value, place: &str) -> Vec<RefusalReason> {
        self.0.iter().flat_map(|refusal| refusal.reasons(pod, place)).collect()
    }
}

impl Refusal {
    /// Every reason with its field, for a pod that is at the pointer `place` of an object.
    fn reasons(&self, pod: &Value, place: &str) -> Vec<RefusalReason> {
        if let Self::Malformed(mistakes) = self {
            let told = mistakes.iter().map(|mistake| mistake.below(place));
            let reason = |mistake: MalformedField| RefusalReason {
                pointer: mistake.pointer().to_owned(),
                message: format!("{NO_POD}: {mistake}"),
            };
            return told.map(reason).collect();
        }
        let pointer = format!("{place}{}", self.field(pod));
        let message = match self {
            Self::OperatingSystem { found, .. } => {
                let (found, pointer) = (found.clone(), pointer.clone());
                Self::OperatingSystem { found, pointer }.to_string()
            }
            _ => self.to_string(),
        };
        vec![RefusalReason { pointer, message }]
    }

    /// The JSON pointer of the field it is about; empty where there is none.
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
            Self::OperatingSystem { pointer, .. } | Self::OwnName { pointer, .. } => {
                pointer.clone()
            }
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
pub(crate) const OWN_PORTS: [u16; 5] = [15000, 15001, 15006, 15020, 15021];

/// Why a pod must not be injected: everything that is found.
pub(crate) fn check(pod: &Pod) -> Vec<Refusal> {
    let mut refusals = own_names::check(pod);
    if pod.spec.host_network {
        refusals.push(Refusal::HostNetwork);
    }
    if let Some(NonLinuxRequirement { found, pointer }) = pod.spec.non_linux.clone() {
        refusals.push(Refusal::OperatingSystem { found, pointer });
    }
    refusals.extend(users(pod));
    refusals.extend(ports(pod));
    refusals
}

/// The containers of the app, and those that somebody adds while it runs, which are never ours.
fn others(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = &pod.spec;
    let made = spec.init_containers.iter().chain(&spec.containers);
    let others = made.filter(|container| !NAMES.contains(&container.name.name.as_str()));
    others.chain(&spec.ephemeral_containers)
}

/// What runs as one of our users: [`Refusal::UserCollision`] of the pod's default, and of each container other than
/// ours.
pub(crate) fn users(pod: &Pod) -> Vec<Refusal> {
    let own = collision("the pod", pod.spec.run_as_user).into_iter();
    let containers = others(pod).filter_map(|container| {
        collision(&format!("container {}", container.name.name), container.run_as_user)
    });
    own.chain(containers).collect()
}

fn collision(whose: &str, user: Option<i64>) -> Option<Refusal> {
    let uid = user?;
    let owner = match uid {
        PROXY_UID => "the proxy",
        AGENT_UID => "the cert agent",
        _ => return None,
    };
    Some(Refusal::UserCollision { whose: whose.to_owned(), uid, owner })
}

fn ports(pod: &Pod) -> Vec<Refusal> {
    let declared = others(pod).flat_map(|container| {
        container.ports.iter().filter(|port| port.is_tcp()).map(move |port| (container, port))
    });
    let taken = declared.filter(|(_, port)| OWN_PORTS.contains(&port.container_port));
    let refusals = taken.map(|(container, port)| Refusal::PortCollision {
        container: container.name.name.clone(),
        port: port.container_port,
    });
    refusals.collect()
}
