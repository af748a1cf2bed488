#![allow(clippy::unwrap_used)]

use std::num::NonZeroU32;

use super::*;
use crate::draw::Draws;
use crate::endpoint::InFlight;
use crate::hash::stable_hash;
use crate::settings::{OutlierDetection, Policy};

mod ejection;
mod properties;
mod threads;

/// A balancer, its time and its chance.
struct Bench {
    balancer: Balancer,
    now: Duration,
    draws: Draws,
}

fn endpoint(number: usize, weight: u32, zone: Option<&str>) -> Arc<Endpoint> {
    let key = stable_hash(&number.to_be_bytes());
    Arc::new(Endpoint::new(key, NonZeroU32::new(weight).unwrap(), zone.map(Into::into)))
}

fn with_policy(policy: Policy) -> BalancerSettings {
    BalancerSettings { policy, ..BalancerSettings::default() }
}

impl Bench {
    fn new(endpoints: Vec<Arc<Endpoint>>, settings: BalancerSettings) -> Self {
        let balancer = Balancer::new(endpoints, settings);
        Self { balancer, now: Duration::from_secs(100), draws: Draws::new(1) }
    }

    /// So many endpoints alike.
    fn of(count: usize, settings: BalancerSettings) -> Self {
        Self::new((0..count).map(|number| endpoint(number, 1, None)).collect(), settings)
    }

    /// As [`Self::of`], each with one answer of so many milliseconds.
    fn answered(latencies: &[u64], settings: BalancerSettings) -> Self {
        let mut bench = Self::of(latencies.len(), settings);
        for (index, latency) in latencies.iter().enumerate() {
            bench.observe(
                index,
                Observation::new(Outcome::Success, Duration::from_millis(*latency)),
            );
        }
        bench
    }

    fn pick(&mut self) -> Pick {
        self.balancer.pick(self.now, self.draws.next(), None, |_| false).unwrap()
    }

    fn observe(&mut self, index: usize, observation: Observation) -> Option<EjectionCause> {
        self.balancer.observe(self.now, index, observation, u64::MAX / 2)
    }

