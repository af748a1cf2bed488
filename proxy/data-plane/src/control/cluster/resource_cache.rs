//! What the controller has sent, and what of it is in force.
//!
//! Policies are documents, read by the same code as files; so are routes ([`super::traffic_cache`]). Services are messages
//! ([`super::service_cache`]). An invalid
//! policy changes nothing: its last accepted version stays; if there is none, the workload denies (ARCHITECTURE,
//! invariant 2).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use identity::TrustDomain;
use policy::{HostName, Protocol, ReadFile, Resources, SourceFile, Workload};
use serde_json::{Value, json};

use super::gateway_cache::GatewayCache;
use super::service_cache::ServiceCache;
use super::traffic_cache::TrafficCache;

/// The name of the document that describes the pod.
const WORKLOAD: &str = "Workload";

/// A resource as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceDocument {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The JSON text of a policy, or the message of a service.
    pub bytes: Vec<u8>,
}

/// All received resources that authorize; those about destinations are kept beside them ([`ServiceCache`],
/// [`TrafficCache`]).
#[derive(Debug)]
pub struct ClusterState {
    /// The policies.
    pub resources: Resources,
    /// The workload as the cluster knows it.
    pub workload: Workload,
    /// The protocols of its ports.
    pub ports: BTreeMap<u16, Protocol>,
    /// The host of the one service that selects it, where exactly one does.
    pub service: Option<Arc<str>>,
}

/// Everything the controller has sent.
#[derive(Debug)]
pub struct ResourceCache {
    root_namespace: String,
    configured: Workload,
    workload: Option<WorkloadDescription>,
    policies: BTreeMap<String, CachedPolicy>,
    /// The resources that describe destinations.
    pub services: ServiceCache,
    /// The resources that say how destinations are called.
    pub traffic: TrafficCache,
    /// What is served at the edge; `None` in a sidecar.
    pub gateway: Option<GatewayCache>,
    refused_policies: Vec<String>,
    loaded: bool,
}

/// The resources that describe the workload itself.
#[derive(Debug, Clone)]
struct WorkloadDescription {
    workload: Workload,
    ports: BTreeMap<u16, Protocol>,
    service: Option<Arc<str>>,
}

#[derive(Debug)]
struct CachedPolicy {
    version: String,
    /// The last version without an error: a change of another policy does not read it again.
    accepted: Option<AcceptedPolicy>,
    diagnostics: Option<String>,
}

#[derive(Debug)]
struct AcceptedPolicy {
    bytes: Vec<u8>,
    /// `None` of the workload's description, which is no policy.
    read: Option<ReadFile>,
}

impl ResourceCache {
    /// An empty cache. `configured` is the workload until the controller sends more.
    #[must_use]
    pub fn new(root_namespace: &str, configured: &Workload, trust_domain: &TrustDomain) -> Self {
        Self {
            root_namespace: root_namespace.to_owned(),
            configured: configured.clone(),
            workload: None,
            policies: BTreeMap::new(),
            services: ServiceCache::new(root_namespace, configured, trust_domain),
            traffic: TrafficCache::new(root_namespace),
            gateway: None,
            refused_policies: Vec::new(),
            loaded: false,
        }
    }

    /// The same of a gateway.
    #[must_use]
    pub fn at_the_edge(mut self) -> Self {
        self.gateway = Some(GatewayCache::new(&self.root_namespace));
        self
    }

    /// Whether there was an update of how destinations are called, or of what is served at the edge, since
    /// [`Self::take_changed_calls`].
    #[must_use]
    pub fn calls_have_changed(&self) -> bool {
        self.traffic.has_changed() || self.gateway.as_ref().is_some_and(GatewayCache::has_changed)
    }

    /// All that is to be in force of both, as one set, if there was an update since this was last asked.
    pub fn take_changed_calls(&mut self) -> Option<Resources> {
        let at_the_edge = self.gateway.as_mut().is_some_and(GatewayCache::take_changed);
        let changed = self.traffic.take_changed() | at_the_edge;
        changed.then(|| {
            let traffic = self.traffic.resources();
            let parts = [Some(&traffic), self.gateway.as_ref().map(GatewayCache::resources)];
            Resources::carrying(parts.into_iter().flatten(), &self.root_namespace)
        })
    }

    /// Applies an update about the workload itself.
    pub fn take_policies(&mut self, changed: Vec<ResourceDocument>, removed: &[String]) {
        for name in removed {
            self.policies.remove(name);
        }
        for document in changed {
            let checked = match document.name == WORKLOAD {
                true => self.take_workload(&document.bytes).map(|()| None),
                false => self.parse(&document.name, &document.bytes).map(Some),
            };
            let before = self.policies.remove(&document.name).and_then(|policy| policy.accepted);
            let (accepted, diagnostics) = match checked {
                Ok(read) => (Some(AcceptedPolicy { bytes: document.bytes, read }), None),
                Err(diagnostics) => (before, Some(diagnostics)),
            };
            let version = document.version;
            self.policies.insert(document.name, CachedPolicy { version, accepted, diagnostics });
        }
        self.loaded = true;
    }

    /// Whether the first set of policies has come.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// The versions of the resources about the workload, to resume with.
    #[must_use]
    pub fn policy_versions(&self) -> HashMap<String, String> {
        let policies = self.policies.iter();
        policies.map(|(name, policy)| (name.clone(), policy.version.clone())).collect()
    }

