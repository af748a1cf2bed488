//! The parts of a pod that decide what is injected, read leniently: what is not named here may have
//! any shape, because a newer Kubernetes may have given it one, and is carried through untouched.

pub(crate) mod operating_system;
pub mod shape;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use operating_system::Foreign;
use shape::{Field, Misshapen, Shapes};

/// A pod, or the template of one.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) metadata: Metadata,
    pub(crate) spec: Spec,
}

/// What stands above the spec.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What runs.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) containers: Vec<Container>,
    pub(crate) init_containers: Vec<Container>,
    pub(crate) ephemeral_containers: Vec<Container>,
    pub(crate) volumes: Vec<Named>,
    pub(crate) host_network: bool,
    /// `securityContext.runAsUser`
    pub(crate) run_as_user: Option<i64>,
    pub(crate) termination_grace_period_seconds: Option<u32>,
    pub(crate) restart_policy: Option<String>,
    /// What it needs, where that is not Linux.
    pub(crate) foreign_os: Option<Foreign>,
}

/// A name, and where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    /// A JSON pointer into the pod.
    pub(crate) pointer: String,
}

/// One container of any of the three lists.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) name: Named,
    /// `securityContext.runAsUser`
    pub(crate) run_as_user: Option<i64>,
    pub(crate) ports: Vec<Port>,
    /// The volumes it mounts.
    pub(crate) mounts: Vec<Named>,
}

/// A port the container says it listens on.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    pub(crate) name: Option<String>,
    pub(crate) container_port: u16,
    pub(crate) protocol: Option<String>,
}

impl Pod {
    /// Reads a pod, and tells everything that has the wrong shape, each with its place; the pod then lacks it.
    pub(crate) fn read(pod: &Value) -> (Self, Vec<Misshapen>) {
        let mut shapes = Shapes::default();
        let pod = Field::whole(pod);
        let (metadata, spec) = (pod.at("metadata"), pod.at("spec"));
        shapes.mapping(&pod);
        shapes.mapping(&metadata);
        let annotations = shapes.texts(&metadata.at("annotations")).into_iter().collect();
        match spec.value {
            Some(_) => drop(shapes.mapping(&spec)),
            None => shapes.missing(&spec, "the pod's `containers` below it"),
        }
        let spec = Spec::read(&mut shapes, &spec);
        let pod = Self { metadata: Metadata { annotations }, spec };
        shapes.once(pod.all_containers().map(|container| &container.name), "container");
        shapes.once(pod.spec.volumes.iter(), "volume");
        (pod, shapes.mistakes())
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

impl Spec {
    fn read(shapes: &mut Shapes, spec: &Field<'_>) -> Self {
        Self {
            containers: app_containers(shapes, spec),
            init_containers: containers(shapes, &spec.at("initContainers")),
            ephemeral_containers: containers(shapes, &spec.at("ephemeralContainers")),
            volumes: named(shapes, &spec.at("volumes"), "a name for the volume"),
            host_network: shapes.boolean(&spec.at("hostNetwork")).unwrap_or_default(),
            run_as_user: run_as_user(shapes, spec),
            termination_grace_period_seconds: shapes
                .seconds(&spec.at("terminationGracePeriodSeconds")),
            restart_policy: shapes.text(&spec.at("restartPolicy")),
            foreign_os: spec.value.and_then(operating_system::foreign),
        }
    }
}

/// The containers of the app, of which Kubernetes wants one at least.
fn app_containers(shapes: &mut Shapes, spec: &Field<'_>) -> Vec<Container> {
    let list = spec.at("containers");
    let empty = list.value.is_none_or(|list| list.as_array().is_some_and(Vec::is_empty));
    if empty && spec.value.is_some() {
        shapes.missing(&list, "at least one container, with `name` and `image`");
    }
    containers(shapes, &list)
}

/// The names of the items of a list.
fn named(shapes: &mut Shapes, list: &Field<'_>, expected: &str) -> Vec<Named> {
    let items = shapes.mappings(list);
    items.iter().map(|item| name(shapes, item, expected)).collect()
}

fn name(shapes: &mut Shapes, item: &Field<'_>, expected: &str) -> Named {
    let name = shapes.filled(&item.at("name"), expected);
    Named { name: name.unwrap_or_default(), pointer: item.at("name").pointer }
}

fn containers(shapes: &mut Shapes, list: &Field<'_>) -> Vec<Container> {
    let items = shapes.mappings(list);
    items.iter().map(|container| self::container(shapes, container)).collect()
}

fn container(shapes: &mut Shapes, container: &Field<'_>) -> Container {
    let name = name(shapes, container, "a name for the container, such as `name: app`");
    shapes.filled(&container.at("image"), "the container's image");
    Container {
        name,
        run_as_user: run_as_user(shapes, container),
        ports: ports(shapes, &container.at("ports")),
        mounts: named(shapes, &container.at("volumeMounts"), "the name of the volume"),
    }
}

fn run_as_user(shapes: &mut Shapes, holder: &Field<'_>) -> Option<i64> {
    let context = holder.at("securityContext");
    shapes.mapping(&context);
    shapes.integer(&context.at("runAsUser"))
}

fn ports(shapes: &mut Shapes, list: &Field<'_>) -> Vec<Port> {
    let items = shapes.mappings(list);
    let ports = items.iter().map(|port| {
        let number = port.at("containerPort");
        if number.value.is_none() {
            shapes.missing(&number, "the port the app listens on, such as `containerPort: 8080`");
        }
        Port {
            name: shapes.text(&port.at("name")),
            container_port: shapes.port(&number).unwrap_or_default(),
            protocol: shapes.text(&port.at("protocol")),
        }
    });
    ports.collect()
}

impl Port {
    /// The ports of a container of a pod that was read without a mistake.
    pub(crate) fn of(container: &Map<String, Value>) -> Vec<Self> {
        let list = Field { value: container.get("ports"), pointer: String::new() };
        ports(&mut Shapes::default(), &list)
    }

    pub(crate) fn is_tcp(&self) -> bool {
        self.protocol.as_deref().unwrap_or("TCP") == "TCP"
    }
}
