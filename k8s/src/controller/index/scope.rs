//! Whom a policy is about, as it is written: this is known of one that cannot be read, too.
//!
//! Nothing is opened because of a mistake (ARCHITECTURE, invariant 2): without a selector that can be read a policy is about
//! every workload of its namespace, and a target of a kind that is none counts as one of every kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{ObjectName, PolicyKind, PolicyName};

/// What a policy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// The workloads of its namespace (of all, in the root namespace) with these labels.
    Labels(BTreeMap<String, String>),
    /// Those behind these Services of the policy's namespace, and the proxies of gateways that these Gateways, ListenerSets
    /// or routes of it belong to.
    Targets { services: Vec<Arc<str>>, edge: Vec<PolicyName> },
    /// Everything in its namespace: it has targets, and not even their names can be read.
    Namespace,
}

impl Scope {
    /// Whether it is about a Gateway, ListenerSet or route.
    pub(super) fn covers(&self, policy: &PolicyName, part: &PolicyName) -> bool {
        match self {
            Self::Labels(_) => false,
            Self::Targets { edge, .. } => edge.contains(part),
            Self::Namespace => policy.object.namespace == part.object.namespace,
        }
    }

    /// The Services that it names.
    pub(super) fn services(&self) -> &[Arc<str>] {
        match self {
            Self::Targets { services, .. } => services,
            Self::Labels(_) | Self::Namespace => &[],
        }
    }

    /// What it names of gateways.
    pub(super) fn edge(&self) -> &[PolicyName] {
        match self {
            Self::Targets { edge, .. } => edge,
            Self::Labels(_) | Self::Namespace => &[],
        }
    }
}

/// What belongs to gateways, and can be named.
const OF_GATEWAYS: [PolicyKind; 6] = [
    PolicyKind::Gateway,
    PolicyKind::ListenerSet,
    PolicyKind::HTTPRoute,
    PolicyKind::GRPCRoute,
    PolicyKind::TCPRoute,
    PolicyKind::TLSRoute,
];

/// Whom a policy is about. A target in another namespace is nobody (invariant 12).
pub(super) fn scope(document: &Value) -> Scope {
    match document.pointer("/spec/targetRefs").filter(|written| !written.is_null()) {
        Some(written) => targets(document, written).unwrap_or(Scope::Namespace),
        None => Scope::Labels(labels(document).unwrap_or_default()),
    }
}

fn labels(document: &Value) -> Option<BTreeMap<String, String>> {
    let selector = document.pointer("/spec/selector/matchLabels")?.as_object()?;
    let pairs = selector.iter();
    pairs.map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn targets(document: &Value, written: &Value) -> Option<Scope> {
    let own = document.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let written = written.as_array().filter(|targets| !targets.is_empty())?;
    let (mut services, mut edge) = (Vec::new(), Vec::new());
    for target in written {
        let text = |key| target.get(key).and_then(Value::as_str);
        let name = text("name")?;
        if text("namespace").is_some_and(|namespace| namespace != own) {
            continue;
        }
        let kind = OF_GATEWAYS.into_iter().find(|kind| text("kind") == Some(kind.as_str()));
        let is_service = text("kind") == Some("Service");
        if kind.is_none() {
            services.push(name.into());
        }
        let kinds = OF_GATEWAYS.into_iter();
        let meant = kinds.filter(|of| !is_service && kind.is_none_or(|kind| kind == *of));
        edge.extend(meant.map(|kind| PolicyName { kind, object: ObjectName::new(own, name) }));
    }
    Some(Scope::Targets { services, edge })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written() {
        let of = |kinds: &[PolicyKind], name: &str| {
            let object = ObjectName::new("shop", name);
            let named = kinds.iter().map(|kind| PolicyName { kind: *kind, object: object.clone() });
            named.collect::<Vec<_>>()
        };
        let targets = |services: &[&str], edge: Vec<PolicyName>| Scope::Targets {
            services: services.iter().map(|name| (*name).into()).collect(),
            edge,
        };
        let all = || of(&OF_GATEWAYS, "cart");
        let gateway = || of(&[PolicyKind::Gateway], "cart");
        let everybody = || Scope::Labels(BTreeMap::new());
        for (row, spec, expect) in [
            ("nothing", json!({}), everybody()),
            ("null", json!({"targetRefs": null}), everybody()),
            ("a label that is none", json!({"selector": {"matchLabels": {"app": 1}}}), everybody()),
            ("a Service", json!([{"kind": "Service", "name": "cart"}]), targets(&["cart"], vec![])),
            ("a Gateway", json!([{"kind": "Gateway", "name": "cart"}]), targets(&[], gateway())),
            (
                "another case",
                json!([{"kind": "service", "name": "cart"}]),
                targets(&["cart"], all()),
            ),
            ("no kind", json!([{"name": "cart"}]), targets(&["cart"], all())),
            (
                "a kind that is no text",
                json!([{"kind": 1, "name": "cart"}]),
                targets(&["cart"], all()),
            ),
            (
                "of another namespace",
                json!([{"kind": "gateway", "name": "cart", "namespace": "bank"}]),
                targets(&[], vec![]),
            ),
            ("no name", json!([{"kind": "Service"}]), Scope::Namespace),
            ("no targets", json!([]), Scope::Namespace),
            ("no list", json!({"targetRefs": {"kind": "Service"}}), Scope::Namespace),
        ] {
            let spec = if spec.is_array() { json!({"targetRefs": spec}) } else { spec };
            let document = json!({"metadata": {"namespace": "shop"}, "spec": spec});
            assert_eq!(scope(&document), expect, "{row}");
        }
    }
}