    /// The resources that are to be put in force for authorization; [`Self::refused`] lists those that were rejected.
    pub fn cluster_state(&mut self) -> ClusterState {
        let described = self.workload.clone();
        let WorkloadDescription { workload, ports, service } =
            described.unwrap_or_else(|| WorkloadDescription {
                workload: self.configured.clone(),
                ports: BTreeMap::new(),
                service: None,
            });
        let policies = || self.policies.iter().filter(|(name, _)| *name != WORKLOAD);
        let diagnosed = policies().filter_map(|(name, policy)| {
            policy.diagnostics.as_ref().map(|diagnostics| format!("{name}: {diagnostics}"))
        });
        let mut refused: Vec<String> = diagnosed.collect();
        if self.policies.get(WORKLOAD).is_some_and(|policy| policy.diagnostics.is_some()) {
            refused.push("the workload's own description".to_owned());
        }
        let resources = self.join(&mut refused);
        self.refused_policies = refused;
        ClusterState { resources, workload, ports, service }
    }

    /// What was rejected, and why; empty when there is nothing.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        let policies = self.refused_policies.iter().cloned();
        let gateway = self.gateway.iter().flat_map(GatewayCache::refused);
        policies
            .chain(self.services.refused())
            .chain(self.traffic.refused())
            .chain(gateway)
            .collect()
    }

    /// Joins policies. Where those that were accepted one by one contradict each other, nothing is allowed.
    fn join(&self, refused: &mut Vec<String>) -> Resources {
        let read = self.policies.values().filter_map(|policy| policy.accepted.as_ref());
        let read = read.filter_map(|accepted| accepted.read.as_ref());
        let denials: Vec<_> = self.denied().map(|name| self.denial_of(name)).collect();
        if let Some(denials) = denials.into_iter().collect::<Option<Vec<_>>>()
            && let Some(joined) = Resources::join(read.chain(&denials), &self.root_namespace)
        {
            return joined;
        }
        let diagnostics = match Resources::parse(&self.files(), &self.root_namespace) {
            Ok(resources) => return resources,
            Err(diagnostics) => diagnostics,
        };
        refused.push(diagnostics.to_string());
        let denial = [SourceFile { name: "denial".into(), bytes: self.denial("set") }];
        Resources::parse(&denial, &self.root_namespace)
            .unwrap_or_else(|_| Resources::empty(&self.root_namespace))
    }

    /// The policies that were never without a mistake.
    fn denied(&self) -> impl Iterator<Item = &String> {
        let policies = self.policies.iter().filter(|(name, _)| *name != WORKLOAD);
        policies.filter(|(_, policy)| policy.accepted.is_none()).map(|(name, _)| name)
    }

    /// What is to be in force, as files.
    fn files(&self) -> Vec<SourceFile> {
        let policies = self.policies.iter().filter(|(name, _)| *name != WORKLOAD);
        let files = policies.map(|(name, policy)| {
            let accepted = policy.accepted.as_ref().map(|accepted| accepted.bytes.clone());
            let bytes = accepted.unwrap_or_else(|| self.denial(name));
            SourceFile { name: name.clone(), bytes }
        });
        files.collect()
    }

    fn denial_of(&self, name: &str) -> Option<ReadFile> {
        let file = SourceFile { name: name.to_owned(), bytes: self.denial(name) };
        ReadFile::read(&file, &self.root_namespace)
    }

    /// Stands for a policy that has no valid version: it denies everything.
    fn denial(&self, name: &str) -> Vec<u8> {
        let readable: String = name
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(200)
            .collect();
        let policy = json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {
                "name": format!("refused-{}", readable.trim_matches('-')),
                "namespace": self.configured.namespace,
            },
            "spec": {"action": "DENY", "rules": [{}]},
        });
        policy.to_string().into_bytes()
    }

    /// Reads a policy by itself.
    fn parse(&self, name: &str, bytes: &[u8]) -> Result<ReadFile, String> {
        let file = SourceFile { name: name.to_owned(), bytes: bytes.to_vec() };
        let read = ReadFile::read(&file, &self.root_namespace)
            .filter(|read| Resources::join([read], &self.root_namespace).is_some());
        read.ok_or_else(|| match Resources::parse(&[file], &self.root_namespace) {
            Ok(_) => "it cannot be read by itself".to_owned(),
            Err(diagnostics) => diagnostics.to_string(),
        })
    }

    /// Namespace and service account stay those of the configuration, which the certificate proves.
    fn take_workload(&mut self, bytes: &[u8]) -> Result<(), String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let texts = |pointer: &str| {
            let fields = value.pointer(pointer).and_then(Value::as_object);
            let fields = fields.ok_or_else(|| format!("no {pointer}"))?;
            let text = |(key, value): (&String, &Value)| {
                let value = value.as_str().ok_or_else(|| format!("{pointer}/{key} is no text"))?;
                Ok::<_, String>((key.clone(), value.to_owned()))
            };
            fields.iter().map(text).collect::<Result<BTreeMap<_, _>, _>>()
        };
        let labels = texts("/spec/labels")?;
        // A protocol of a later version counts as undeclared.
        let ports = texts("/spec/ports")?
            .into_iter()
            .filter_map(|(port, protocol)| Some((port.parse().ok()?, Protocol::parse(&protocol)?)));
        let workload = Workload { labels, ..self.configured.clone() };
        let service = value.pointer("/spec/service").and_then(Value::as_str);
        let service = service.and_then(|host| HostName::parse(host, None).ok());
        let service = service.map(|host| host.name().into());
        self.workload = Some(WorkloadDescription { workload, ports: ports.collect(), service });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
