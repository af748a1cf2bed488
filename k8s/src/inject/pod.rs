//! The parts of a pod that decide what is injected, read leniently: what is not named here may have
//! any shape, because a newer Kubernetes may have given it one, and is carried through untouched.

pub mod fields;
pub(crate) mod operating_system;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use fields::{FieldReader, LocatedField, MalformedField};
use operating_system::NonLinuxRequirement;

/// A pod, or the template of one.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) metadata: PodMetadata,
    pub(crate) spec: PodSpec,
}

/// The part of the metadata that injection reads.
#[derive(Debug, Clone)]
pub(crate) struct PodMetadata {
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What runs.
#[derive(Debug, Clone)]
pub(crate) struct PodSpec {
    pub(crate) containers: Vec<Container>,
    pub(crate) init_containers: Vec<Container>,
    pub(crate) ephemeral_containers: Vec<Container>,
    pub(crate) volumes: Vec<LocatedName>,
    pub(crate) host_network: bool,
    /// `securityContext.runAsUser`
    pub(crate) run_as_user: Option<i64>,
    pub(crate) termination_grace_period_seconds: Option<u32>,
    pub(crate) restart_policy: Option<String>,
    /// What it needs, where that is not Linux.
    pub(crate) non_linux: Option<NonLinuxRequirement>,
}

/// A name and its JSON pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LocatedName {
    pub(crate) name: String,
    /// A JSON pointer into the pod.
    pub(crate) pointer: String,
}

/// One container of any of the three lists.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) name: LocatedName,
    /// `securityContext.runAsUser`
    pub(crate) run_as_user: Option<i64>,
    pub(crate) ports: Vec<ContainerPort>,
    /// The volumes it mounts.
    pub(crate) mounts: Vec<LocatedName>,
}

/// A port the container says it listens on.
#[derive(Debug, Clone)]
pub(crate) struct ContainerPort {
    pub(crate) name: Option<String>,
    pub(crate) container_port: u16,
    pub(crate) protocol: Option<String>,
}

impl Pod {
    /// Reads a pod. Every field of a wrong shape is returned with its pointer; the pod then lacks it.
    pub(crate) fn read(pod: &Value) -> (Self, Vec<MalformedField>) {
        let mut reader = FieldReader::default();
        let pod = LocatedField::whole(pod);
        let (metadata, spec) = (pod.at("metadata"), pod.at("spec"));
        reader.mapping(&pod);
        reader.mapping(&metadata);
        let annotations = reader.texts(&metadata.at("annotations")).into_iter().collect();
        match spec.value {
            Some(_) => drop(reader.mapping(&spec)),
            None => reader.missing(&spec, "the pod's `containers` below it"),
        }
        let spec = PodSpec::read(&mut reader, &spec);
        let pod = Self { metadata: PodMetadata { annotations }, spec };
        reader.once(pod.all_containers().map(|container| &container.name), "container");
        reader.once(pod.spec.volumes.iter(), "volume");
        (pod, reader.mistakes())
    }

    /// Every container, whichever list it is in.
    pub(crate) fn all_containers(&self) -> impl Iterator<Item = &Container> {
        let spec = &self.spec;
        spec.init_containers.iter().chain(&spec.containers).chain(&spec.ephemeral_containers)
    }

    /// Seconds between SIGTERM and SIGKILL; Kubernetes' own default is 30.
    pub(crate) fn grace_seconds(&self) -> u32 {
        self.spec.termination_grace_period_seconds.unwrap_or(30)
    }

    /// Whether the pod is done when its containers are, as those of Jobs.
    pub(crate) fn is_finite(&self) -> bool {
        self.spec.restart_policy.as_deref().is_some_and(|policy| policy != "Always")
    }
}

impl PodSpec {
    fn read(reader: &mut FieldReader, spec: &LocatedField<'_>) -> Self {
        Self {
            containers: app_containers(reader, spec),
            init_containers: containers(reader, &spec.at("initContainers")),
            ephemeral_containers: containers(reader, &spec.at("ephemeralContainers")),
            volumes: named(reader, &spec.at("volumes"), "a name for the volume"),
            host_network: reader.boolean(&spec.at("hostNetwork")).unwrap_or_default(),
            run_as_user: run_as_user(reader, spec),
            termination_grace_period_seconds: reader
                .seconds(&spec.at("terminationGracePeriodSeconds")),
            restart_policy: reader.text(&spec.at("restartPolicy")),
            non_linux: spec.value.and_then(operating_system::non_linux),
        }
    }
}

/// The containers of the app, of which Kubernetes wants one at least.
fn app_containers(reader: &mut FieldReader, spec: &LocatedField<'_>) -> Vec<Container> {
    let list = spec.at("containers");
    let empty = list.value.is_none_or(|list| list.as_array().is_some_and(Vec::is_empty));
    if empty && spec.value.is_some() {
        reader.missing(&list, "at least one container, with `name` and `image`");
    }
    containers(reader, &list)
}

/// The names of the items of a list.
fn named(reader: &mut FieldReader, list: &LocatedField<'_>, expected: &str) -> Vec<LocatedName> {
    let items = reader.mappings(list);
    items.iter().map(|item| name(reader, item, expected)).collect()
}

fn name(reader: &mut FieldReader, item: &LocatedField<'_>, expected: &str) -> LocatedName {
    let name = reader.filled(&item.at("name"), expected);
    LocatedName { name: name.unwrap_or_default(), pointer: item.at("name").pointer }
}

fn containers(reader: &mut FieldReader, list: &LocatedField<'_>) -> Vec<Container> {
    let items = reader.mappings(list);
    items.iter().map(|container| self::container(reader, container)).collect()
}

fn container(reader: &mut FieldReader, container: &LocatedField<'_>) -> Container {
    let name = name(reader, container, "a name for the container, such as `name: app`");
    reader.filled(&container.at("image"), "the container's image");
    Container {
        name,
        run_as_user: run_as_user(reader, container),
        ports: ports(reader, &container.at("ports")),
        mounts: named(reader, &container.at("volumeMounts"), "the name of the volume"),
    }
}

fn run_as_user(reader: &mut FieldReader, holder: &LocatedField<'_>) -> Option<i64> {
    let context = holder.at("securityContext");
    reader.mapping(&context);
    reader.integer(&context.at("runAsUser"))
}

fn ports(reader: &mut FieldReader, list: &LocatedField<'_>) -> Vec<ContainerPort> {
    let items = reader.mappings(list);
    let ports = items.iter().map(|port| {
        let number = port.at("containerPort");
        if number.value.is_none() {
            reader.missing(&number, "the port the app listens on, such as `containerPort: 8080`");
        }
        ContainerPort {
            name: reader.text(&port.at("name")),
            container_port: reader.port(&number).unwrap_or_default(),
            protocol: reader.text(&port.at("protocol")),
        }
    });
    ports.collect()
}

impl ContainerPort {
    /// The ports of a container of a pod that was read without a mistake.
    pub(crate) fn of(container: &Map<String, Value>) -> Vec<Self> {
        let list = LocatedField { value: container.get("ports"), pointer: String::new() };
        ports(&mut FieldReader::default(), &list)
    }

    pub(crate) fn is_tcp(&self) -> bool {
        self.protocol.as_deref().unwrap_or("TCP") == "TCP"
    }
}
