//! What an object refers to. Of a route: the Services and gateways it is attached to, and the Services it leads to. Of what
//! is for gateways: what it is about, and the certificates that it names.

use std::collections::BTreeSet;
use std::sync::Arc;

use policy::route::{Backend, BackendKind, ParentKind, ParentRef, Route};
use serde_json::Value;

use super::scope::scope;
use super::{ObjectName, PolicyKind, PolicyName};

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

/// What is open at the edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum EdgeParent {
    Gateway(ObjectName),
    ListenerSet(ObjectName),
}

impl EdgeParent {
    /// That of this name, if it is one.
    pub(super) fn of(name: &PolicyName) -> Option<Self> {
        match name.kind {
            PolicyKind::Gateway => Some(Self::Gateway(name.object.clone())),
            PolicyKind::ListenerSet => Some(Self::ListenerSet(name.object.clone())),
            _ => None,
        }
    }

    /// Its name among all kinds.
    pub(super) fn name(&self) -> PolicyName {
        let (kind, object) = match self {
            Self::Gateway(object) => (PolicyKind::Gateway, object),
            Self::ListenerSet(object) => (PolicyKind::ListenerSet, object),
        };
        PolicyName { kind, object: object.clone() }
    }
}

/// What holds certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CertificateKind {
    Secret,
    ConfigMap,
}

impl CertificateKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// All that an object refers to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct References {
    /// The Services among its parents, in the order in which they are written.
    pub(super) parents: Vec<ParentReference>,
    /// The Services that it leads to.
    pub(super) backends: BTreeSet<ObjectName>,
    /// The Gateways and ListenerSets that it is attached to, or about.
    pub(super) edge: BTreeSet<EdgeParent>,
    /// The Services that a BackendTLSPolicy is about.
    pub(super) targets: BTreeSet<ObjectName>,
    /// The Secrets and ConfigMaps whose certificates it names.
    pub(super) certificates: BTreeSet<(CertificateKind, ObjectName)>,
    /// The Secrets of its namespace that hold what it needs to be in force, each with the keys that it needs of it.
    pub(super) credentials: BTreeSet<(ObjectName, &'static str)>,
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
            edge: parents.clone().filter_map(|parent| edge_parent(parent, namespace)).collect(),
            parents: parents.filter_map(|parent| service(parent, namespace)).collect(),
            backends: backends.filter_map(backend).collect(),
            ..Self::default()
        }
    }

    /// Of what is for gateways, as it is written.
    pub(super) fn of_gateways(name: &PolicyName, document: &Value) -> Self {
        let namespace = &name.object.namespace;
        let edge = match name.kind {
            PolicyKind::ListenerSet => {
                let parent = document.pointer("/spec/parentRef");
                parent.and_then(|parent| edge_parent(parent, namespace)).into_iter().collect()
            }
            PolicyKind::ClientTrafficPolicy
            | PolicyKind::ApiKeyPolicy
            | PolicyKind::ApiSchema
            | PolicyKind::RateLimitPolicy
            | PolicyKind::AbusePolicy
            | PolicyKind::SignIn
            | PolicyKind::ThreatPolicy
            | PolicyKind::TokenIntrospection
            | PolicyKind::TokenExchange => {
                scope(document).edge().iter().filter_map(EdgeParent::of).collect()
            }
            _ => BTreeSet::new(),
        };
        let targets = match name.kind {
            PolicyKind::BackendTLSPolicy => scope(document).services().to_vec(),
            _ => Vec::new(),
        };
        let target = |name| ObjectName { namespace: namespace.clone(), name };
        Self {
            edge,
            targets: targets.into_iter().map(target).collect(),
            certificates: certificates(name.kind, document, namespace),
            credentials: credentials(name.kind, document, namespace),
            ..Self::default()
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

fn text<'a>(reference: &'a Value, key: &str) -> Option<&'a str> {
    reference.get(key).and_then(Value::as_str)
}

/// The object that a reference names, in its own namespace unless it says another one.
fn named(reference: &Value, own: &Arc<str>) -> Option<ObjectName> {
    let namespace = text(reference, "namespace").map_or_else(|| own.clone(), Into::into);
    Some(ObjectName { namespace, name: text(reference, "name")?.into() })
}

/// The items of a list; `*` in the pointer stands for every item of one on the way.
fn items<'a>(document: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let (list, rest) = pointer.split_once("/*").unwrap_or((pointer, ""));
    let found = document.pointer(list).and_then(Value::as_array).into_iter().flatten();
    match rest {
        "" => found.collect(),
        rest => found.flat_map(|item| items(item, rest)).collect(),
    }
}

