//! The ephemeral container that takes a running pod's proxy over: the proxy's own container with a newer image.
//!
//! It runs as the proxy's user, whose traffic is not intercepted, so the webhook takes it only where it is exactly that:
//! the same configuration, mounts and rights, an image of ours, and the one command.

use serde_json::{Map, Value, json};

use super::additions::containers::PROXY;
use super::settings::InjectionSettings;

/// What is the same as in the pod's own proxy container, or absent in both.
const SAME: [&str; 7] =
    ["command", "env", "envFrom", "volumeMounts", "volumeDevices", "securityContext", "workingDir"];
/// What the API server adds, and what says nothing about rights.
const FREE: [&str; 3] = ["name", "imagePullPolicy", "terminationMessagePolicy"];
/// Where the API server puts it when nothing is said: the kubelet mounts a file there, which must not lie over another.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// The arguments of the proxy that takes over.
const ARGUMENTS: [&str; 2] = ["run", "--upgrade"];

/// Why a pod gets no successor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessorError {
    /// It is no pod, or has no proxy.
    #[error(
        "there is no container {PROXY} in it; is it one pod, as `kubectl get pod NAME -o json` shows it, and injected?"
    )]
    NoProxy,
}

/// Adds to a running pod the container that takes its proxy over, with this image.
///
/// # Errors
/// [`SuccessorError`].
pub fn add_successor(pod: &mut Value, image: &str) -> Result<(), SuccessorError> {
    let proxy = proxy(pod).ok_or(SuccessorError::NoProxy)?;
    let mut successor = Map::new();
    for key in SAME.into_iter().chain(["imagePullPolicy"]) {
        if let Some(value) = proxy.get(key) {
            successor.insert(key.to_owned(), value.clone());
        }
    }
    let spec = pod.get_mut("spec").and_then(Value::as_object_mut).ok_or(SuccessorError::NoProxy)?;
    let containers = spec.entry("ephemeralContainers").or_insert_with(|| json!([]));
    let containers = containers.as_array_mut().ok_or(SuccessorError::NoProxy)?;
    // An ephemeral container is never removed, so the number is free.
    successor.insert("name".to_owned(), json!(format!("{PROXY}-{}", containers.len() + 2)));
    successor.insert("image".to_owned(), json!(image));
    successor.insert("args".to_owned(), json!(ARGUMENTS));
    containers.push(Value::Object(successor));
    Ok(())
}

/// Whether the ephemeral container of this name is one that [`add_successor`] could have added, with an image of ours.
pub(super) fn is_successor(pod: &Value, name: &str, settings: &InjectionSettings) -> bool {
    let (Some(proxy), Some(container)) = (proxy(pod), ephemeral(pod, name)) else { return false };
    let image = container.get("image").and_then(Value::as_str);
    let ours = image.is_some_and(|image| settings.is_image_of(image, PROXY));
    let same = SAME.iter().all(|key| container.get(*key) == proxy.get(*key));
    let known = container.iter().all(|(key, value)| match key.as_str() {
        "image" | "args" => true,
        "terminationMessagePath" => value == TERMINATION_LOG,
        "resources" => value == &json!({}),
        key => SAME.contains(&key) || FREE.contains(&key),
    });
    ours && same && known && container.get("args") == Some(&json!(ARGUMENTS))
}

/// The pod's proxy, a native sidecar or a container.
fn proxy(pod: &Value) -> Option<&Map<String, Value>> {
    ["initContainers", "containers"].into_iter().find_map(|list| named(pod, list, PROXY))
}

fn ephemeral<'a>(pod: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    named(pod, "ephemeralContainers", name)
}

fn named<'a>(pod: &'a Value, list: &str, name: &str) -> Option<&'a Map<String, Value>> {
    let containers = pod.get("spec")?.get(list)?.as_array()?;
    containers.iter().find(|container| container["name"] == name)?.as_object()
}
