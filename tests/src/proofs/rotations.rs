//! P-01: certificates rotate under load, and no request fails.

use std::time::Duration;

use super::stage::Stage;
use super::{Finding, Progress, Size, grouped};
use crate::wait;

/// Between two rotations, of any pod.
const PACE: Duration = Duration::from_millis(300);

/// Rotates pod after pod at [`PACE`]. The certificates live some seconds only, so that every connection outlives
/// several of those it began with.
pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let rotations = size.pick(45, 1000);
    let least_requests = size.pick(200, 100_000);
    let lifetime = "10s";
    let stage = Stage::start(&["--allow-short-lifetimes", "--leaf-lifetime", lifetime]);
    progress.say(&format!("three pods with certificates of {lifetime}; load begins"));
    let before = (stage.agents_renewed(), stage.proxies_renewed());
    let traffic = stage.traffic();
    rotate(&stage, rotations, progress);
    let report = traffic.finish(&stage);
    let agents = stage.agents_renewed() - before.0;
    // What an agent got and no proxy used is no rotation.
    let rotated = agents.min(stage.proxies_renewed() - before.1);
    let mut line = format!("P-01 {} rotations, {}", grouped(rotated), report.line());
    if report.requests() < least_requests {
        line.push_str(&format!("; too few: {} requests are wanted", grouped(least_requests)));
    }
    Finding {
        line,
        good: rotated >= rotations && report.good() && report.requests() >= least_requests,
    }
}

fn rotate(stage: &Stage, rotations: u64, progress: &Progress) {
    let pods = stage.pods().into_iter().cycle();
    let mut pace = wait::Pace::every(PACE);
    for (number, pod) in (1..=rotations).zip(pods) {
        pace.wait();
        pod.renew_certificate();
        if number % 100 == 0 {
            progress.say(&format!("{} of {} rotations", grouped(number), grouped(rotations)));
        }
    }
    // The last one is on its way from the agent to the proxy.
    let last = (stage.agents_renewed(), wait::PATIENCE);
    wait::until("the proxies to take the last certificates", last.1, || {
        let taken = stage.proxies_renewed();
        if taken >= last.0 { Ok(()) } else { Err(format!("{taken} of {}", last.0)) }
    });
}
