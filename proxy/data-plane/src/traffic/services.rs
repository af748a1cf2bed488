//! Where destinations lead: the table of services in force, and how they are called (routes, DestinationRules, faults),
//! apart from what authorizes.
//!
//! The tables have an epoch of their own. Those that follow a service wait for a change here, and no open connection is
//! authorized again because an endpoint came or went.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

use arc_swap::{ArcSwap, Guard};
use policy::{RouteTable, ServiceTable, TrafficPolicies};
use tokio::sync::watch;

/// The tables in force, shared by all workers.
pub struct Services {
    table: ArcSwap<ServiceTable>,
    calls: ArcSwap<CallRules>,
    version: AtomicU64,
    epoch: watch::Sender<u64>,
}

/// How services are called by this workload.
#[derive(Debug, Clone, Default)]
pub struct CallRules {
    /// Which requests to a service go where.
    pub routes: RouteTable,
    /// DestinationRules and FaultInjections.
    pub policies: TrafficPolicies,
    /// A DestinationRule was received that could not be read, and none of its name before: what it says of TLS is not known.
    pub incomplete: bool,
}

impl Services {
    /// Begins with a table, and nothing said about calls.
    pub fn new(table: ServiceTable) -> Self {
        Self {
            table: ArcSwap::from_pointee(table),
            calls: ArcSwap::default(),
            version: AtomicU64::new(0),
            epoch: watch::Sender::new(0),
        }
    }

    /// The table in force: one consistent value, read without a lock.
    pub fn table(&self) -> Guard<Arc<ServiceTable>> {
        self.table.load()
    }

    /// How services are called.
    pub fn calls(&self) -> Guard<Arc<CallRules>> {
        self.calls.load()
    }

    /// Grows with each change of any table. Read *before* the tables, it says whether what was made of them still holds.
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Puts another table in force and wakes those that wait for a change.
    pub fn install(&self, table: ServiceTable) {
        self.table.store(Arc::new(table));
        self.changed();
    }

    /// Puts other rules for calls in force.
    pub fn install_calls(&self, calls: CallRules) {
        self.calls.store(Arc::new(calls));
        self.changed();
    }

    /// Wakes at each change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    fn changed(&self) {
        self.version.fetch_add(1, Release);
        self.epoch.send_modify(|epoch| *epoch += 1);
    }
}
