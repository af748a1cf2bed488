//! What a route refers to: the Services it is attached to, and those it leads to.

use std::collections::BTreeSet;
use std::sync::Arc;

use policy::route::{Backend, BackendKind, ParentKind, ParentRef, Route};
use serde_json::Value;

use super::{ObjectName, PolicyName};

/// A Service that a route is attached to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ParentReference {
    /// The reference as it is written, for the status.
    pub(super) written: Value,
    pub(super) service: ObjectName,
    /// One of its ports; without it, every port.
    pub(super) port: Option<u16>,
    /// The name of one of its ports.
    pub(super) section: Option<Arc<str>>,
}

impl ParentReference {
    /// As the policy crate has it.
    pub(super) fn parent_ref(&self) -> ParentRef {
        ParentRef {
            kind: ParentKind::Service,
            namespace: self.service.namespace.clone(),
            name: self.service.name.clone(),
            port: self.port,
            section: self.section.clone(),
        }
    }
}

/// All that a route refers to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct References {
    /// The Services among its parents, in the order in which they are written.
    pub(super) parents: Vec<ParentReference>,
    /// The Services that it leads to.
    pub(super) backends: BTreeSet<ObjectName>,
}

impl References {
    /// Of a route as it is written, and as it was read. Its parents are found without the reader: a route with mistakes
    /// is answered at each of them.
    pub(super) fn of(name: &PolicyName, document: &Value, route: Option<&Route>) -> Self {
        let namespace = &name.object.namespace;
        let parents = document.pointer("/spec/parentRefs").and_then(Value::as_array);
        let parents = parents.into_iter().flatten();
        let rules = route.into_iter().flat_map(|route| &route.rules);
        let backends = rules.flat_map(|definition| {
            let mirrors = definition.rule.mirrors.iter().map(|mirror| &mirror.backend);
            definition.rule.backends.iter().chain(mirrors)
        });
        Self {
            parents: parents.filter_map(|parent| service(parent, namespace)).collect(),
            backends: backends.filter_map(backend).collect(),
        }
    }

    /// Whether a route has a Service among its parents.
    pub(super) fn is_of_services(name: &PolicyName, document: &Value) -> bool {
        !Self::of(name, document, None).parents.is_empty()
    }

    /// The Services it is attached to, each once.
    pub(super) fn services(&self) -> BTreeSet<&ObjectName> {
        self.parents.iter().map(|parent| &parent.service).collect()
    }

    /// The parents that are one Service, or ports of it.
    pub(super) fn parents_at<'a>(
        &'a self,
        service: &'a ObjectName,
    ) -> impl Iterator<Item = &'a ParentReference> {
        self.parents.iter().filter(move |parent| parent.service == *service)
    }

    /// The Services of other namespaces that it leads to.
    pub(super) fn crossing<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a ObjectName> {
        self.backends.iter().filter(move |service| *service.namespace != *namespace)
    }
}

/// A parent, if it is a Service. One of another kind is somebody else's, and stays unanswered.
fn service(written: &Value, namespace: &Arc<str>) -> Option<ParentReference> {
    let text = |key: &str| written.get(key).and_then(Value::as_str);
    if !matches!(text("group"), Some("" | "core")) || text("kind") != Some("Service") {
        return None;
    }
    let namespace = text("namespace").map_or_else(|| namespace.clone(), Into::into);
    let port = written.get("port").and_then(Value::as_u64);
    Some(ParentReference {
        written: written.clone(),
        service: ObjectName { namespace, name: text("name")?.into() },
        port: port.and_then(|port| u16::try_from(port).ok()),
        section: text("sectionName").map(Into::into),
    })
}

fn backend(backend: &Backend) -> Option<ObjectName> {
    let Backend { kind, namespace, name, .. } = backend;
    let is_service = *kind == BackendKind::Service;
    is_service.then(|| ObjectName { namespace: namespace.clone(), name: name.clone() })
}
