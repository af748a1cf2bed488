//! What the page at `/dashboard` shows of the mesh: what the proxies connected to this replica tell of themselves.

use std::time::{SystemTime, UNIX_EPOCH};

use dashboard::data::Program;
use dashboard::{DashboardData, Listed};

use super::shared::Shared;

/// All of it, as of now.
pub(super) fn collect(shared: &Shared, is_unready: bool) -> DashboardData {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mesh = shared.reports().view(shared.age(), unix);
    DashboardData {
        time: unix,
        program: program(shared, is_unready),
        denials: mesh.denials,
        policies: Listed::default(),
        refusals: Listed::default(),
        edges: mesh.edges,
        certificates: mesh.certificates,
        limits: Listed::default(),
        services: mesh.services,
        routes: Listed::default(),
        listeners: Listed::default(),
        detections: None,
        blocks: None,
    }
}

fn program(shared: &Shared, is_unready: bool) -> Program {
    let root = shared.index().settings().root_namespace.to_string();
    Program {
        kind: "controller",
        workload: format!("{root}/postern-controller"),
        identity: None,
        version: env!("CARGO_PKG_VERSION"),
        up_seconds: shared.age().as_secs(),
        unready: is_unready.then_some("/ready says why"),
        stale: false,
        connections: shared.connected(),
    }
}
