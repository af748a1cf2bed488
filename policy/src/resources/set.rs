//! A set of files while it is read: document by document, and what must hold between them.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    Resources, ServiceEntry, SourceFile, abuse_policy, api_key_policy, api_schema, authorization,
    backend_tls_policy, client_credentials, client_traffic, config_map, destination_rule,
    fault_injection, gateway, gateway_class, list, listener_set, namespace, object,
    peer_authentication, rate_limit_policy, reference_grant, request_authentication, route, secret,
    service_entry, sign_in, threat_policy, token_exchange, token_introspection, token_policy,
    token_revocation, topic_policy,
};
use crate::Diagnostic;
use crate::resources::kind::{self, ResourceKind};
use crate::yaml::{self, DiagnosticCode, SourcePosition, YamlReader, YamlValue};

/// How files are read.
#[derive(Debug, Clone, Copy)]
pub struct ReadOptions<'a> {
    /// The namespace whose resources act on the whole mesh.
    pub root_namespace: &'a str,
    /// The namespace of objects that name none. An object that names another is then a diagnostic, as it is for
    /// `kubectl apply --namespace`. Default: every object names its own.
    pub namespace: Option<&'a str>,
    /// Whether older versions of Istio's groups are taken (`security.istio.io/v1beta1`, `networking.istio.io/v1beta1`
    /// and `v1alpha3`), whose fields are the same. Default: no.
    pub from_istio: bool,
}

impl<'a> ReadOptions<'a> {
    /// As a proxy reads its files.
    pub fn strict(root_namespace: &'a str) -> Self {
        Self { root_namespace, namespace: None, from_istio: false }
    }
}

/// What is in a set of files, diagnostics or not.
#[derive(Debug)]
pub struct ResourceSurvey {
    /// What could be read. With diagnostics in the set it is not to be put in force.
    pub resources: Resources,
    /// Every object, in the order of files.
    pub objects: Vec<SurveyedObject>,
    /// Every diagnostic.
    pub diagnostics: Vec<Diagnostic>,
}

/// An object as it was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyedObject {
    /// Its `kind`, as it stands there.
    pub kind: String,
    /// Its `apiVersion`, as it stands there.
    pub api_version: String,
    /// What diagnostics call it: `kind namespace/name`.
    pub name: Arc<str>,
    /// The file.
    pub file: Arc<str>,
    /// Where it begins.
    pub mark: SourcePosition,
    /// Its namespace: the one it names, or the one that was given to those that name none.
    pub namespace: Option<String>,
    /// Whether its namespace is the given one.
    pub namespace_given: bool,
    /// Whether its head could be read: it is of a kind that is read here, with a name and a namespace.
    pub is_read: bool,
    /// The apiVersion it was read as, where it was written in an older one.
    pub newer: Option<String>,
}

impl SurveyedObject {
    /// Whether it is written in an older version of a kind that is read here, which [`ReadOptions::from_istio`] takes.
    pub fn is_older(&self) -> bool {
        kind::is_older(&self.api_version, &self.kind)
    }
}

/// Reads and checks every file, and tells of every object.
pub fn survey(files: &[SourceFile], reading: &ReadOptions<'_>) -> ResourceSurvey {
    let mut set = ResourceSet::new(*reading);
    let mut diagnostics = Vec::new();
    for file in files {
        set.read_file(file, &mut diagnostics);
    }
    let ResourceSet { mut resources, objects, .. } = set;
    diagnostics.extend(between(&resources));
    resources.sort();
    ResourceSurvey { resources, objects, diagnostics }
}

/// What is wrong between objects, each of which is well formed.
pub(super) fn between(resources: &Resources) -> Vec<Diagnostic> {
    let policies = resources.authorization.iter().flat_map(|policy| policy.unresolved(resources));
    let tokens = resources.request_authentication.iter();
    let tokens = tokens.flat_map(|object| object.unresolved(resources));
    let limits = resources.rate_limit_policies.iter();
    let limits = limits.flat_map(|policy| policy.unresolved(resources));
    let rules = resources.destination_rules.iter();
    let rules = rules.filter_map(|rule| rule.misplaced_tls(resources));
    let revoked = token_revocation::too_many(resources);
    policies.chain(tokens).chain(limits).chain(rules).chain(revoked).collect()
}

