//! Puts resources in force: first the services, which concern nobody that is open, then the keys that rules need, and the snapshot,
//! by which everything open is judged again.

use std::sync::Arc;

use policy::{Resources, Snapshot, Workload};

use crate::control::cluster::ClusterState;
use crate::control::config::Config;
use crate::control::jwks;
use crate::traffic::state::ProxyState;

/// The state that resources are put in force in, and the configuration that says what they act on.
#[derive(Clone)]
pub struct ResourceInstaller {
    /// The proxy.
    pub state: Arc<ProxyState>,
    /// Its configuration.
    pub config: Arc<Config>,
}

impl ResourceInstaller {
    /// A proxy at its start, with no resources.
    ///
    /// # Errors
    /// As [`ProxyState::new`].
    pub fn new(config: Config, workers: usize) -> anyhow::Result<Self> {
        let state = ProxyState::new(config.traffic_settings(), workers)?;
        Ok(Self { state, config: Arc::new(config) })
    }

    /// Puts resources from files in force, whole.
    pub fn install(&self, resources: &Resources) {
        self.state.install_services(resources);
        self.authorize(&self.config.workload, resources);
    }

    /// Puts in force what the controller said of all that authorizes, for the workload as the cluster knows it. Services come by
    /// themselves.
    pub fn install_cluster(&self, cluster: &ClusterState) {
        self.state.describe_workload(cluster.ports.clone(), cluster.service.clone());
        self.authorize(&cluster.workload, &cluster.resources);
    }

    fn authorize(&self, workload: &Workload, resources: &Resources) {
        let snapshot = Snapshot::build(resources, workload, &self.config.defaults);
        let rules = snapshot.tokens().clone();
        jwks::prepare(&self.state.token_keys, &rules, &self.config);
        self.state.install_snapshot(snapshot);
        self.state.token_keys.keep_only(&rules);
    }
}
