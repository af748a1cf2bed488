//! What people write: Kubernetes YAML documents, read strictly.
//!
//! The language is the one people know (`security.istio.io`, `networking.istio.io`), under a strict profile: an unknown
//! field, kind or wildcard form is a mistake, and a set with any mistake is refused whole, so that a misspelt rule
//! never widens access.

mod abuse_policy;
mod api_key_policy;
mod api_schema;
mod authorization;
mod backend_tls_policy;
mod client_credentials;
mod client_traffic;
mod condition;
mod config_map;
mod destination_rule;
mod fault_injection;
mod file;
mod gateway;
mod gateway_class;
mod inline_keys;
mod jwt_rule;
mod kind;
mod label;
mod list;
mod listener_set;
mod listener_target;
mod namespace;
mod object;
mod peer_authentication;
mod provider_client;
mod rate_limit_policy;
mod reference_grant;
mod request_authentication;
mod route;
mod rules;
mod secret;
mod selector;
mod service_entry;
mod set;
mod sign_in;
mod target;
mod threat_policy;
mod token_exchange;
mod token_introspection;
mod token_policy;
mod token_revocation;
mod topic_policy;

use std::collections::BTreeMap;
use std::sync::Arc;

use identity::TrustDomain;

use crate::core_group::{ConfigMap, Namespace, Secret};
use crate::gateway::{BackendTlsPolicy, Gateway, GatewayClass, ListenerSet};
use crate::route::{ReferenceGrant, Route};
use crate::{Diagnostic, Diagnostics, Service};

pub use abuse_policy::AbusePolicy;
pub use api_key_policy::ApiKeyPolicy;
pub use api_schema::ApiSchema;
pub use authorization::{AuthorizationPolicy, PolicyAction};
pub use client_credentials::ClientCredentials;
pub use client_traffic::ClientTrafficPolicy;
pub use destination_rule::DestinationRule;
pub use fault_injection::FaultInjection;
pub use file::ReadFile;
pub use object::dns_label as namespace_name;
pub use peer_authentication::PeerAuthentication;
pub(crate) use peer_authentication::PolicyScope;
pub use rate_limit_policy::{LimitTarget, RateLimitPolicy};
pub use request_authentication::RequestAuthentication;
pub use rules::{check_method_pattern, check_path_pattern};
pub use selector::MatchLabels;
pub use service_entry::{EndpointDescription, PortDescription, ServiceDescription, ServiceEntry};
pub use set::{ReadOptions, ResourceSurvey, SurveyedObject, survey};
pub use sign_in::SignIn;
pub use threat_policy::ThreatPolicy;
pub use token_exchange::TokenExchange;
pub use token_introspection::TokenIntrospection;
pub use token_policy::TokenPolicy;
pub use token_revocation::TokenRevocation;
pub use topic_policy::TopicPolicy;

/// The namespace whose resources act on the whole mesh, unless set otherwise.
pub const DEFAULT_ROOT_NAMESPACE: &str = "postern-system";

/// A resource file as it was read: a name for messages and the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The name messages show.
    pub name: String,
    /// The contents.
    pub bytes: Vec<u8>,
}

/// A checked set of resources, ready for [`crate::Snapshot::build`] and [`crate::ServiceTable::build`].
#[derive(Debug, Clone)]
pub struct Resources {
    root_namespace: Arc<str>,
    authorization: Vec<Arc<AuthorizationPolicy>>,
    peer_authentication: Vec<PeerAuthentication>,
    request_authentication: Vec<RequestAuthentication>,
    token_policies: Vec<TokenPolicy>,
    token_exchanges: Vec<TokenExchange>,
    token_introspections: Vec<TokenIntrospection>,
    token_revocations: Vec<TokenRevocation>,
    topic_policies: Vec<TopicPolicy>,
    service_entries: Vec<ServiceEntry>,
    routes: Vec<Arc<Route>>,
    reference_grants: Vec<ReferenceGrant>,
    destination_rules: Vec<DestinationRule>,
    fault_injections: Vec<FaultInjection>,
    api_key_policies: Vec<ApiKeyPolicy>,
    client_traffic: Vec<ClientTrafficPolicy>,
    client_credentials: Vec<ClientCredentials>,
    gateways: Vec<Gateway>,
    gateway_classes: Vec<GatewayClass>,
    listener_sets: Vec<ListenerSet>,
    backend_tls_policies: Vec<BackendTlsPolicy>,
    secrets: Vec<Secret>,
    config_maps: Vec<ConfigMap>,
    namespaces: Vec<Namespace>,
    rate_limit_policies: Vec<RateLimitPolicy>,
    abuse_policies: Vec<AbusePolicy>,
    sign_ins: Vec<SignIn>,
    threat_policies: Vec<ThreatPolicy>,
    api_schemas: Vec<ApiSchema>,
}

