//! What the controller told, and what of it is in force.
//!
//! Documents are read by the same code as files. A document with a mistake changes nothing: its last accepted version stays; if
//! there is none, the workload denies (DESIGN invariant 2).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use policy::{HostName, Protocol, Resources, SourceFile, Workload};
use serde_json::{Value, json};

/// The name of the document that says what the pod is.
const WORKLOAD: &str = "Workload";

/// A document as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceDocument {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// JSON.
    pub bytes: Vec<u8>,
}

/// What is to be put in force.
#[derive(Debug)]
pub struct ClusterState {
    /// Policies and services.
    pub resources: Resources,
    /// The workload as the cluster knows it.
    pub workload: Workload,
    /// What its ports speak.
    pub ports: BTreeMap<u16, Protocol>,
    /// The host of the one service that it is behind, where it is one.
    pub service: Option<Arc<str>>,
    /// What was refused, and why; empty when all is well.
    pub refused: Vec<String>,
}

/// Everything the controller told.
#[derive(Debug)]
pub struct ResourceCache {
    root_namespace: String,
    configured: Workload,
    workload: Option<WorkloadDescription>,
    policies: BTreeMap<String, CachedPolicy>,
    services: BTreeMap<String, CachedService>,
    loaded: bool,
}

/// What the controller said of the workload itself.
#[derive(Debug, Clone)]
struct WorkloadDescription {
    workload: Workload,
    ports: BTreeMap<u16, Protocol>,
    service: Option<Arc<str>>,
}

#[derive(Debug)]
struct CachedPolicy {
    version: String,
    /// The last version without a mistake.
    accepted: Option<Arc<[u8]>>,
    mistakes: Option<String>,
}

#[derive(Debug)]
struct CachedService {
    version: String,
    /// The last version without a mistake, and the host it is about.
    accepted: Option<(Arc<[u8]>, Arc<str>)>,
    mistakes: Option<String>,
}

impl ResourceCache {
    /// Nothing yet. `configured` is the workload until the controller says more.
    #[must_use]
    pub fn new(root_namespace: &str, configured: &Workload) -> Self {
        Self {
            root_namespace: root_namespace.to_owned(),
            configured: configured.clone(),
            workload: None,
            policies: BTreeMap::new(),
            services: BTreeMap::new(),
            loaded: false,
        }
    }

    /// Takes in what was told of the workload itself.
    pub fn take_policies(&mut self, changed: Vec<ResourceDocument>, removed: &[String]) {
        for name in removed {
            self.policies.remove(name);
        }
        for document in changed {
            let checked = match document.name == WORKLOAD {
                true => self.take_workload(&document.bytes),
                false => self.parse(&document.name, &document.bytes).map(drop),
            };
            let before = self.policies.remove(&document.name).and_then(|policy| policy.accepted);
            let (accepted, mistakes) = match checked {
                Ok(()) => (Some(document.bytes.into()), None),
                Err(mistakes) => (before, Some(mistakes)),
            };
            let version = document.version;
            self.policies.insert(document.name, CachedPolicy { version, accepted, mistakes });
        }
        self.loaded = true;
    }

    /// Takes in what was told of destinations.
    pub fn take_services(&mut self, changed: Vec<ResourceDocument>, removed: &[String]) {
        for key in removed {
            self.services.remove(key);
        }
        for document in changed {
            let checked = self.parse(&document.name, &document.bytes).and_then(|resources| {
                let entries = resources.service_entries().iter();
                let host = entries.flat_map(|entry| entry.services()).next();
                host.map(|service| service.host.clone()).ok_or_else(|| "no service".to_owned())
            });
            let before = self.services.remove(&document.name).and_then(|service| service.accepted);
            let (accepted, mistakes) = match checked {
                Ok(host) => (Some((document.bytes.into(), host)), None),
                Err(mistakes) => (before, Some(mistakes)),
            };
            let version = document.version;
            self.services.insert(document.name, CachedService { version, accepted, mistakes });
        }
    }

    /// Gives up destinations.
    pub fn forget_services(&mut self, keys: &[String]) {
        for key in keys {
            self.services.remove(key);
        }
    }

