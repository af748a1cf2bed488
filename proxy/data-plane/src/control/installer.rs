//! Puts resources in force: first the services, which affect no open connection, then the keys that rules need, and the
//! snapshot, by which everything open is authorized again.

use std::sync::Arc;

use identity::TrustDomain;
use parking_lot::Mutex;
use policy::{ApiSchemaTable, Resources, Snapshot, Workload};

use crate::control::api_documents::KnownDocuments;
use crate::control::cluster::ClusterState;
use crate::control::config::{Config, IdentitySource};
use crate::control::edge::EdgeBuilder;
use crate::control::{jwks, rule_sets};
use crate::traffic::state::ProxyState;

/// The state that resources are put in force in, and the configuration that says what they apply to.
#[derive(Clone)]
pub struct ResourceInstaller {
    /// The proxy.
    pub state: Arc<ProxyState>,
    /// Its configuration.
    pub config: Arc<Config>,
    /// What makes the edge, where the proxy is a gateway.
    edge: Option<Arc<Mutex<InstalledEdge>>>,
    /// The files with descriptions of APIs.
    pub(super) documents: Arc<Mutex<KnownDocuments>>,
    /// What the snapshot in force was made of.
    in_force: Arc<Mutex<Option<(Workload, Resources)>>>,
}

/// The edge, and what it was made of.
struct InstalledEdge {
    builder: EdgeBuilder,
    resources: Option<Resources>,
}

impl InstalledEdge {
    fn install(&mut self, resources: &Resources, state: &ProxyState) {
        let (ports, problems) = self.builder.build(resources, &state.metrics);
        for problem in problems {
            tracing::error!(problem, "at the edge");
        }
        state.edge.install(ports);
    }
}

impl ResourceInstaller {
    /// A proxy at its start, with no resources.
    ///
    /// # Errors
    /// As [`ProxyState::new`].
    pub fn new(config: Config, workers: usize) -> anyhow::Result<Self> {
        let state = ProxyState::new(config.traffic_settings(), workers)?;
        let edge = config.gateway.as_ref().map(|gateway| {
            let mesh = mesh_domains(&config);
            let own_ports = config.traffic_settings().own_ports;
            let builder = EdgeBuilder::new(gateway, config.limits, own_ports, mesh);
            Arc::new(Mutex::new(InstalledEdge { builder, resources: None }))
        });
        Ok(Self {
            state,
            config: Arc::new(config),
            edge,
            documents: Arc::default(),
            in_force: Arc::default(),
        })
    }

    /// Puts resources from files in force, as a whole.
    pub fn install(&self, resources: &Resources) {
        self.state.install_services(resources);
        // Before the ports: what is open at once is guarded from the beginning.
        self.authorize(&self.config.workload, resources);
        self.install_edge(resources);
    }

    /// Puts in force how services are called, and what a gateway listens for. `incomplete`: what is said of calls is not known
    /// whole.
    pub fn install_calls(&self, resources: &Resources, incomplete: bool) {
        self.state.install_calls(resources, &self.config.workload, incomplete);
        self.install_edge(resources);
    }

    fn install_edge(&self, resources: &Resources) {
        let Some(edge) = &self.edge else { return };
        let mut edge = edge.lock();
        edge.install(resources, &self.state);
        edge.resources = Some(resources.clone());
    }

    /// Makes the edge anew of the resources in force: certificates that are files have changed.
    pub fn renew_edge(&self) {
        let Some(edge) = &self.edge else { return };
        let mut edge = edge.lock();
        if let Some(resources) = edge.resources.clone() {
            edge.install(&resources, &self.state);
        }
    }

    /// Puts in force the received resources that authorize, for the workload as the cluster describes it. Services are
    /// installed separately.
    pub fn install_cluster(&self, cluster: &ClusterState) {
        self.state.describe_workload(cluster.ports.clone(), cluster.service.clone());
        self.authorize(&cluster.workload, &cluster.resources);
    }

    /// First what files describe: no request is refused because its description is being compiled.
    fn install_api_schemas(&self, resources: &Resources, workload: &Workload) {
        let table = ApiSchemaTable::build(resources, workload, self.state.settings.is_gateway);
        let mut documents = self.documents.lock();
        documents.prepare(&self.state, table.files());
        self.state.api_schemas.install(table);
        documents.renew(&self.state);
    }

    /// Where all that authorizes says what it said before, nothing that is open is judged again.
    fn authorize(&self, workload: &Workload, resources: &Resources) {
        let mut in_force = self.in_force.lock();
        self.state.install_limits(resources, workload);
        self.install_api_schemas(resources, workload);
        self.state.install_client_credentials(resources, workload);
        let is_new = in_force
            .as_ref()
            .is_none_or(|(own, before)| own != workload || !resources.authorize_as(before));
        if !is_new {
            return self.state.metrics.config_update(true);
        }
        let mut snapshot = Snapshot::build(resources, workload, &self.config.defaults);
        snapshot.keep_tokens(self.state.snapshot().tokens());
        let (rules, sign_ins) = (snapshot.tokens().clone(), snapshot.sign_ins().clone());
        jwks::prepare(&self.state.token_keys, &rules, &self.config);
        let threats = snapshot.threats().clone();
        rule_sets::prepare(&self.state, &threats);
        self.state.install_snapshot(snapshot);
        let (tokens, providers) = (&self.state.token_keys, &self.state.sign_ins.providers);
        rule_sets::keep_only(&self.state, &threats);
        tokens.keep_only(&rules, &sign_ins);
        providers.keep_only(&sign_ins);
        *in_force = Some((workload.clone(), resources.clone()));
    }
}

