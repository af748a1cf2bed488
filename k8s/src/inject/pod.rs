//! The parts of a pod that decide what is injected, read leniently: what is not named here may have
//! any shape, because a newer Kubernetes may have given it one, and is carried through untouched.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A pod, or the template of one.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Pod {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) metadata: Metadata,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) spec: Spec,
}

/// What stands above the spec.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// What runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) containers: Vec<Container>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) init_containers: Vec<Container>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) ephemeral_containers: Vec<Container>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) host_network: bool,
    pub(super) security_context: Option<SecurityContext>,
    pub(super) termination_grace_period_seconds: Option<u32>,
    pub(super) restart_policy: Option<String>,
    pub(super) os: Option<Os>,
}

/// The operating system a pod says it needs.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Os {
    pub(super) name: String,
}

/// As whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecurityContext {
    pub(super) run_as_user: Option<i64>,
}

/// One container of any of the three lists.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) security_context: Option<SecurityContext>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) ports: Vec<Port>,
}

/// A port the container says it listens on.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Port {
    pub(super) name: Option<String>,
    pub(super) container_port: u16,
    pub(super) protocol: Option<String>,
}

impl Pod {
    /// Reads a pod. The error is a sentence with the place of what has the wrong shape.
    pub(super) fn read(pod: &Value) -> Result<Self, String> {
        Self::deserialize(pod).map_err(|error| error.to_string())
    }

    /// Every container, whichever list it is in.
    pub(super) fn all_containers(&self) -> impl Iterator<Item = &Container> {
        let spec = &self.spec;
        spec.init_containers.iter().chain(&spec.containers).chain(&spec.ephemeral_containers)
    }

    /// Seconds between SIGTERM and SIGKILL; Kubernetes' own default is 30.
    pub(super) fn grace_seconds(&self) -> u32 {
        self.spec.termination_grace_period_seconds.unwrap_or(30)
    }

    /// Whether the pod is done when its containers are, as those of Jobs.
    pub(super) fn is_finite(&self) -> bool {
        self.spec.restart_policy.as_deref().is_some_and(|policy| policy != "Always")
    }
}

impl Port {
    pub(super) fn is_tcp(&self) -> bool {
        self.protocol.as_deref().unwrap_or("TCP") == "TCP"
    }
}

/// An explicit `null`, which templates often leave behind, means the same as nothing.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
