//! What a worker dials other workloads with.

use std::sync::Arc;

use crate::traffic::state::ProxyState;

/// The credentials, limits and counters by which connections to other workloads are made, and the worker that they belong to.
pub struct MeshDialer {
    /// What all workers share.
    pub state: Arc<ProxyState>,
    /// The number of the worker.
    pub worker: usize,
}
