//! The operating system of the nodes a pod can run on: a pod says it itself (`spec.os`), by `nodeSelector`, or by an
//! affinity that every node must meet.

use serde_json::Value;

/// The labels of nodes that name it
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-os>); the second is older.
const LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];
const TERMS: &str =
    "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

/// An operating system other than Linux that a pod needs, and where it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Foreign {
    pub(super) name: String,
    /// A JSON pointer into the pod.
    pub(super) pointer: String,
}

/// What a pod's spec says.
pub(super) fn foreign(spec: &Value) -> Option<Foreign> {
    let selectors = LABELS.map(|label| format!("/nodeSelector/{}", super::shape::escaped(label)));
    let own = ["/os/name".to_owned()].into_iter().chain(selectors);
    let mut said = own.filter_map(|pointer| Some((spec.pointer(&pointer)?.as_str()?, pointer)));
    let own = said.find(|(name, _)| *name != "linux");
    let (name, pointer) = own.or_else(|| Some((by_affinity(spec)?, TERMS.to_owned())))?;
    let name = name.chars().take(64).collect();
    Some(Foreign { name, pointer: format!("/spec{pointer}") })
}

/// Terms are alternatives: each of them must leave Linux out.
fn by_affinity(spec: &Value) -> Option<&str> {
    let terms = spec.pointer(TERMS)?.as_array()?;
    let mut names = terms.iter().map(of_term).collect::<Option<Vec<_>>>()?;
    names.pop()
}

/// Of one term: all of its expressions must be met.
fn of_term(term: &Value) -> Option<&str> {
    let expressions = term.get("matchExpressions")?.as_array()?;
    expressions.iter().find_map(|expression| {
        let key = expression.get("key")?.as_str()?;
        let is_in = expression.get("operator")?.as_str()? == "In";
        let values = expression.get("values")?.as_array()?;
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        let foreign = LABELS.contains(&key) && is_in && !values.contains(&"linux");
        values.first().copied().filter(|_| foreign)
    })
}