    /// Whether the first set of policies has come.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// The versions of what is held about the workload, to resume with.
    #[must_use]
    pub fn policy_versions(&self) -> HashMap<String, String> {
        let policies = self.policies.iter();
        policies.map(|(name, policy)| (name.clone(), policy.version.clone())).collect()
    }

    /// The versions of what is held about destinations, to resume with.
    #[must_use]
    pub fn service_versions(&self) -> HashMap<String, String> {
        let services = self.services.iter();
        services.map(|(key, service)| (key.clone(), service.version.clone())).collect()
    }

    /// Each destination that means a service, and the service's host.
    #[must_use]
    pub fn destinations(&self) -> Vec<(String, Arc<str>)> {
        let services = self.services.iter();
        let known = |(key, service): (&String, &CachedService)| {
            Some((key.clone(), service.accepted.as_ref()?.1.clone()))
        };
        services.filter_map(known).collect()
    }

    /// What is to be put in force now.
    #[must_use]
    pub fn told(&self) -> ClusterState {
        let described = self.workload.clone();
        let WorkloadDescription { workload, ports, service } =
            described.unwrap_or_else(|| WorkloadDescription {
                workload: self.configured.clone(),
                ports: BTreeMap::new(),
                service: None,
            });
        let mut refused: Vec<String> = Vec::new();
        let policies = self.policies.iter().filter(|(name, _)| *name != WORKLOAD);
        let mut policy_files: Vec<SourceFile> = Vec::new();
        for (name, policy) in policies {
            refused.extend(policy.mistakes.iter().map(|mistakes| format!("{name}: {mistakes}")));
            let bytes = match &policy.accepted {
                Some(bytes) => bytes.to_vec(),
                None => self.denial(name),
            };
            policy_files.push(SourceFile { name: name.clone(), bytes });
        }
        for (key, service) in &self.services {
            refused.extend(service.mistakes.iter().map(|mistakes| format!("{key}: {mistakes}")));
        }
        if self.policies.get(WORKLOAD).is_some_and(|policy| policy.mistakes.is_some()) {
            refused.push("the workload's own description".to_owned());
        }
        let resources = self.join(policy_files, &mut refused);
        ClusterState { resources, workload, ports, service, refused }
    }

    /// Joins policies and services. Services that contradict each other are left out, whatever was wrong with them singly.
    fn join(&self, policies: Vec<SourceFile>, refused: &mut Vec<String>) -> Resources {
        let distinct: BTreeSet<&Arc<[u8]>> = self
            .services
            .values()
            .filter_map(|service| service.accepted.as_ref().map(|(bytes, _)| bytes))
            .collect();
        let mut services: Vec<SourceFile> = distinct
            .into_iter()
            .enumerate()
            .map(|(number, bytes)| SourceFile {
                name: format!("service {number}"),
                bytes: bytes.to_vec(),
            })
            .collect();
        loop {
            let all: Vec<SourceFile> = policies.iter().chain(&services).cloned().collect();
            let mistakes = match Resources::parse(&all, &self.root_namespace) {
                Ok(resources) => return resources,
                Err(mistakes) => mistakes,
            };
            refused.push(mistakes.to_string());
            let named: BTreeSet<&str> = mistakes.iter().map(|mistake| &*mistake.file).collect();
            let before = services.len();
            services.retain(|file| !named.contains(file.name.as_str()));
            if services.len() == before {
                // Policies that were accepted one by one contradict each other: nothing is allowed.
                let denial = [SourceFile { name: "denial".into(), bytes: self.denial("set") }];
                return Resources::parse(&denial, &self.root_namespace)
                    .unwrap_or_else(|_| Resources::empty(&self.root_namespace));
            }
        }
    }

    /// In place of a policy of which no version is good: it refuses everything.
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

    fn parse(&self, name: &str, bytes: &[u8]) -> Result<Resources, String> {
        let file = SourceFile { name: name.to_owned(), bytes: bytes.to_vec() };
        Resources::parse(&[file], &self.root_namespace).map_err(|mistakes| mistakes.to_string())
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
        // A protocol of a later version is one we cannot tell.
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