/// A set while it is read: what was seen, and where, to find what is there twice.
pub(super) struct ResourceSet<'r> {
    reading: ReadOptions<'r>,
    pub(super) resources: Resources,
    objects: Vec<SurveyedObject>,
    pub(super) seen: HashMap<(ResourceKind, String), SourceLocation>,
    pub(super) ports: HashMap<PortKey, SourceLocation>,
}

/// Namespace, host and port of a ServiceEntry.
pub(super) type PortKey = (Arc<str>, Arc<str>, u16);
/// A file and a place in it.
type SourceLocation = (Arc<str>, SourcePosition);

impl<'r> ResourceSet<'r> {
    /// With nothing in it.
    pub(super) fn new(reading: ReadOptions<'r>) -> Self {
        Self {
            reading,
            resources: Resources::empty(reading.root_namespace),
            objects: Vec::new(),
            seen: HashMap::new(),
            ports: HashMap::new(),
        }
    }
}

impl ResourceSet<'_> {
    pub(super) fn read_file(&mut self, file: &SourceFile, diagnostics: &mut Vec<Diagnostic>) {
        let name: Arc<str> = file.name.as_str().into();
        if file.bytes.is_empty() {
            let fix = "write the file whole, or a comment for an empty set".to_owned();
            diagnostics.push(Diagnostic::new(
                &name,
                SourcePosition::FILE,
                "a file of 0 bytes",
                "YAML documents",
                Some(fix),
            ));
            return;
        }
        let documents = yaml::read(&name, &file.bytes, diagnostics);
        let mut reader = YamlReader::new(name);
        for document in &documents {
            let Some(root) = &document.root else { continue };
            let root = YamlValue { node: root, name: "" };
            match list::items(&mut reader, root) {
                None => self.read_document(&mut reader, root),
                Some(items) => {
                    items.into_iter().for_each(|item| self.read_document(&mut reader, item))
                }
            }
        }
        diagnostics.extend(reader.into_diagnostics());
    }

    /// Reads one object, and says of its diagnostics whose they are.
    fn read_document(&mut self, reader: &mut YamlReader, root: YamlValue<'_>) {
        let before = reader.diagnostic_count();
        let at = self.objects.len();
        let met = object::survey_object(reader.file(), root, self.reading.namespace);
        let name = Arc::clone(&met.name);
        self.objects.push(met);
        self.read_object(reader, root, at);
        reader.within(&name, before);
    }

    fn read_object(
        &mut self,
        reader: &mut YamlReader,
        root: YamlValue<'_>,
        at: usize,
    ) -> Option<()> {
        let object = object::read(reader, root, &self.reading)?;
        self.objects[at].is_read = true;
        self.objects[at].newer = object.older.then(|| object.kind.api_version());
        self.refuse_second(reader, &object);
        let root_namespace = self.reading.root_namespace;
        match object.kind {
            ResourceKind::AuthorizationPolicy => {
                let policy = authorization::read(reader, &object)?;
                self.resources.authorization.push(Arc::new(policy));
            }
            ResourceKind::PeerAuthentication => {
                let read = peer_authentication::read(reader, &object, root_namespace)?;
                self.resources.peer_authentication.push(read);
            }
            ResourceKind::RequestAuthentication => {
                let read = request_authentication::read(reader, &object)?;
                self.resources.request_authentication.push(read);
            }
            ResourceKind::TokenExchange => {
                let read = token_exchange::read(reader, &object)?;
                self.resources.token_exchanges.push(read);
            }
            ResourceKind::TokenPolicy => {
                let read = token_policy::read(reader, &object)?;
                self.resources.token_policies.push(read);
            }
            ResourceKind::TokenIntrospection => {
                let read = token_introspection::read(reader, &object)?;
                self.resources.token_introspections.push(read);
            }
            ResourceKind::TokenRevocation => {
                let read = token_revocation::read(reader, &object)?;
                self.resources.token_revocations.push(read);
            }
            ResourceKind::TopicPolicy => {
                let read = topic_policy::read(reader, &object)?;
                self.resources.topic_policies.push(read);
            }
            ResourceKind::DestinationRule => {
                let read = destination_rule::read(reader, &object)?;
                self.resources.destination_rules.push(read);
            }
            ResourceKind::FaultInjection => {
                let read = fault_injection::read(reader, &object)?;
                self.resources.fault_injections.push(read);
            }
            ResourceKind::ApiKeyPolicy => {
                let read = api_key_policy::read(reader, &object)?;
                self.resources.api_key_policies.push(read);
            }
            ResourceKind::ApiSchema => {
                let read = api_schema::read(reader, &object)?;
                self.resources.api_schemas.push(read);
            }
            ResourceKind::ClientCredentials => {
                let read = client_credentials::read(reader, &object)?;
                self.resources.client_credentials.push(read);
            }
            ResourceKind::ClientTrafficPolicy => {
                let read = client_traffic::read(reader, &object)?;
                self.resources.client_traffic.push(read);
            }
            ResourceKind::AbusePolicy => {
                let read = abuse_policy::read(reader, &object)?;
                self.resources.abuse_policies.push(read);
            }
            ResourceKind::RateLimitPolicy => {
                let read = rate_limit_policy::read(reader, &object)?;
                self.resources.rate_limit_policies.push(read);
            }
            ResourceKind::SignIn => {
                let read = sign_in::read(reader, &object)?;
                self.resources.sign_ins.push(read);
            }
            ResourceKind::ThreatPolicy => {
                let read = threat_policy::read(reader, &object)?;
                self.resources.threat_policies.push(read);
            }
            ResourceKind::ServiceEntry => {
                let entry = service_entry::read(reader, &object, root_namespace)?;
                self.refuse_second_port(reader, &object, &entry);
                self.resources.service_entries.push(entry);
            }
            ResourceKind::ReferenceGrant => {
                let grant = reference_grant::read(reader, &object)?;
                self.resources.reference_grants.push(grant);
            }
            ResourceKind::Gateway => {
                let read = gateway::read(reader, &object)?;
                self.resources.gateways.push(read);
            }
            ResourceKind::GatewayClass => {
                let read = gateway_class::read(reader, &object)?;
                self.resources.gateway_classes.push(read);
            }
            ResourceKind::ListenerSet => {
                let read = listener_set::read(reader, &object)?;
                self.resources.listener_sets.push(read);
            }
            ResourceKind::BackendTlsPolicy => {
                let read = backend_tls_policy::read(reader, &object)?;
                self.resources.backend_tls_policies.push(read);
            }
            ResourceKind::Secret => {
                let read = secret::read(reader, &object)?;
                self.resources.secrets.push(read);
            }
            ResourceKind::ConfigMap => {
                let read = config_map::read(reader, &object)?;
                self.resources.config_maps.push(read);
            }
            ResourceKind::Namespace => {
                self.resources.namespaces.push(namespace::read(object));
            }
            ResourceKind::HttpRoute
            | ResourceKind::GrpcRoute
            | ResourceKind::TlsRoute
            | ResourceKind::TcpRoute => {
                let kind = route::route_kind(object.kind)?;
                let read = route::read(reader, &object, kind)?;
                self.resources.routes.push(Arc::new(read));
            }
        }
        Some(())
    }

    /// Two objects of one kind and name: which of them holds must not depend on the order of files.
    fn refuse_second(&mut self, reader: &mut YamlReader, object: &object::ResourceObject<'_>) {
        let key = (object.kind, object.full_name());
        match self.seen.get(&key) {
            Some((file, mark)) => {
                let found = format!("{} {} again", object.kind.as_str(), key.1);
                let fix = format!(
                    "it stands already at {file}:{}:{}; rename or remove one",
                    mark.line, mark.column
                );
                let expected = "each object once";
                reader.report_with_code(
                    DiagnosticCode::Repeated,
                    object.mark,
                    found,
                    expected,
                    Some(fix),
                );
            }
            None => {
                self.seen.insert(key, (Arc::clone(reader.file()), object.mark));
            }
        }
    }

    /// Two ServiceEntries of one namespace that say different things about one host and port.
    fn refuse_second_port(
        &mut self,
        reader: &mut YamlReader,
        object: &object::ResourceObject<'_>,
        entry: &ServiceEntry,
    ) {
        for service in entry.services() {
            for port in &service.ports {
                let key = (Arc::clone(&service.namespace), Arc::clone(&service.host), port.number);
                if let Some((file, mark)) = self.ports.get(&key) {
                    let found = format!("port {} of {} again", port.number, service.host);
                    let fix = format!(
                        "it stands already at {file}:{}:{}; remove one",
                        mark.line, mark.column
                    );
                    let expected = "each host and port once in a namespace";
                    reader.report_with_code(
                        DiagnosticCode::Repeated,
                        object.mark,
                        found,
                        expected,
                        Some(fix),
                    );
                } else {
                    self.ports.insert(key, (Arc::clone(reader.file()), object.mark));
                }
            }
        }
    }
}