/// The trust domains whose identities are of the mesh: its own, and those that it trusts by configuration.
fn mesh_domains(config: &Config) -> Vec<TrustDomain> {
    let mut domains = vec![config.trust_domain.clone()];
    if let IdentitySource::Files(files) = &config.identity {
        domains.extend(files.federated.iter().map(|(domain, _)| domain.clone()));
    }
    domains
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use policy::SourceFile;

    use super::*;

    /// Resources as a file has them: services, each with this address, and one policy.
    fn resources(address: &str, action: &str) -> Resources {
        let text = format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\n\
             spec: {{action: {action}, rules: [{{}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: bank, namespace: shop}}\n\
             spec: {{hosts: [bank.example], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: STATIC,\n\
             location: MESH_INTERNAL, endpoints: [{{address: {address}}}],\n\
             subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/bank']}}\n"
        );
        let file = SourceFile { name: "all.yaml".into(), bytes: text.into_bytes() };
        Resources::parse(&[file], "postern-system").unwrap()
    }

    #[test]
    fn a_change_of_services_alone_judges_nothing_again() {
        let text = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\n";
        let config = Config::parse("p", text.as_bytes()).unwrap();
        let installer = ResourceInstaller::new(config, 1).unwrap();
        let state = &installer.state;
        let mut judged = state.policy_changes();
        for (name, address, action, judges, moves) in [
            ("first", "10.0.0.1", "ALLOW", true, true),
            ("nothing new", "10.0.0.1", "ALLOW", false, false),
            ("another endpoint", "10.0.0.2", "ALLOW", false, true),
            ("another policy", "10.0.0.2", "DENY", true, false),
        ] {
            let before = state.services.table().by_host("bank.example", 80).cloned();
            installer.install(&resources(address, action));
            let now = state.services.table().by_host("bank.example", 80).cloned().unwrap();
            assert_eq!(judged.has_changed().unwrap(), judges, "{name}");
            assert_eq!(!before.is_some_and(|before| Arc::ptr_eq(&before, &now)), moves, "{name}");
            judged.mark_unchanged();
        }
    }

    /// A policy for the workloads behind a Service, whose one endpoint has these labels.
    fn targeting(labels: &str) -> Resources {
        let text = format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\n\
             spec: {{targetRefs: [{{kind: Service, group: '', name: cart}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: cart, namespace: shop}}\n\
             spec: {{hosts: [cart.shop.svc.cluster.local], ports: [{{number: 80, name: http, protocol: HTTP}}],\n\
             resolution: STATIC, location: MESH_INTERNAL, endpoints: [{{address: 10.0.0.1, labels: {labels}}}],\n\
             subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/cart']}}\n"
        );
        let file = SourceFile { name: "all.yaml".into(), bytes: text.into_bytes() };
        Resources::parse(&[file], "postern-system").unwrap()
    }

    #[test]
    fn s19_a_policy_follows_the_service_that_it_targets() {
        let text = "workload: {namespace: shop, serviceAccount: cart, labels: {app: cart}}\n\
                    identity: {workloadApi: unix:///a}\n";
        let config = Config::parse("p", text.as_bytes()).unwrap();
        let installer = ResourceInstaller::new(config, 1).unwrap();
        let mut judged = installer.state.policy_changes();
        let (ours, others) = ("{app: cart}", "{app: other}");
        for (row, labels, judges) in [
            ("behind another app", others, true),
            ("nothing new", others, false),
            ("our workload comes to be behind the Service", ours, true),
            ("and no longer is", others, true),
        ] {
            installer.install(&targeting(labels));
            assert_eq!(judged.has_changed().unwrap(), judges, "{row}");
            judged.mark_unchanged();
        }
    }

    /// A login service that lists a token at each logout has nobody's token verified anew.
    #[test]
    fn a_revocation_leaves_the_rules_about_tokens_as_they_are() {
        let text = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\n";
        let config = Config::parse("p", text.as_bytes()).unwrap();
        let installer = ResourceInstaller::new(config, 1).unwrap();
        let of = |issuer: &str, id: &str| {
            let text = format!(
                "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: p, namespace: shop}}\n\
                 spec: {{jwtRules: [{{issuer: '{issuer}', jwksUri: '{issuer}/keys'}}]}}\n---\n\
                 apiVersion: policy.postern.dev/v1alpha1\nkind: TokenRevocation\nmetadata: {{name: p, namespace: shop}}\n\
                 spec: {{tokens: [{{issuer: '{issuer}', id: {id}}}]}}\n"
            );
            let file = SourceFile { name: "all.yaml".into(), bytes: text.into_bytes() };
            Resources::parse(&[file], "postern-system").unwrap()
        };
        installer.install(&of("https://id.example", "a"));
        for (row, issuer, id, same) in [
            ("another token", "https://id.example", "b", true),
            ("another issuer", "https://other.example", "b", false),
        ] {
            let before = installer.state.snapshot().tokens().clone();
            installer.install(&of(issuer, id));
            let now = installer.state.snapshot();
            assert_eq!(Arc::ptr_eq(&before, now.tokens()), same, "{row}");
        }
    }
}