/// A parent, if it is a Gateway, as it is when no kind is written, or a ListenerSet.
pub(super) fn edge_parent(written: &Value, namespace: &Arc<str>) -> Option<EdgeParent> {
    let (group, ..) = PolicyKind::Gateway.resource();
    if text(written, "group").unwrap_or(group) != group {
        return None;
    }
    let name = named(written, namespace)?;
    match text(written, "kind").unwrap_or("Gateway") {
        "Gateway" => Some(EdgeParent::Gateway(name)),
        "ListenerSet" => Some(EdgeParent::ListenerSet(name)),
        _ => None,
    }
}

/// Where an object of a kind names certificates, and which kind it means where it says none.
fn certificates(
    kind: PolicyKind,
    document: &Value,
    namespace: &Arc<str>,
) -> BTreeSet<(CertificateKind, ObjectName)> {
    use CertificateKind::{ConfigMap, Secret};
    let pointers: &[(&str, CertificateKind)] = match kind {
        PolicyKind::Gateway => &[
            ("/spec/listeners/*/tls/certificateRefs", Secret),
            ("/spec/tls/frontend/default/validation/caCertificateRefs", ConfigMap),
            ("/spec/tls/frontend/perPort/*/tls/validation/caCertificateRefs", ConfigMap),
        ],
        PolicyKind::ListenerSet => &[("/spec/listeners/*/tls/certificateRefs", Secret)],
        PolicyKind::BackendTLSPolicy => &[("/spec/validation/caCertificateRefs", ConfigMap)],
        PolicyKind::ClientTrafficPolicy => &[("/spec/clientCertificates/authorities", ConfigMap)],
        _ => &[],
    };
    let found = pointers.iter().flat_map(|(pointer, default)| {
        items(document, pointer).into_iter().map(|reference| (reference, *default))
    });
    let client = document.pointer("/spec/tls/backend/clientCertificateRef");
    let client = client.filter(|_| kind == PolicyKind::Gateway).map(|found| (found, Secret));
    let certificate = |(reference, default): (&Value, CertificateKind)| {
        let kind = match text(reference, "kind") {
            None => default,
            Some("Secret") => Secret,
            Some("ConfigMap") => ConfigMap,
            Some(_) => return None,
        };
        let is_core = matches!(text(reference, "group"), None | Some("" | "core"));
        is_core.then(|| named(reference, namespace)).flatten().map(|object| (kind, object))
    };
    found.chain(client).filter_map(certificate).collect()
}

/// The Secrets that hold what a policy needs to be in force, each with the keys that the reference is about: nothing else of
/// it is told to whom the policy selects. They are of its own namespace, whatever is written.
fn credentials(
    kind: PolicyKind,
    document: &Value,
    namespace: &Arc<str>,
) -> BTreeSet<(ObjectName, &'static str)> {
    let client = ("/spec/clientSecretRef", client_keys(document));
    let pointers: &[(&str, &[&'static str])] = match kind {
        PolicyKind::SignIn => &[client, ("/spec/session/keysSecretRef", &["current", "previous"])],
        PolicyKind::TokenIntrospection | PolicyKind::ClientCredentials => &[client],
        _ => &[],
    };
    let named = pointers.iter().filter_map(|(pointer, keys)| {
        let name = text(document.pointer(pointer)?, "name")?;
        Some((ObjectName { namespace: namespace.clone(), name: name.into() }, *keys))
    });
    named.flat_map(|(object, keys)| keys.iter().map(move |key| (object.clone(), *key))).collect()
}

/// The key by which a client proves itself, as it is written.
fn client_keys(document: &Value) -> &'static [&'static str] {
    match document.pointer("/spec/clientAuth").and_then(Value::as_str) {
        Some("private_key_jwt") => &["private-key"],
        _ => &["client-secret"],
    }
}

/// A parent, if it is a Service. One of another kind is somebody else's, and stays unanswered.
fn service(written: &Value, namespace: &Arc<str>) -> Option<ParentReference> {
    if !matches!(text(written, "group"), Some("" | "core"))
        || text(written, "kind") != Some("Service")
    {
        return None;
    }
    let port = written.get("port").and_then(Value::as_u64);
    Some(ParentReference {
        written: written.clone(),
        service: named(written, namespace)?,
        port: port.and_then(|port| u16::try_from(port).ok()),
        section: text(written, "sectionName").map(Into::into),
    })
}

fn backend(backend: &Backend) -> Option<ObjectName> {
    let Backend { kind, namespace, name, .. } = backend;
    let is_service = *kind == BackendKind::Service;
    is_service.then(|| ObjectName { namespace: namespace.clone(), name: name.clone() })
}
