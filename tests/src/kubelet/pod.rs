//! A pod's life: init containers, sidecars, containers, and the end.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::container::Container;
use super::probe::{self, texts};
use super::volumes;
use crate::inside::Inside;
use crate::pod::Pod;
use crate::process::{Process, finish};
use crate::wait;

/// How long a plain init container may take.
const INIT_DEADLINE: Duration = Duration::from_secs(20);
/// What a sidecar has at least when the containers have used up the grace.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// A running pod.
pub struct InjectedPod {
    // Killed before the pod's network goes.
    containers: Vec<Running>,
    sidecars: Vec<Running>,
    volumes: BTreeMap<String, PathBuf>,
    object: Value,
    node: Inside,
    pod: Pod,
}

struct Running {
    container: Container,
    process: Process,
}

/// How a pod ended.
#[derive(Debug)]
pub struct Ended {
    /// Each container with its exit code, negative when a signal ended it, in the order in which they ended.
    pub codes: Vec<(String, i32)>,
    /// From the first signal, or, for a pod that ends by itself, from the end of its last container.
    pub took: Duration,
}

impl InjectedPod {
    pub(super) fn start(pod: Pod, object: Value) -> Self {
        let folder = pod.directory().join("volumes");
        let list = object["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        let name = |volume: &Value| volume["name"].as_str().unwrap_or_default().to_owned();
        let made = list
            .iter()
            .map(|volume| (name(volume), volumes::make(pod.mesh(), &object, volume, &folder)));
        let volumes = made.collect();
        let node = Inside::enter(&crate::place::Place::Loopback);
        let mut this =
            Self { containers: Vec::new(), sidecars: Vec::new(), volumes, object, node, pod };
        for container in this.list("initContainers") {
            this.init(container);
        }
        for container in this.list("containers") {
            let running = this.run(container);
            this.containers.push(running);
        }
        this
    }

    fn list(&self, key: &str) -> Vec<Container> {
        let list = self.object["spec"][key].as_array().into_iter().flatten();
        list.map(|spec| Container::new(&self.pod, &self.object, spec, &self.volumes)).collect()
    }

    fn init(&mut self, container: Container) {
        if container.is_sidecar() {
            let running = self.run(container);
            self.sidecars.push(running);
            return;
        }
        let mut process = Process::start(&container.name, container.main(), self.pod.directory());
        let code = process.exit_code(INIT_DEADLINE);
        assert_eq!(code, 0, "{}: {}", container.name, process.stderr());
    }

    /// Starts a container and waits for what the next one waits for: its hook, and for sidecars the startup probe.
    fn run(&self, container: Container) -> Running {
        let process = Process::start(&container.name, container.main(), self.pod.directory());
        let mut running = Running { container, process };
        let hook = &running.container.spec["lifecycle"]["postStart"]["exec"]["command"];
        if let Some(hook) = hook.as_array() {
            finish(running.container.command(&texts(hook))).ok();
        }
        if running.container.is_sidecar() && running.container.spec.get("startupProbe").is_some() {
            self.wait_for(&mut running, "startupProbe");
        }
        running
    }

    /// Starts the ephemeral containers that a newer version of its object has.
    pub fn update(&mut self, object: Value) {
        let before = self.list("ephemeralContainers").len();
        self.object = object;
        for container in self.list("ephemeralContainers").into_iter().skip(before) {
            let running = self.run(container);
            self.containers.push(running);
        }
    }

    /// Waits for a sidecar to end by itself, in order, and starts it again.
    pub fn restart_sidecar(&mut self, name: &str, deadline: Duration) {
        let found = self.sidecars.iter().position(|running| running.container.name == name);
        let place = found.unwrap_or_else(|| panic!("there is no sidecar {name}"));
        let Running { container, mut process } = self.sidecars.remove(place);
        assert_eq!(process.exit_code(deadline), 0, "{name}: {}", process.stderr());
        let running = self.run(container);
        self.sidecars.insert(place, running);
    }

    /// Kills one of its containers, which is not started again.
    pub fn kill_container(&mut self, name: &str) {
        let found = self.containers.iter().position(|running| running.container.name == name);
        let place = found.unwrap_or_else(|| panic!("there is no container {name}"));
        self.containers.remove(place).process.kill();
    }

    /// Waits until every container with a readiness probe passes it.
    pub fn ready(&mut self) {
        let mut all = std::mem::take(&mut self.sidecars);
        let sidecars = all.len();
        all.append(&mut self.containers);
        for running in &mut all {
            if running.container.spec.get("readinessProbe").is_some() {
                self.wait_for(running, "readinessProbe");
            }
        }
        self.containers = all.split_off(sidecars);
        self.sidecars = all;
    }

    fn wait_for(&self, running: &mut Running, kind: &str) {
        let probe = running.container.spec[kind].clone();
        let what = format!("the {kind} of {}", running.container.name);
        wait::until(&what, probe::patience(&probe), || {
            if let Some(status) = running.process.ended() {
                panic!("waiting for {what}: it ended, {status}: {}", running.process.stderr());
            }
            probe::ask(self, &probe, |words| running.container.command(words))
        });
    }

    /// Its network, and what an app in it can do.
    #[must_use]
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// The pod as it is run.
    #[must_use]
    pub fn object(&self) -> &Value {
        &self.object
    }

    /// What the node gets of a port of the pod: status and body.
    ///
    /// # Errors
    /// Why there was no answer.
    pub fn from_node(&self, port: u16, path: &str) -> Result<(u16, String), String> {
        probe::http_get(self, port, path.to_owned())
    }

    pub(super) fn node_run<T, F>(&self, future: F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.node.spawn(future).join()
    }

    /// What a container wrote to standard output.
    #[must_use]
    pub fn output(&self, container: &str) -> String {
        fs::read_to_string(self.pod.directory().join(format!("{container}.out")))
            .unwrap_or_default()
    }

    /// The capabilities that a running container may ever have, as `/proc/PID/status` shows them (`CapBnd`).
    #[must_use]
    pub fn capabilities(&self, container: &str) -> u64 {
        let all = self.sidecars.iter().chain(&self.containers);
        let running = all.into_iter().find(|running| running.container.name == container);
        let running = running.unwrap_or_else(|| panic!("{container} is not running"));
        let status = fs::read_to_string(format!("/proc/{}/status", running.process.id()));
        let status = status.expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        u64::from_str_radix(line.expect("Linux says it").trim(), 16).expect("a hexadecimal number")
    }

    /// Waits until the app's containers have ended by themselves, then ends the sidecars.
    #[must_use]
    pub fn wait_for_end(mut self, deadline: Duration) -> Ended {
        let mut codes = Vec::new();
        for running in &mut self.containers {
            codes.push((running.container.name.clone(), running.process.exit_code(deadline)));
        }
        self.containers.clear();
        let mut ended = self.terminate();
        codes.append(&mut ended.codes);
        Ended { codes, ..ended }
    }

    /// Ends it as the deletion of a pod does: hooks and SIGTERM for the containers, then the sidecars in reverse
    /// order, SIGKILL when the grace is over.
    #[must_use]
    pub fn terminate(mut self) -> Ended {
        let begun = Instant::now();
        let grace = self.object["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
        let deadline = begun + Duration::from_secs(grace);
        let mut codes = Vec::new();
        let containers = std::mem::take(&mut self.containers);
        // Each gets its signal when its own hook is done; who has none gets it at once.
        let (with_hook, without): (Vec<_>, Vec<_>) =
            containers.iter().partition(|running| running.container.has_pre_stop());
        without.iter().for_each(|running| running.process.terminate());
        for running in with_hook {
            self.pre_stop(&running.container, begun);
            running.process.terminate();
        }
        for running in containers {
            codes.push(end(running, deadline));
        }
        for running in std::mem::take(&mut self.sidecars).into_iter().rev() {
            running.process.terminate();
            codes.push(end(running, deadline.max(Instant::now() + LEAST_GRACE)));
        }
        Ended { codes, took: begun.elapsed() }
    }

    /// The hook of a container; all of them began at `begun`.
    fn pre_stop(&self, container: &Container, begun: Instant) {
        let hook = &container.spec["lifecycle"]["preStop"];
        if let Some(seconds) = hook["sleep"]["seconds"].as_u64() {
            wait::pass(begun + Duration::from_secs(seconds));
        } else {
            // Its failure ends nothing, as in a cluster.
            let _ = probe::ask(self, hook, |words| container.command(words));
        }
    }
}

/// Waits for a container that was told to end; kills it at the deadline.
fn end(mut running: Running, deadline: Instant) -> (String, i32) {
    let left = deadline.saturating_duration_since(Instant::now());
    if !wait::holds_within(left, || running.process.ended().is_some()) {
        running.process.kill();
    }
    (running.container.name, running.process.exit_code(LEAST_GRACE))
}
