//! The backends that a worker has resolved: a new connection of the app, or a route's next backend, costs a look-up.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use policy::TrafficPolicy;

use super::backend::{self, Backend};
use super::service_match::ServiceMatch;
use crate::http::error::RequestError;
use crate::labels::Protocol;
use crate::traffic::worker::Worker;

/// The backends of one worker.
#[derive(Default)]
pub(crate) struct BackendCache {
    backends: Mutex<HashMap<BackendKey, Arc<Backend>>>,
    /// What holds where no DestinationRule is about a service.
    default_policy: Arc<TrafficPolicy>,
}

#[derive(PartialEq, Eq, Hash)]
struct BackendKey {
    namespace: Arc<str>,
    host: Arc<str>,
    port: u16,
    /// Requests of each are counted apart.
    protocol: Protocol,
}

impl BackendKey {
    fn of(found: &ServiceMatch, protocol: Protocol) -> Self {
        Self {
            namespace: found.service.namespace.clone(),
            host: found.service.host.clone(),
            port: found.port.number,
            protocol,
        }
    }
}

impl BackendCache {
    /// What is said about calls to a service's port.
    pub(crate) fn policy(&self, worker: &Worker, found: &ServiceMatch) -> Arc<TrafficPolicy> {
        let (calls, table) = (worker.state.services.calls(), worker.state.services.table());
        let name = table.resource_host(&found.service);
        let written = calls.policies.of(&name, found.port.number, &found.port.name);
        written.unwrap_or(&self.default_policy).clone()
    }

    /// The backend of a service's port: as it was resolved before where that still holds.
    ///
    /// # Errors
    /// As [`backend::resolve`].
    pub(crate) async fn get(
        &self,
        worker: &Arc<Worker>,
        found: &ServiceMatch,
        protocol: Protocol,
    ) -> Result<Arc<Backend>, RequestError> {
        let policy = self.policy(worker, found);
        if found.endpoint.is_some() {
            return backend::resolve(worker, found, &policy, protocol).await;
        }
        let key = BackendKey::of(found, protocol);
        let known = self.backends.lock().get(&key).cloned();
        let now = worker.state.clock.coarse();
        if let Some(known) = known.filter(|known| known.is_of(&found.service, &policy, now)) {
            return Ok(known);
        }
        let resolved = backend::resolve(worker, found, &policy, protocol).await?;
        self.keep(key, &resolved, worker);
        Ok(resolved)
    }

    fn keep(&self, key: BackendKey, backend: &Arc<Backend>, worker: &Worker) {
        let most = usize::try_from(worker.state.settings.limits.pool_destinations).unwrap_or(1);
        let mut backends = self.backends.lock();
        if backends.len() >= most && !backends.contains_key(&key) {
            // Rare, and what is in use comes back with its next request.
            backends.clear();
        }
        backends.insert(key, backend.clone());
    }
}