    /// An outcome after ten milliseconds.
    fn see(&mut self, index: usize, outcome: Outcome) -> Option<EjectionCause> {
        self.observe(index, Observation::new(outcome, Duration::from_millis(10)))
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn state(&self, index: usize) -> EndpointState {
        self.balancer.state(self.now, index).unwrap()
    }

    /// How many of 1,000 requests each endpoint gets, none of them answered and none under way at the same time.
    fn shares(&mut self) -> Vec<usize> {
        let mut shares = vec![0; self.balancer.endpoints().len()];
        (0..1000).for_each(|_| shares[self.pick().index] += 1);
        shares
    }
}

/// Each within so many of what is expected.
fn about(shares: &[usize], expect: &[usize], margin: usize, name: &str) {
    assert_eq!(shares.len(), expect.len(), "{name}");
    let close = shares.iter().zip(expect).all(|(share, expect)| share.abs_diff(*expect) <= margin);
    assert!(close, "{name}: {shares:?}, not {expect:?}");
}

#[test]
fn nobody_is_picked_from_nobody() {
    let balancer = Balancer::new(Vec::new(), BalancerSettings::default());
    assert_eq!(balancer.pick(Duration::ZERO, 1, Some(1), |_| false), None);
    let observation = Observation::new(Outcome::Success, Duration::ZERO);
    assert_eq!(balancer.observe(Duration::ZERO, 0, observation, 1), None);
    assert_eq!(balancer.state(Duration::ZERO, 0), None);
}

#[test]
fn each_policy_divides_equals_evenly() {
    let policies = [Policy::PeakEwma, Policy::LeastRequest, Policy::RoundRobin, Policy::Random];
    for policy in policies {
        let shares = Bench::of(4, with_policy(policy)).shares();
        about(&shares, &[250; 4], 40, &format!("{policy:?}"));
    }
}

#[test]
fn each_policy_keeps_to_weights() {
    let weighted = || vec![endpoint(0, 6, None), endpoint(1, 3, None), endpoint(2, 1, None)];
    for policy in [Policy::RoundRobin, Policy::Random] {
        let shares = Bench::new(weighted(), with_policy(policy)).shares();
        about(&shares, &[600, 300, 100], 40, &format!("{policy:?}"));
    }
    // Of two different ones, the heavy one is in most pairs, and equals are taken in the order of the draw.
    let shares = Bench::new(weighted(), with_policy(Policy::PeakEwma)).shares();
    about(&shares, &[600, 300, 100], 40, "peak-EWMA");
}

#[test]
fn round_robin_goes_round() {
    let mut bench = Bench::of(3, with_policy(Policy::RoundRobin));
    let turns: Vec<_> = (0..6).map(|_| bench.pick().index).collect();
    let first = turns[0];
    let expect: Vec<_> = (0..6).map(|turn| (first + turn) % 3).collect();
    assert_eq!(turns, expect);
}

#[test]
fn the_cheaper_one_is_picked() {
    let rows = [
        ("the faster", vec![5, 50], vec![0, 0], vec![1000, 0]),
        ("the faster, until it has more to do", vec![5, 50], vec![20, 0], vec![0, 1000]),
        ("the one with less to do", vec![10, 10], vec![1, 0], vec![0, 1000]),
        ("never the slowest of three", vec![10, 20, 30], vec![0, 0, 0], vec![667, 333, 0]),
    ];
    for (name, latencies, in_flight, expect) in rows {
        let mut bench = Bench::answered(&latencies, BalancerSettings::default());
        let endpoints = bench.balancer.endpoints().iter().cloned();
        let begin = |(endpoint, count): (Arc<Endpoint>, &usize)| {
            (0..*count).map(|_| InFlight::begin(endpoint.clone())).collect::<Vec<_>>()
        };
        let _in_flight: Vec<_> = endpoints.zip(&in_flight).flat_map(begin).collect();
        about(&bench.shares(), &expect, 40, name);
    }
}

#[test]
fn least_request_knows_no_latency() {
    let mut bench = Bench::answered(&[5, 500], with_policy(Policy::LeastRequest));
    about(&bench.shares(), &[500, 500], 50, "idle");
    let _busy = InFlight::begin(bench.balancer.endpoints()[0].clone());
    assert_eq!(bench.shares(), [0, 1000]);
}

#[test]
fn one_request_tries_an_endpoint_that_never_answered() {
    let mut bench = Bench::answered(&[10, 10], BalancerSettings::default());
    let mut endpoints = bench.balancer.endpoints().to_vec();
    endpoints.push(endpoint(2, 1, None));
    bench.balancer = Balancer::new(endpoints, BalancerSettings::default());
    assert_eq!(bench.shares()[2], 1);
    bench.see(2, Outcome::Success);
    about(&bench.shares(), &[333; 3], 50, "then it is like the others");
}

#[test]
fn a_fast_failure_draws_no_traffic() {
    for outcome in [Outcome::ServerError, Outcome::GatewayError, Outcome::Overloaded] {
        let mut bench = Bench::answered(&[100, 100, 100], BalancerSettings::default());
        bench.observe(0, Observation::new(outcome, Duration::from_millis(1)));
        assert_eq!(bench.shares()[0], 0, "{outcome:?}");
    }
}

#[test]
fn an_endpoint_is_left_alone_for_as_long_as_it_asks() {
    let mut bench = Bench::answered(&[100, 100], BalancerSettings::default());
    let minute = Some(Duration::from_secs(60));
    bench.observe(0, Observation::of_status(429, Duration::from_millis(1), minute));
    for _ in 0..55 {
        bench.wait(1);
        bench.see(1, Outcome::Success);
        assert_eq!(bench.pick().index, 1);
    }
}

#[test]
fn what_is_excepted_is_not_picked() {
    for policy in [
        Policy::PeakEwma,
        Policy::LeastRequest,
        Policy::RoundRobin,
        Policy::Random,
        Policy::ConsistentHash,
    ] {
        let mut bench = Bench::of(3, with_policy(policy));
        for hash in 0..100 {
            let random = bench.draws.next();
            let pick = |except: &dyn Fn(usize) -> bool| {
                bench.balancer.pick(bench.now, random, Some(hash), except)
            };
            assert_ne!(pick(&|index| index == 1).unwrap().index, 1, "{policy:?}");
            assert_eq!(pick(&|index| index != 2).unwrap().index, 2, "{policy:?}");
            assert_eq!(pick(&|_| true), None, "{policy:?}");
        }
    }
}

#[test]
fn a_key_belongs_to_an_endpoint_and_few_keys_move() {
    let settings = || with_policy(Policy::ConsistentHash);
    let owner = |bench: &Bench, key: u64, except: Option<usize>| {
        let key = stable_hash(&key.to_be_bytes());
        bench.balancer.pick(bench.now, key, Some(key), |index| Some(index) == except).unwrap().index
    };
    let (five, four) = (Bench::of(5, settings()), Bench::of(4, settings()));
    let mut shares = [0; 5];
    for key in 0..1000 {
        let before = owner(&five, key, None);
        shares[before] += 1;
        assert_eq!(owner(&five, key, None), before, "the same at each time");
        let after = owner(&four, key, None);
        assert!(before == after || before == 4, "only the keys of the one that went move");
        assert_eq!(owner(&five, key, Some(4)), after, "as if it were not there");
    }
    about(&shares, &[200; 5], 45, "even");
}

#[test]
fn keys_are_divided_by_weight() {
    let endpoints = vec![endpoint(0, 8, None), endpoint(1, 1, None), endpoint(2, 1, None)];
    let bench = Bench::new(endpoints, with_policy(Policy::ConsistentHash));
    let mut shares = [0; 3];
    for key in 0..1000_u64 {
        let key = stable_hash(&key.to_be_bytes());
        shares[bench.balancer.pick(bench.now, 1, Some(key), |_| false).unwrap().index] += 1;
    }
    about(&shares, &[800, 100, 100], 40, "by weight");
}

#[test]
fn a_request_without_a_key_is_balanced() {
    let mut bench = Bench::answered(&[5, 500], with_policy(Policy::ConsistentHash));
    assert_eq!(bench.shares(), [1000, 0]);
}

#[test]
fn the_own_zone_is_preferred_while_it_carries_its_share() {
    /// Name, the caller's zone, those of the endpoints, the shares.
    type Row = (&'static str, Option<&'static str>, &'static [&'static str], &'static [usize]);
    let rows: [Row; 8] = [
        ("an even division", Some("a"), &["a", "b", "c"], &[1000, 0, 0]),
        ("more than its share", Some("a"), &["a", "a", "b"], &[500, 500, 0]),
        ("a little less", Some("a"), &["a", "a", "b", "b", "b"], &[500, 500, 0, 0, 0]),
        ("much less", Some("a"), &["a", "b", "b", "b"], &[250, 250, 250, 250]),
        ("none", Some("a"), &["b", "c"], &[500, 500]),
        ("an unknown zone of the caller", None, &["a", "b"], &[500, 500]),
        ("unknown zones beside", Some("a"), &["a", ""], &[1000, 0]),
        ("unknown zones alone", Some("a"), &["", ""], &[500, 500]),
    ];
    for (name, own, zones, expect) in rows {
        let settings =
            BalancerSettings { own_zone: own.map(Into::into), ..with_policy(Policy::Random) };
        let zone = |zone: &'static str| Some(zone).filter(|zone| !zone.is_empty());
        let endpoints = zones.iter().enumerate().map(|(at, name)| endpoint(at, 1, zone(name)));
        about(&Bench::new(endpoints.collect(), settings).shares(), expect, 60, name);
    }
}

#[test]
fn requests_leave_a_zone_that_fails_and_come_back() {
    let settings = BalancerSettings { own_zone: Some("a".into()), ..BalancerSettings::default() };
    let zones = ["a", "a", "b", "b"].into_iter().enumerate();
    let endpoints = zones.map(|(at, zone)| endpoint(at, 1, Some(zone))).collect();
    let mut bench = Bench::new(endpoints, settings);
    (0..4).for_each(|index| assert_eq!(bench.see(index, Outcome::Success), None));
    bench.see(0, Outcome::Unreachable);
    about(&bench.shares(), &[0, 333, 333, 333], 60, "one of three is too little for a half");
    bench.see(1, Outcome::Unreachable);
    about(&bench.shares(), &[0, 0, 500, 500], 60, "none is left");
    bench.wait(6);
    // Each of these is tried once.
    let tried: Vec<_> = (0..50).map(|_| bench.pick()).filter(|pick| pick.probe).collect();
    assert_eq!(tried.len(), 2);
    tried.iter().for_each(|pick| _ = bench.see(pick.index, Outcome::Success));
    bench.wait(1);
    about(&bench.shares(), &[500, 500, 0, 0], 60, "both are back");
}

#[test]
fn an_endpoint_that_joins_warms_up() {
    let settings =
        BalancerSettings { warm_up: Some(Duration::from_secs(100)), ..with_policy(Policy::Random) };
    for policy in [Policy::Random, Policy::RoundRobin, Policy::LeastRequest] {
        let now = Duration::from_secs(100);
        let joining = Arc::new(Endpoint::joining(7, NonZeroU32::MIN, None, now));
        let endpoints = vec![endpoint(0, 1, None), joining];
        let mut bench = Bench::new(endpoints, BalancerSettings { policy, ..settings.clone() });
        assert_eq!(bench.state(1), EndpointState::Warming);
        let at_first = bench.shares()[1];
        bench.wait(50);
        let half_way = bench.shares()[1];
        bench.wait(50);
        let warm = bench.shares()[1];
        assert_eq!(bench.state(1), EndpointState::Healthy);
        let close = |share: usize, expect: usize| share.abs_diff(expect) < 60;
        assert!(close(at_first, 91) && close(warm, 500), "{policy:?}: {at_first}, {warm}");
        assert!(close(half_way, 333), "{policy:?}: {half_way}");
    }
}

#[test]
fn states_are_counted() {
    let mut bench = Bench::of(4, BalancerSettings::default());
    bench.see(0, Outcome::Unreachable);
    (0..5).for_each(|_| _ = bench.see(1, Outcome::GatewayError));
    assert_eq!(bench.balancer.count_states(bench.now), [2, 0, 1, 1, 0]);
    bench.wait(20);
    assert_eq!(bench.balancer.count_states(bench.now), [2, 0, 0, 0, 2]);
}
