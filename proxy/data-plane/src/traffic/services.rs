//! Where destinations lead: the table of services in force, apart from what authorizes.
//!
//! The table has an epoch of its own. Those that follow a service wait for a change here, and no open connection is
//! authorized again because an endpoint came or went.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use policy::ServiceTable;
use tokio::sync::watch;

/// The table in force, shared by all workers.
pub struct Services {
    table: ArcSwap<ServiceTable>,
    epoch: watch::Sender<u64>,
}

impl Services {
    /// Begins with a table.
    pub fn new(table: ServiceTable) -> Self {
        Self { table: ArcSwap::from_pointee(table), epoch: watch::Sender::new(0) }
    }

    /// The table in force: one consistent value, read without a lock.
    pub fn table(&self) -> Guard<Arc<ServiceTable>> {
        self.table.load()
    }

    /// Puts another table in force and wakes those that wait for a change.
    pub fn install(&self, table: ServiceTable) {
        self.table.store(Arc::new(table));
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Wakes at each change of the table.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }
}
