//! The in-place upgrade: the proxies of both ends are replaced under load, in turn, and nobody notices.

use std::time::{Duration, Instant};

use serde_json::json;

use super::stage::Stage;
use super::{Finding, Progress, Size, grouped};
use crate::load::{Load, LoadReport};
use crate::pod::Pod;
use crate::process::Process;
use crate::wait;

/// The least time between two upgrades of any pod: requests flow, and connections are opened anew.
const PACE: Duration = Duration::from_millis(500);
/// How long a process that was replaced may take to end, once nothing is open on it.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// Workers of the process after the next, so that sockets are left over, and are missing.
const WORKERS: [u64; 4] = [2, 1, 3, 1];

/// Upgrades the front end, the cart and the payments in turn, `rounds` times each, under HTTP/1.1 over kept and over new
/// connections, HTTP/2, gRPC streams, and one TCP connection that is older than all upgrades and lives through them.
pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let rounds = size.pick(3, 20);
    // Longer than the proof: the TCP connection is to end with its client, and not with the grace.
    let stage = Stage::configured(&[], &json!({"limits": {"drainTimeout": "30m"}}));
    let traffic = stage.traffic();
    let http = stage.cart.at(8080);
    let fresh = Load::start_fresh(&stage.frontend, http, "cart:8080", "/cart/ann", 2);
    let mut replaced = Vec::new();
    let mut slowest = Duration::ZERO;
    for round in 1..=rounds {
        let workers = WORKERS.iter().cycle().nth(round).copied().unwrap_or(1);
        for pod in stage.pods() {
            let (process, took) = upgrade(pod, round, workers);
            replaced.push(process);
            slowest = slowest.max(took);
        }
        progress.say(&format!("{round} of {rounds} rounds, the last with {workers} workers"));
    }
    let fresh = fresh.finish();
    let report = traffic.finish(&stage);
    let ended = replaced.iter_mut().map(has_ended_well).filter(|well| *well).count();
    told(&report.line(), &fresh, (ended, replaced.len()), slowest, report.good())
}

fn upgrade(pod: &Pod, round: usize, workers: u64) -> (Process, Duration) {
    let mut pace = wait::Pace::every(PACE);
    pace.wait();
    pod.configure(&json!({"workers": workers}));
    let begun = Instant::now();
    let replaced = pod.upgrade_proxy(&format!("proxy-{round}"));
    let took = begun.elapsed();
    // It has moved on: readiness is answered by the one that took over, at once.
    assert!(pod.is_ready(), "{} is not ready after its upgrade", pod.name());
    pace.wait();
    (replaced, took)
}

fn has_ended_well(process: &mut Process) -> bool {
    let ended = wait::holds_within(LAST_WORDS, || process.ended().is_some());
    ended && process.ended().is_some_and(|status| status.success())
}

fn told(
    traffic: &str,
    fresh: &LoadReport,
    (ended, replaced): (usize, usize),
    slowest: Duration,
    good: bool,
) -> Finding {
    let mut line = format!(
        "upgrade {replaced} upgrades of three proxies, {ended} of them ended in order, the slowest hand-over took {:.1} s; \
         {traffic}; {} requests over as many new connections, {} failed",
        slowest.as_secs_f32(),
        grouped(fresh.requests),
        grouped(fresh.failed),
    );
    if let Some(failure) = fresh.failures.first() {
        line.push_str("; ");
        line.push_str(failure);
    }
    let good = good && fresh.requests > 0 && fresh.failed == 0 && ended == replaced;
    Finding { line, good }
}