impl Resources {
    /// The empty set.
    pub fn empty(root_namespace: &str) -> Self {
        Self {
            root_namespace: root_namespace.into(),
            authorization: Vec::new(),
            peer_authentication: Vec::new(),
            request_authentication: Vec::new(),
            token_policies: Vec::new(),
            token_exchanges: Vec::new(),
            token_introspections: Vec::new(),
            token_revocations: Vec::new(),
            topic_policies: Vec::new(),
            service_entries: Vec::new(),
            routes: Vec::new(),
            reference_grants: Vec::new(),
            destination_rules: Vec::new(),
            fault_injections: Vec::new(),
            api_key_policies: Vec::new(),
            client_traffic: Vec::new(),
            client_credentials: Vec::new(),
            gateways: Vec::new(),
            gateway_classes: Vec::new(),
            listener_sets: Vec::new(),
            backend_tls_policies: Vec::new(),
            secrets: Vec::new(),
            config_maps: Vec::new(),
            namespaces: Vec::new(),
            rate_limit_policies: Vec::new(),
            abuse_policies: Vec::new(),
            sign_ins: Vec::new(),
            threat_policies: Vec::new(),
            api_schemas: Vec::new(),
        }
    }

    /// Whether these say the same of what is allowed as others do, wherever services may lead: then nothing that is open has to
    /// be judged again. Whose workloads are behind a Service counts where a policy targets one.
    #[must_use]
    pub fn authorize_as(&self, other: &Self) -> bool {
        let Self { root_namespace, authorization, peer_authentication, .. } = self;
        *root_namespace == other.root_namespace
            && *authorization == other.authorization
            && *peer_authentication == other.peer_authentication
            && self.request_authentication == other.request_authentication
            && self.token_policies == other.token_policies
            && self.token_exchanges == other.token_exchanges
            && self.introspects_as(other)
            && self.token_revocations == other.token_revocations
            && self.topic_policies == other.topic_policies
            && self.api_key_policies == other.api_key_policies
            && self.signs_in_as(other)
            && self.threat_policies == other.threat_policies
            && (!self.targets_services() || self.service_entries == other.service_entries)
    }

    /// SignIns, what they refer to, and where the routes that they are about are attached.
    fn signs_in_as(&self, other: &Self) -> bool {
        let mut routes = self.sign_ins.iter().map(|sign_in| sign_in.is_about_routes());
        self.sign_ins == other.sign_ins
            && (self.sign_ins.is_empty() || self.credentials().eq(other.credentials()))
            && (!routes.any(|is| is) || self.routes == other.routes)
    }

    /// The Secrets that policies about sign-in and tokens can refer to.
    fn credentials(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().filter(|secret| !secret.values.is_empty())
    }

    /// The secret of a client that asks is part of what is said.
    fn introspects_as(&self, other: &Self) -> bool {
        self.token_introspections == other.token_introspections
            && (self.token_introspections.is_empty() || self.credentials().eq(other.credentials()))
    }

    fn targets_services(&self) -> bool {
        self.authorization.iter().any(|policy| policy.has_targets())
            || self.request_authentication.iter().any(|policy| policy.has_targets())
    }

