//! The operating system of the nodes a pod can run on: a pod says it itself (`spec.os`), by `nodeSelector`, or by an
//! affinity that every node must meet.

use serde_json::Value;

use super::fields::escaped;

/// The labels of nodes that name it
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-os>); the second is older.
const LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];
/// A label that only Windows nodes have
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#nodekubernetesiowindows-build>).
const WINDOWS_BUILD: &str = "node.kubernetes.io/windows-build";
const TERMS: &str =
    "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
/// The most characters of a file's text that are shown.
const MOST_SHOWN: usize = 64;

/// The requirement that excludes every Linux node, and its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NonLinuxRequirement {
    pub(crate) found: String,
    /// A JSON pointer into the pod.
    pub(crate) pointer: String,
}

impl NonLinuxRequirement {
    fn at(pointer: &str, found: &str) -> Self {
        let found = found.escape_debug().take(MOST_SHOWN).collect();
        Self { found, pointer: format!("/spec{pointer}") }
    }
}

/// What a pod's spec says.
pub(crate) fn non_linux(spec: &Value) -> Option<NonLinuxRequirement> {
    own(spec).or_else(|| by_selector(spec)).or_else(|| by_affinity(spec))
}

fn own(spec: &Value) -> Option<NonLinuxRequirement> {
    let name = spec.pointer("/os/name")?.as_str()?;
    (name != "linux").then(|| NonLinuxRequirement::at("/os/name", name))
}

fn by_selector(spec: &Value) -> Option<NonLinuxRequirement> {
    let selector = spec.get("nodeSelector")?;
    [LABELS[0], LABELS[1], WINDOWS_BUILD].into_iter().find_map(|label| {
        let value = selector.get(label)?.as_str()?;
        let pointer = format!("/nodeSelector/{}", escaped(label));
        (label == WINDOWS_BUILD || value != "linux")
            .then(|| NonLinuxRequirement::at(&pointer, value))
    })
}

/// Terms are alternatives: each of them must leave Linux out.
fn by_affinity(spec: &Value) -> Option<NonLinuxRequirement> {
    let terms = spec.pointer(TERMS)?.as_array()?.iter().enumerate();
    let found = terms.map(|(index, term)| of_term(term, &format!("{TERMS}/{index}")));
    found.collect::<Option<Vec<_>>>()?.into_iter().next()
}

/// Of one term: all of its expressions must be met. A term without any is met by no node.
fn of_term(term: &Value, place: &str) -> Option<NonLinuxRequirement> {
    let list = |key: &str| term.get(key).and_then(Value::as_array).filter(|list| !list.is_empty());
    let Some(expressions) = list("matchExpressions") else {
        return list("matchFields")
            .is_none()
            .then(|| NonLinuxRequirement::at(place, "a term without expressions"));
    };
    expressions.iter().enumerate().find_map(|(index, expression)| {
        let pointer = format!("{place}/matchExpressions/{index}");
        Some(NonLinuxRequirement::at(&pointer, &of_expression(expression)?))
    })
}

/// An expression that no Linux node meets, as people read it
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#operators>).
fn of_expression(expression: &Value) -> Option<String> {
    let text = |key: &str| expression.get(key).and_then(Value::as_str);
    let (key, operator) = (text("key")?, text("operator")?);
    let values = expression.get("values").and_then(Value::as_array);
    let values: Vec<&str> = values.into_iter().flatten().filter_map(Value::as_str).collect();
    // Linux nodes have the first two labels with the value `linux`, and not the third.
    let met = match (LABELS.contains(&key), key == WINDOWS_BUILD) {
        (true, _) => match operator {
            "In" => values.contains(&"linux"),
            "NotIn" => !values.contains(&"linux"),
            // They compare numbers.
            "DoesNotExist" | "Gt" | "Lt" => false,
            _ => true,
        },
        (_, true) => !matches!(operator, "In" | "Exists" | "Gt" | "Lt"),
        _ => true,
    };
    let values = match operator {
        "Exists" | "DoesNotExist" => String::new(),
        _ => format!(" [{}]", values.join(", ")),
    };
    (!met).then(|| format!("{key} {operator}{values}"))
}
