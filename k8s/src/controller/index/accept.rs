//! Whether a policy is without a mistake.
//!
//! The reader is the proxies' own (`policy::Resources`), so that both sides say the same of a document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use policy::gateway::{Gateway, ListenerSet};
use policy::route::{ReferenceGrant, Route};
use policy::service::EndpointAddress;
use policy::{Diagnostics, Resources, SourceFile};
use serde_json::{Value, json};

use super::references::References;
use super::scope::{Scope, scope};
use super::{IndexSettings, KindRole, ObjectName, PolicyName, ResourceDocument, message};

/// What a ServiceEntry answers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EntryFacts {
    pub(super) hosts: BTreeSet<Arc<str>>,
    pub(super) blocks: Vec<IpNet>,
    pub(super) ports: BTreeSet<u16>,
    /// Endpoint addresses and ports.
    pub(super) endpoints: BTreeSet<(std::net::IpAddr, u16)>,
    /// What proxies are told of it.
    pub(super) document: Option<Arc<ResourceDocument>>,
}

/// What was made of an object that is without a mistake.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Of a ServiceEntry.
    pub(super) entry: EntryFacts,
    /// Of a route.
    pub(super) route: Option<Arc<Route>>,
    /// Of a ReferenceGrant.
    pub(super) grant: Option<ReferenceGrant>,
    /// Of a Gateway.
    pub(super) gateway: Option<Gateway>,
    /// Of a TokenRevocation: how many entries it has.
    pub(super) revocations: usize,
    /// Of a ListenerSet.
    pub(super) listener_set: Option<ListenerSet>,
}

impl EntryFacts {
    /// Each port of each host.
    pub(super) fn claims(&self) -> Vec<(Arc<str>, u16)> {
        let of = |host: &Arc<str>| {
            let host = host.clone();
            self.ports.iter().map(move |port| (host.clone(), *port))
        };
        self.hosts.iter().flat_map(of).collect()
    }
}

/// Reads a policy as a proxy will.
///
/// # Errors
/// Every mistake, as one text.
pub(super) fn check(
    name: &PolicyName,
    document: &Value,
    settings: &IndexSettings,
) -> Result<Reading, String> {
    let is_ours = || settings.gateways || References::is_of_services(name, document);
    if name.kind.role() == KindRole::Route && !is_ours() {
        // A gateway's, which may understand what we do not.
        return Ok(Reading::default());
    }
    let mut files =
        vec![SourceFile { name: name.to_string(), bytes: document.to_string().into_bytes() }];
    // Which workloads are behind a Service is known here from the cluster; the reader asks for a ServiceEntry.
    let of_servers = name.kind.role().is_of_servers();
    let scope = of_servers.then(|| scope(document));
    let stand_ins: BTreeSet<_> = scope.iter().flat_map(Scope::services).collect();
    files.extend(stand_ins.into_iter().map(|target| SourceFile {
        name: format!("Service {}/{target}", name.object.namespace),
        bytes: stand_in(&name.object, target).to_string().into_bytes(),
    }));
    let own = std::slice::from_ref(&settings.trust_domain);
    let resources = Resources::parse(&files, &settings.root_namespace)
        .and_then(|read| read.without_impersonations(own))
        .map_err(|error| told(&error))?;
    let reading = Reading {
        // What stands in for a Service is none.
        entry: match name.kind.role() {
            KindRole::Destination => facts(&resources),
            _ => EntryFacts::default(),
        },
        route: resources.routes().first().cloned(),
        grant: resources.reference_grants().first().cloned(),
        gateway: resources.gateways().first().cloned(),
        revocations: resources.token_revocations().iter().map(|list| list.entries().len()).sum(),
        listener_set: resources.listener_sets().first().cloned(),
    };
    let mut hosts = reading.entry.hosts.iter();
    match hosts.find_map(|host| foreign_host(&name.object.namespace, host, settings)) {
        Some(mistake) => Err(mistake),
        None => Ok(reading),
    }
}

fn facts(resources: &Resources) -> EntryFacts {
    let mut facts = EntryFacts::default();
    for entry in resources.service_entries() {
        facts.blocks.extend(entry.addresses());
        facts.document = Some(Arc::new(ResourceDocument::of_service(&message::of_entry(entry))));
        for service in entry.services() {
            facts.hosts.insert(service.host.clone());
            facts.ports.extend(service.ports.iter().map(|port| port.number));
            for endpoint in &service.endpoints {
                let EndpointAddress::Ip(ip) = endpoint.address else { continue };
                let ports = service.ports.iter();
                let numbers = ports.map(|port| service.endpoint_port(endpoint, port));
                facts.endpoints.extend(numbers.map(|number| (ip, number)));
            }
        }
    }
    facts
}

/// A host under another namespace's service name (ARCHITECTURE, invariant 12), in the cluster's own domain: the reader,
/// which reads files as well, knows `cluster.local` alone.
fn foreign_host(namespace: &str, host: &str, settings: &IndexSettings) -> Option<String> {
    let name = host.strip_suffix(&*settings.cluster_domain)?.strip_suffix(".svc.")?;
    let owner = name.rsplit('.').next().unwrap_or(name);
    let root = &*settings.root_namespace;
    (owner != namespace && namespace != root).then(|| {
        format!("found the host {host} in namespace {namespace}; expected hosts of namespace {namespace}, or outside the cluster; define it in namespace {owner}, or in the root namespace {root}")
    })
}

/// A ServiceEntry for a Service that a policy targets.
fn stand_in(policy: &ObjectName, service: &str) -> Value {
    let namespace = &*policy.namespace;
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "behind-the-service", "namespace": namespace},
        "spec": {
            "hosts": [format!("{service}.{namespace}.svc.cluster.local")],
            "ports": [{"number": 1, "name": "any"}],
            "resolution": "STATIC",
            "endpoints": [{"address": "192.0.2.1", "serviceAccount": "any"}],
        },
    })
}

/// Places in a document of one line help nobody; what was found, what is expected and what to write do.
fn told(mistakes: &Diagnostics) -> String {
    let told = mistakes.iter().map(|mistake| {
        let fix = mistake.fix.as_ref().map(|fix| format!("; {fix}")).unwrap_or_default();
        format!("found {}; expected {}{fix}", mistake.found, mistake.expected)
    });
    told.collect::<Vec<_>>().join(" | ")
}

/// The document without the Services that it targets: a gateway's proxy is behind none of them.
pub(super) fn at_the_edge(document: &Value) -> Value {
    let mut document = document.clone();
    let refs = document.pointer_mut("/spec/targetRefs").and_then(Value::as_array_mut);
    if let Some(refs) = refs {
        refs.retain(|target| target.get("kind").is_some_and(|kind| kind != "Service"));
    }
    document
}

/// The document with the labels of the Service's pods in place of its `targetRefs`.
pub(super) fn with_selector(document: &Value, labels: &BTreeMap<String, String>) -> Value {
    let mut document = document.clone();
    if let Some(spec) = document.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("targetRefs");
        spec.insert("selector".to_owned(), json!({"matchLabels": labels}));
    }
    document
}
