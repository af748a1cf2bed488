//! The kinds of Kubernetes' objects that carry a pod, and where.

use serde_json::Value;

use crate::inject::OWN_INJECT;

/// API group, kind, and the JSON pointer (RFC 6901) of the pod or of its template. A kind that has its template in one
/// of several places has an entry for each.
///
/// The kinds of others are those whose controllers hand the template to a Pod, or to one of the kinds above, as it is.
const KINDS: &[(&str, &str, &str)] = &[
    ("", "Pod", ""),
    ("", "PodTemplate", "/template"),
    ("", "ReplicationController", TEMPLATE),
    ("apps", "Deployment", TEMPLATE),
    ("apps", "StatefulSet", TEMPLATE),
    ("apps", "DaemonSet", TEMPLATE),
    ("apps", "ReplicaSet", TEMPLATE),
    ("extensions", "Deployment", TEMPLATE),
    ("extensions", "StatefulSet", TEMPLATE),
    ("extensions", "DaemonSet", TEMPLATE),
    ("extensions", "ReplicaSet", TEMPLATE),
    ("batch", "Job", TEMPLATE),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    // Argo Rollouts
    ("argoproj.io", "Rollout", TEMPLATE),
    // OpenKruise
    ("apps.kruise.io", "CloneSet", TEMPLATE),
    ("apps.kruise.io", "StatefulSet", TEMPLATE),
    ("apps.kruise.io", "DaemonSet", TEMPLATE),
    ("apps.kruise.io", "BroadcastJob", TEMPLATE),
    ("apps.kruise.io", "AdvancedCronJob", "/spec/template/jobTemplate/spec/template"),
    ("apps.kruise.io", "AdvancedCronJob", "/spec/template/broadcastJobTemplate/spec/template"),
    ("apps.kruise.io", "UnitedDeployment", "/spec/template/statefulSetTemplate/spec/template"),
    (
        "apps.kruise.io",
        "UnitedDeployment",
        "/spec/template/advancedStatefulSetTemplate/spec/template",
    ),
    ("apps.kruise.io", "UnitedDeployment", "/spec/template/cloneSetTemplate/spec/template"),
    ("apps.kruise.io", "UnitedDeployment", "/spec/template/deploymentTemplate/spec/template"),
    // OpenShift
    ("apps.openshift.io", "DeploymentConfig", TEMPLATE),
    // KEDA
    ("keda.sh", "ScaledJob", "/spec/jobTargetRef/template"),
];

const TEMPLATE: &str = "/spec/template";

/// Knative takes no init containers and no capabilities in its own objects, but its pods are pods as any others.
const KNATIVE: &str = "serving.knative.dev";

/// API group (without version) and kind.
pub(crate) fn kind(object: &Value) -> Option<(&str, &str)> {
    let version = object.get("apiVersion")?.as_str()?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    Some((group, object.get("kind")?.as_str()?))
}

/// The members of a `List`, a `PodList`, ..
pub(crate) fn items(object: &Value) -> Option<&[Value]> {
    let (_, kind) = kind(object)?;
    let items = object.get("items").filter(|_| kind.ends_with("List"))?;
    items.as_array().map(Vec::as_slice)
}

/// The pod of an object of a known kind, or its template, and where it is.
pub(crate) fn pod(object: &Value) -> Option<(&'static str, &Value)> {
    let found = kind(object)?;
    let mut places = KINDS.iter().filter(|(group, kind, _)| (*group, *kind) == found);
    places.find_map(|(_, _, pointer)| {
        let pod = object.pointer(pointer).filter(|pod| pod.is_object())?;
        Some((*pointer, pod))
    })
}

/// What looks like a template of a pod in an object of another kind: where, and why it stays as it is.
pub(crate) fn unknown(object: &Value) -> Option<(String, String)> {
    let (group, kind) = kind(object)?;
    if KINDS.iter().any(|known| (known.0, known.1) == (group, kind)) {
        return None;
    }
    let pointer = template(object, "")?;
    let why = match group {
        KNATIVE => "Knative does not take the sidecars in it",
        _ => "this kind is none that inject knows",
    };
    Some((
        pointer,
        format!(
            "holds the template of a pod and is passed as it is: {why}; the pods made of it are injected in a namespace labelled postern.dev/inject: enabled"
        ),
    ))
}

/// The first mapping called `template` or `…Template` that has `spec.containers` and has not opted out.
fn template(value: &Value, pointer: &str) -> Option<String> {
    let below = |key: &str, value: &Value| {
        let pointer = format!("{pointer}/{}", crate::inject::pod::fields::escaped(key));
        let named = key == "template" || key.ends_with("Template");
        let shaped = value.pointer("/spec/containers").is_some_and(Value::is_array);
        let opted_out = value.pointer(OWN_INJECT).is_some_and(|own| own == "disabled");
        match named && shaped {
            true => Some(pointer).filter(|_| !opted_out),
            false => template(value, &pointer),
        }
    };
    match value {
        Value::Object(map) => map.iter().find_map(|(key, value)| below(key, value)),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| below(&index.to_string(), item))
        }
        _ => None,
    }
}
