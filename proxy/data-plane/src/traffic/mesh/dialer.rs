//! What a worker needs to dial other workloads.

use std::sync::Arc;

use crate::traffic::state::ProxyState;

/// The credentials, limits and counters for connections to other workloads, and the worker that they belong to.
pub struct MeshDialer {
    /// What all workers share.
    pub state: Arc<ProxyState>,
    /// The number of the worker.
    pub worker: usize,
}
