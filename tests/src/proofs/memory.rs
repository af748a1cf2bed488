//! An agent's resident memory while it serves a proxy, and after many renewals.

use super::{Finding, Progress, Size};
use crate::mesh::Mesh;
use crate::process::Process;

/// What a release agent may hold, in bytes.
const LIMIT: u64 = 8_000_000;
/// What one built for debugging may hold: its code is several times as large.
const DEBUG_LIMIT: u64 = 32_000_000;
/// What the renewals may add.
const GROWTH: u64 = 1_000_000;

pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let renewals = size.pick(20, 100);
    let mesh = Mesh::with_authority();
    let pod = mesh.pod("cart").port(8080, "http").start();
    let held = || pod.with_agent(|agent| Process::resident_kib(agent)) * 1024;
    // The first renewals fill caches and pools; what comes later may add no more.
    for _ in 0..5 {
        pod.renew_certificate();
    }
    let serving = held();
    progress.say(&format!("{} while it serves a proxy", megabytes(serving)));
    for _ in 0..renewals {
        pod.renew_certificate();
    }
    let after = held();
    let limit = if cfg!(debug_assertions) { DEBUG_LIMIT } else { LIMIT };
    Finding {
        line: format!(
            "memory of an agent: {} serving a proxy, {} after {renewals} renewals (limit {})",
            megabytes(serving),
            megabytes(after),
            megabytes(limit),
        ),
        good: serving > 0 && serving.max(after) <= limit && after <= serving + GROWTH,
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}