    /// Reads and checks every file.
    ///
    /// # Errors
    /// All mistakes of all files at once. A file of 0 bytes is one: it is a torn write, not an empty set.
    pub fn parse(files: &[SourceFile], root_namespace: &str) -> Result<Self, Diagnostics> {
        let survey = survey(files, &ReadOptions::strict(root_namespace));
        Diagnostics::ok_unless_any(survey.resources, survey.diagnostics)
    }

    /// The same set, where no policy makes somebody of the mesh out of a certificate that is not the mesh's: `mesh` are its
    /// own trust domain and those it is federated with.
    ///
    /// # Errors
    /// [`ClientTrafficPolicy::impersonations`] of all policies.
    pub fn without_impersonations(self, mesh: &[TrustDomain]) -> Result<Self, Diagnostics> {
        let found = self.impersonations(mesh);
        Diagnostics::ok_unless_any(self, found)
    }

    /// What [`Self::without_impersonations`] refuses.
    pub fn impersonations(&self, mesh: &[TrustDomain]) -> Vec<Diagnostic> {
        self.client_traffic.iter().flat_map(|policy| policy.impersonations(mesh)).collect()
    }

    /// One set of what many say of how requests are carried: routes and their grants, DestinationRules and FaultInjections,
    /// Gateways and what these refer to. Whatever else they hold stays out. Each was read by itself: whether a name stands
    /// there twice is not asked, and of routes, and of what a Gateway refers to or is made of, the first of a name is taken.
    #[must_use]
    pub fn carrying<'a>(parts: impl IntoIterator<Item = &'a Self>, root_namespace: &str) -> Self {
        let mut joined = Self::empty(root_namespace);
        for part in parts {
            joined.extend_calls(part);
            joined.extend_edge(part);
        }
        sort_once(&mut joined.routes, |route| &route.id);
        joined.sort();
        joined
    }

    fn extend_calls(&mut self, part: &Self) {
        self.routes.extend(part.routes.iter().cloned());
        self.reference_grants.extend(part.reference_grants.iter().cloned());
        self.destination_rules.extend(part.destination_rules.iter().cloned());
        self.fault_injections.extend(part.fault_injections.iter().cloned());
    }

    fn extend_edge(&mut self, part: &Self) {
        self.client_traffic.extend(part.client_traffic.iter().cloned());
        self.gateways.extend(part.gateways.iter().cloned());
        self.gateway_classes.extend(part.gateway_classes.iter().cloned());
        self.listener_sets.extend(part.listener_sets.iter().cloned());
        self.backend_tls_policies.extend(part.backend_tls_policies.iter().cloned());
        self.secrets.extend(part.secrets.iter().cloned());
        self.config_maps.extend(part.config_maps.iter().cloned());
        self.namespaces.extend(part.namespaces.iter().cloned());
    }

    /// In order by name; what a Gateway is made of or refers to, each once.
    fn sort(&mut self) {
        self.authorization.sort_by(|a, b| a.name().cmp(b.name()));
        self.request_authentication.sort_by(|a, b| a.name().cmp(b.name()));
        self.rate_limit_policies.sort_by(|a, b| a.name().cmp(b.name()));
        self.abuse_policies.sort_by(|a, b| a.name().cmp(b.name()));
        self.sign_ins.sort_by(|a, b| a.name().cmp(b.name()));
        self.threat_policies.sort_by(|a, b| a.name().cmp(b.name()));
        self.api_schemas.sort_by(|a, b| a.name().cmp(b.name()));
        self.token_introspections.sort_by(|a, b| a.name().cmp(b.name()));
        self.token_revocations.sort_by(|a, b| a.name().cmp(b.name()));
        self.topic_policies.sort_by(|a, b| a.name().cmp(b.name()));
        self.routes.sort_by(|a, b| a.id.cmp(&b.id));
        sort_once(&mut self.gateways, |gateway| &gateway.id);
        sort_once(&mut self.gateway_classes, |class| &class.name);
        sort_once(&mut self.listener_sets, |set| &set.id);
        sort_once(&mut self.backend_tls_policies, |policy| &policy.id);
        sort_once(&mut self.secrets, |secret| &secret.id);
        sort_once(&mut self.config_maps, |map| &map.id);
        sort_once(&mut self.namespaces, |namespace| &namespace.name);
        sort_once(&mut self.client_traffic, |policy| policy.name());
    }

    /// The root namespace the set was read for.
    pub fn root_namespace(&self) -> &str {
        &self.root_namespace
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.authorization.len()
            + self.peer_authentication.len()
            + self.request_authentication.len()
            + self.token_policies.len()
            + self.token_exchanges.len()
            + self.token_introspections.len()
            + self.token_revocations.len()
            + self.topic_policies.len()
            + self.service_entries.len()
            + self.routes.len()
            + self.reference_grants.len()
            + self.destination_rules.len()
            + self.fault_injections.len()
            + self.api_key_policies.len()
            + self.client_traffic.len()
            + self.client_credentials.len()
            + self.gateways.len()
            + self.gateway_classes.len()
            + self.listener_sets.len()
            + self.backend_tls_policies.len()
            + self.secrets.len()
            + self.config_maps.len()
            + self.namespaces.len()
            + self.rate_limit_policies.len()
            + self.abuse_policies.len()
            + self.sign_ins.len()
            + self.threat_policies.len()
            + self.api_schemas.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The AuthorizationPolicies, by `namespace/name`.
    pub fn authorization_policies(&self) -> &[Arc<AuthorizationPolicy>] {
        &self.authorization
    }

    /// The PeerAuthentications.
    pub fn peer_authentications(&self) -> &[PeerAuthentication] {
        &self.peer_authentication
    }

    /// The RequestAuthentications, by `namespace/name`.
    pub fn request_authentications(&self) -> &[RequestAuthentication] {
        &self.request_authentication
    }

    /// The TokenPolicies.
    pub fn token_policies(&self) -> &[TokenPolicy] {
        &self.token_policies
    }

    /// The TokenExchanges.
    pub fn token_exchanges(&self) -> &[TokenExchange] {
        &self.token_exchanges
    }

    /// The TokenIntrospections, by `namespace/name`.
    pub fn token_introspections(&self) -> &[TokenIntrospection] {
        &self.token_introspections
    }

    /// The TokenRevocations, by `namespace/name`.
    pub fn token_revocations(&self) -> &[TokenRevocation] {
        &self.token_revocations
    }

    /// The TopicPolicies, by `namespace/name`.
    pub fn topic_policies(&self) -> &[TopicPolicy] {
        &self.topic_policies
    }

    /// The routes of all kinds, by kind and `namespace/name`.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The ReferenceGrants.
    pub fn reference_grants(&self) -> &[ReferenceGrant] {
        &self.reference_grants
    }

    /// The ServiceEntries.
    pub fn service_entries(&self) -> &[ServiceEntry] {
        &self.service_entries
    }

    /// The DestinationRules.
    pub fn destination_rules(&self) -> &[DestinationRule] {
        &self.destination_rules
    }

    /// The DestinationRules that say nothing, because an older one of their namespace is about the same host: well formed,
    /// and never meant.
    pub fn hidden_destination_rules(&self) -> Vec<Diagnostic> {
        destination_rule::hidden(&self.destination_rules)
    }

    /// The ApiKeyPolicies.
    pub fn api_key_policies(&self) -> &[ApiKeyPolicy] {
        &self.api_key_policies
    }

    /// The SignIns, by `namespace/name`.
    pub fn sign_ins(&self) -> &[SignIn] {
        &self.sign_ins
    }

    /// SignIns that can meet on one host and have a path or the name of their cookies in common, or say the same twice:
    /// well formed, and never meant. Where one gets here all the same, as in a cluster of many writers, the first by name
    /// holds.
    pub fn sign_in_clashes(&self) -> Vec<Diagnostic> {
        crate::sign_in::clashes(self)
    }

    /// What is wrong with the Secrets that SignIns name, as diagnostics of these. Nobody passes where such a SignIn holds.
    pub fn sign_in_secret_problems(&self) -> Vec<Diagnostic> {
        self.sign_ins.iter().filter_map(|sign_in| sign_in.secret_problem(self)).collect()
    }

    /// The same set, where SignIns have what they need and keep out of each other's way: whoever writes files writes all of
    /// them.
    ///
    /// # Errors
    /// [`Self::sign_in_secret_problems`] and [`Self::sign_in_clashes`].
    pub fn with_usable_sign_ins(self) -> Result<Self, Diagnostics> {
        let mut found = self.sign_in_secret_problems();
        found.extend(self.sign_in_clashes());
        Diagnostics::ok_unless_any(self, found)
    }

    /// The ClientCredentials.
    pub fn client_credentials(&self) -> &[ClientCredentials] {
        &self.client_credentials
    }

    /// What is wrong with the Secrets that TokenIntrospections name: well formed, and of no use. Who sends such a token is
    /// refused there as while the issuer does not answer.
    pub fn introspection_secret_problems(&self) -> Vec<Diagnostic> {
        self.token_introspections.iter().filter_map(|object| object.secret_problem(self)).collect()
    }

    /// What is wrong with the Secrets that ClientCredentials name: well formed, and of no use.
    pub fn client_credentials_secret_problems(&self) -> Vec<Diagnostic> {
        self.client_credentials.iter().filter_map(|object| object.secret_problem(self)).collect()
    }

    /// The ClientTrafficPolicies.
    pub fn client_traffic_policies(&self) -> &[ClientTrafficPolicy] {
        &self.client_traffic
    }

    /// The FaultInjections.
    pub fn fault_injections(&self) -> &[FaultInjection] {
        &self.fault_injections
    }

    /// The Gateways.
    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    /// The GatewayClasses.
    pub fn gateway_classes(&self) -> &[GatewayClass] {
        &self.gateway_classes
    }

    /// The ListenerSets.
    pub fn listener_sets(&self) -> &[ListenerSet] {
        &self.listener_sets
    }

    /// The BackendTLSPolicies.
    pub fn backend_tls_policies(&self) -> &[BackendTlsPolicy] {
        &self.backend_tls_policies
    }

    /// The Secrets, as far as they hold what is referred to.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The ConfigMaps, as far as they hold certificates of authorities.
    pub fn config_maps(&self) -> &[ConfigMap] {
        &self.config_maps
    }

    /// The Namespaces.
    pub fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }

    /// The labels of a namespace, where they are known.
    pub fn namespace_labels(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        let found = self.namespaces.binary_search_by(|known| (*known.name).cmp(name));
        found.ok().and_then(|at| self.namespaces.get(at)).map(|known| &known.labels)
    }

    /// The AbusePolicies, by `namespace/name`.
    pub fn abuse_policies(&self) -> &[AbusePolicy] {
        &self.abuse_policies
    }

    /// The ThreatPolicies, by `namespace/name`.
    pub fn threat_policies(&self) -> &[ThreatPolicy] {
        &self.threat_policies
    }

    /// The ApiSchemas, by `namespace/name`.
    pub fn api_schemas(&self) -> &[ApiSchema] {
        &self.api_schemas
    }

    /// The RateLimitPolicies, by `namespace/name`.
    pub fn rate_limit_policies(&self) -> &[RateLimitPolicy] {
        &self.rate_limit_policies
    }
}

fn sort_once<T, K: Ord>(objects: &mut Vec<T>, key: impl Fn(&T) -> &K) {
    objects.sort_by(|a, b| key(a).cmp(key(b)));
    objects.dedup_by(|a, b| key(a) == key(b));
}

impl ServiceEntry {
    /// The services it defines, one a host, without the identities that depend on the trust domain.
    pub fn services(&self) -> &[Service] {
        &self.services
    }
}

#[cfg(test)]
mod tests;
