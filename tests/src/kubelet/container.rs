//! One container: the command that runs in its namespaces.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::one_user;
use super::probe::texts;
use super::variables::{Variables, expand, variables};
use crate::binaries::{binary, repository};
use crate::place::Place;
use crate::pod::Pod;

/// A container of a pod: where it runs, and what it is told.
pub(super) struct Container {
    pub(super) name: String,
    pub(super) spec: Value,
    namespace: String,
    hosts: PathBuf,
    variables: Variables,
    /// Source, target, `ro` or `rw`.
    mounts: Vec<[String; 3]>,
    /// Whether the pod's traffic is redirected.
    redirected: bool,
}

impl Container {
    pub(super) fn new(
        pod: &Pod,
        object: &Value,
        spec: &Value,
        volumes: &BTreeMap<String, PathBuf>,
    ) -> Self {
        let Place::Namespace(namespace) = pod.place() else {
            panic!("an injected pod needs a network namespace");
        };
        let init = object["spec"]["initContainers"].as_array().into_iter().flatten();
        Self {
            name: spec["name"].as_str().expect("a container has a name").to_owned(),
            namespace: namespace.clone(),
            hosts: pod.directory().join("hosts"),
            variables: variables(object, spec),
            mounts: mounts(spec, volumes),
            redirected: init.into_iter().any(|container| container["name"] == "postern-init"),
            spec: spec.clone(),
        }
    }

    /// An init container that goes on.
    pub(super) fn is_sidecar(&self) -> bool {
        self.spec["restartPolicy"] == "Always"
    }

    /// Whether something is done before its SIGTERM.
    pub(super) fn has_pre_stop(&self) -> bool {
        self.spec["lifecycle"]["preStop"].is_object()
    }

    /// The command of the spec.
    pub(super) fn main(&self) -> Command {
        let list =
            |key: &str| self.spec[key].as_array().map(|list| texts(list)).unwrap_or_default();
        let words = [list("command"), list("args")].concat();
        let words = words.iter().map(|word| expand(word, &self.variables)).collect::<Vec<_>>();
        self.command(&words)
    }

    /// Any command in the container: its network, its files, its variables, its rights.
    pub(super) fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(repository().join("tests/in-container"));
        let programs = binary("postern-proxy");
        let programs = programs.parent().expect("a program lies in a folder").display();
        command.env_clear();
        command.env("PATH", format!("{programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"));
        let one_user = one_user::is_all_there_is();
        let marked = one_user && self.redirected;
        let variables = self.variables.clone();
        command.envs(if marked { one_user::mark(variables) } else { variables });
        command.arg(&self.namespace).arg(&self.hosts).args(self.mounts.iter().flatten());
        command.args(["--", "setpriv", "--pdeathsig", "KILL"]).args(self.rights(one_user));
        match one_user {
            true => command.args(one_user::arguments(words.to_vec())),
            false => command.args(words),
        };
        command
    }

    /// What `setpriv` makes of the security context.
    fn rights(&self, one_user: bool) -> Vec<String> {
        let context = &self.spec["securityContext"];
        let mut rights: Vec<String> =
            ["--no-new-privs", "--inh-caps=-all"].map(str::to_owned).into();
        let drops = context["capabilities"]["drop"].as_array();
        let mut adds =
            context["capabilities"]["add"].as_array().map(|list| texts(list)).unwrap_or_default();
        if one_user && self.redirected && self.name.starts_with("postern-proxy") {
            adds.push("NET_ADMIN".to_owned());
        }
        if drops.is_some_and(|drops| drops.iter().any(|drop| drop == "ALL")) {
            let adds: String = adds.iter().map(|add| format!(",+{}", add.to_lowercase())).collect();
            rights.push(format!("--bounding-set=-all{adds}"));
        }
        if let (false, Some(user)) = (one_user, context["runAsUser"].as_u64()) {
            let group = context["runAsGroup"].as_u64().unwrap_or(user);
            rights.extend([format!("--reuid={user}"), format!("--regid={group}")]);
            rights.push("--clear-groups".to_owned());
        }
        rights
    }
}

fn mounts(spec: &Value, volumes: &BTreeMap<String, PathBuf>) -> Vec<[String; 3]> {
    let mounts = spec["volumeMounts"].as_array().into_iter().flatten();
    let mount = |mount: &Value| {
        let name = mount["name"].as_str().expect("a mount names a volume");
        let target = mount["mountPath"].as_str().expect("a mount has a path");
        let below = ["/etc/", "/run/", "/var/run/"].iter().any(|top| target.starts_with(top));
        assert!(below, "{target} is outside of what a container here has of its own");
        let source = volumes.get(name).unwrap_or_else(|| panic!("there is no volume {name}"));
        let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
        [source.to_string_lossy().into_owned(), target.to_owned(), mode.to_owned()]
    };
    mounts.map(mount).collect()
}
