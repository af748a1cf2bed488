//! What the tests have in common: settings, pods, and looking into what came out.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use clap::Parser;
use k8s::inject::{InjectionOutcome, InjectionSettings, NamespaceFacts, Refusals};
use serde_json::{Value, json};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: InjectionSettings,
}

/// The settings without any flag.
pub(crate) fn settings() -> InjectionSettings {
    Flags::parse_from(["test"]).settings
}

/// A pod of one container, with these annotations.
pub(crate) fn pod(annotations: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "cart", "namespace": "shop", "labels": { "app": "cart" }, "annotations": annotations },
        "spec": {
            "serviceAccountName": "cart",
            "containers": [{ "name": "app", "image": "example.test/cart:1" }],
        },
    })
}

/// A pod whose only container has these fields besides name and image.
pub(crate) fn pod_with(container: &Value) -> Value {
    let mut pod = pod(json!({}));
    for (key, value) in container.as_object().unwrap() {
        pod["spec"]["containers"][0][key] = value.clone();
    }
    pod
}

/// The secret part of handlers' addresses.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Injects into a namespace without annotations.
pub(crate) fn inject(pod: &Value) -> Result<InjectionOutcome, Refusals> {
    k8s::inject::inject(pod, &NamespaceFacts::default(), &settings(), SECRET)
}

/// The pod after injection.
pub(crate) fn injected(pod: &Value) -> Value {
    match inject(pod) {
        Ok(InjectionOutcome::Changed(pod)) => pod,
        other => panic!("not injected: {other:?}"),
    }
}

/// A container by name, in either list.
pub(crate) fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let spec = &pod["spec"];
    let all = ["initContainers", "containers"].into_iter().filter_map(|key| spec[key].as_array());
    all.flatten().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no container {name}"))
}

/// The names of a list of containers.
pub(crate) fn names(pod: &Value, list: &str) -> Vec<String> {
    let containers = pod["spec"][list].as_array().cloned().unwrap_or_default();
    containers.iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
}

/// The arguments of a container.
pub(crate) fn arguments(pod: &Value, name: &str) -> Vec<String> {
    let arguments = container(pod, name)["args"].as_array().unwrap();
    arguments.iter().map(|a| a.as_str().unwrap().to_owned()).collect()
}

/// The proxy's configuration.
pub(crate) fn config(pod: &Value) -> Value {
    serde_json::from_str(&config_text(pod)).unwrap()
}

/// The proxy's configuration as it stands in the pod.
pub(crate) fn config_text(pod: &Value) -> String {
    let env = container(pod, "postern-proxy")["env"].as_array().unwrap();
    let variable = env.iter().find(|v| v["name"] == "POSTERN_CONFIG").unwrap();
    variable["value"].as_str().unwrap().to_owned()
}

/// Runs `postern-k8s inject` on a stream.
pub(crate) fn command(flags: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_postern-k8s"))
        .arg("inject")
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its flags does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}
