//! Services whose endpoints misbehave, simulated: success rate and latency of this balancer beside round robin and
//! least request, which most proxies have as their default and which know no ejection here, as is usual there.
//!
//! `cargo test -p balancer --test simulation -- --nocapture` prints the table. No request is sent a second time: what
//! fails has failed. Latencies are those of the requests that succeeded; beside them, as `good`, stand those of least
//! request where the endpoints that misbehave are not there at all.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
// Simulated times are small and positive.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod scenarios;
mod server;
mod world;

use balancer::{BalancerSettings, OutlierDetection, Policy};
use std::time::Duration;

use scenarios::{Placed, SCENARIOS, Scenario};
use world::{Figures, World};

/// Each scenario is played with each of these.
const SEEDS: [u64; 3] = [1, 2, 3];

#[test]
fn endpoints_that_misbehave_are_avoided() {
    println!("{HEAD}");
    let failures: Vec<_> = SCENARIOS.iter().filter_map(|scenario| play(scenario).err()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

const HEAD: &str = "
                                      success, %                  p99, ms
scenario                              ours   robin   least        ours   robin   least    good";

fn play(scenario: &Scenario) -> Result<(), String> {
    let play = |settings| figures(scenario.endpoints, scenario.load, &settings);
    let ours = play(ours(scenario));
    let [robin, least] = [Policy::RoundRobin, Policy::LeastRequest].map(|one| play(usual(one)));
    let good = scenario.good_endpoints();
    let good = figures(&good, scenario.load, &usual(Policy::LeastRequest));
    println!(
        "{:34} {:>7.2} {:>7.2} {:>7.2}    {:>8.0} {:>7.0} {:>7.0} {:>7.0}",
        scenario.name,
        ours.success,
        robin.success,
        least.success,
        ours.p99,
        robin.p99,
        least.p99,
        good.p99
    );
    scenario.judge(&ours, &[robin, least], &good)
}

fn ours(scenario: &Scenario) -> BalancerSettings {
    let warm_up = scenario.warm_up.map(Duration::from_secs);
    BalancerSettings { own_zone: scenario.own_zone.map(Into::into), warm_up, ..Default::default() }
}

/// What is usual: no ejection, nobody rests.
fn usual(policy: Policy) -> BalancerSettings {
    let (outliers, rest) = (OutlierDetection::off(), Duration::ZERO);
    BalancerSettings { policy, outliers, rest, ..Default::default() }
}

fn figures(endpoints: &[Placed], load: f64, settings: &BalancerSettings) -> Figures {
    let play = |seed: &u64| World::new(endpoints, load, settings, *seed).play();
    Figures::of(SEEDS.iter().flat_map(play).collect())
}
