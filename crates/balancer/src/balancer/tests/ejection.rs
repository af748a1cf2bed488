//! When endpoints are left out, and when they are back.

use super::*;

fn fail(bench: &mut Bench, index: usize) -> Option<EjectionCause> {
    (0..5).filter_map(|_| bench.see(index, Outcome::GatewayError)).last()
}

fn with_percent(percent: u8) -> BalancerSettings {
    let outliers =
        OutlierDetection { max_ejection_percent: percent, ..OutlierDetection::default() };
    BalancerSettings { outliers, ..with_policy(Policy::Random) }
}

#[test]
fn a_small_cluster_is_never_emptied() {
    let rows = [
        ("the only one", 1, 50, 0),
        ("one of two", 2, 50, 1),
        ("one of three", 3, 50, 1),
        ("two of four", 4, 50, 2),
        ("two of five", 5, 50, 2),
        ("a tenth of nine is none", 9, 10, 0),
        ("a tenth of ten", 10, 10, 1),
        ("all but the last", 3, 100, 2),
        ("all but the only one", 1, 100, 0),
        ("more than all is all", 2, 255, 1),
        ("none", 10, 0, 0),
    ];
    for (name, endpoints, percent, expect) in rows {
        let mut bench = Bench::of(endpoints, with_percent(percent));
        let ejected = (0..endpoints).filter(|index| fail(&mut bench, *index).is_some()).count();
        assert_eq!(ejected, expect, "{name}");
        let states: Vec<_> = (0..endpoints).map(|index| bench.state(index)).collect();
        let marked = states.iter().filter(|state| **state == EndpointState::Ejected).count();
        assert_eq!(marked, expect, "{name}");
        assert!((0..100).all(|_| !bench.pick().last_resort), "{name}");
    }
}

#[test]
fn an_ejected_endpoint_gets_nothing_then_one_request_then_its_share() {
    let mut bench = Bench::of(2, with_policy(Policy::Random));
    assert_eq!(fail(&mut bench, 0), Some(EjectionCause::GatewayErrors));
    assert_eq!(bench.state(0), EndpointState::Ejected);
    assert_eq!(bench.shares(), [0, 1000]);
    bench.wait(11);
    assert_eq!(bench.state(0), EndpointState::Probing);
    assert_eq!(bench.shares(), [1, 999], "one request finds out");
    assert_eq!(bench.see(0, Outcome::Success), None);
    assert_eq!(bench.state(0), EndpointState::Healthy);
    about(&bench.shares(), &[500, 500], 60, "back");
}

#[test]
fn a_failed_probe_ejects_for_longer() {
    for outcome in [Outcome::GatewayError, Outcome::ServerError, Outcome::Unreachable] {
        let mut bench = Bench::of(2, with_policy(Policy::Random));
        fail(&mut bench, 0);
        bench.wait(11);
        assert_eq!(bench.shares(), [1, 999]);
        assert_eq!(bench.see(0, outcome), Some(EjectionCause::Probe), "{outcome:?}");
        bench.wait(19);
        assert_eq!(bench.shares(), [0, 1000], "twice as long");
        bench.wait(2);
        assert_eq!(bench.shares(), [1, 999]);
    }
}

#[test]
fn a_probe_that_is_not_answered_is_followed_by_another() {
    let mut bench = Bench::of(2, with_policy(Policy::Random));
    fail(&mut bench, 0);
    bench.wait(11);
    for _ in 0..5 {
        assert_eq!(bench.shares(), [1, 999]);
        bench.wait(1);
    }
}

#[test]
fn an_answer_from_before_ends_no_ejection() {
    let mut bench = Bench::of(2, with_policy(Policy::Random));
    fail(&mut bench, 0);
    bench.see(0, Outcome::Success);
    assert_eq!(fail(&mut bench, 0), None, "nor do failures from before prolong it");
    bench.wait(9);
    assert_eq!(bench.shares(), [0, 1000]);
    bench.wait(2);
    assert_eq!(bench.shares(), [1, 999]);
}

#[test]
fn one_that_is_back_is_judged_anew_and_warms_up() {
    let settings =
        BalancerSettings { warm_up: Some(Duration::from_secs(100)), ..BalancerSettings::default() };
    let mut bench = Bench::answered(&[10, 10], settings);
    fail(&mut bench, 0);
    bench.wait(11);
    while !bench.pick().probe {}
    bench.see(0, Outcome::Success);
    assert_eq!(bench.state(0), EndpointState::Warming);
    let latency = bench.balancer.endpoints()[0].latency();
    assert_eq!(latency, Some(Duration::from_millis(10)), "what it failed for is forgotten");
    assert_eq!(bench.see(0, Outcome::GatewayError), None, "four more are needed");
}

#[test]
fn one_that_could_not_be_reached_rests_and_is_tried() {
    let mut bench = Bench::of(2, with_policy(Policy::Random));
    assert_eq!(bench.see(0, Outcome::Unreachable), None);
    assert_eq!(bench.state(0), EndpointState::Resting);
    assert_eq!(bench.shares(), [0, 1000]);
    bench.wait(5);
    assert_eq!(bench.state(0), EndpointState::Probing);
    assert_eq!(bench.shares(), [1, 999]);
    bench.see(0, Outcome::Success);
    about(&bench.shares(), &[500, 500], 60, "back");
}

#[test]
fn any_answer_ends_a_rest() {
    for outcome in [Outcome::Success, Outcome::ServerError, Outcome::Overloaded] {
        let mut bench = Bench::of(2, with_policy(Policy::Random));
        bench.see(0, Outcome::Unreachable);
        bench.see(0, outcome);
        assert_eq!(bench.state(0), EndpointState::Healthy, "{outcome:?}");
    }
}

#[test]
fn without_a_rest_nobody_is_passed_over() {
    let settings = BalancerSettings { rest: Duration::ZERO, ..with_policy(Policy::Random) };
    let mut bench = Bench::of(2, settings);
    bench.see(0, Outcome::Unreachable);
    assert_eq!(bench.state(0), EndpointState::Healthy);
}

#[test]
fn where_nobody_should_be_asked_one_is_all_the_same() {
    for policy in [Policy::PeakEwma, Policy::RoundRobin, Policy::ConsistentHash] {
        let mut bench = Bench::of(3, with_policy(policy));
        (0..3).for_each(|index| _ = bench.see(index, Outcome::Unreachable));
        let pick = bench.balancer.pick(bench.now, 1, Some(1), |_| false).unwrap();
        assert!(pick.last_resort && !pick.probe, "{policy:?}");
        let except = |index| index == pick.index;
        let other = bench.balancer.pick(bench.now, 1, Some(1), except).unwrap();
        assert!(other.last_resort && other.index != pick.index, "{policy:?}");
    }
}

#[test]
fn who_asks_for_an_alternative_uses_up_no_probe() {
    let mut bench = Bench::of(2, with_policy(Policy::Random));
    let has_other = |bench: &Bench| bench.balancer.has_alternative(bench.now, |index| index == 0);
    assert!(has_other(&bench));
    bench.see(1, Outcome::Unreachable);
    assert!(!has_other(&bench), "it rests");
    bench.wait(5);
    assert!(has_other(&bench) && has_other(&bench), "it may be tried");
    assert_eq!(bench.shares(), [999, 1]);
    assert!(!has_other(&bench), "it is being tried");
}

#[test]
fn a_key_moves_while_its_endpoint_is_out() {
    let mut bench = Bench::of(3, with_policy(Policy::ConsistentHash));
    let owner = |bench: &Bench| bench.balancer.pick(bench.now, 1, Some(7), |_| false).unwrap();
    let home = owner(&bench).index;
    fail(&mut bench, home);
    let other = owner(&bench);
    assert!(other.index != home && !other.last_resort);
    bench.wait(11);
    let probe = owner(&bench);
    assert!(probe.index == home && probe.probe);
    assert_eq!(owner(&bench).index, other.index, "while it is tried");
    bench.see(home, Outcome::Success);
    assert_eq!(owner(&bench).index, home);
}

#[test]
fn when_healthy_ones_go_the_ejected_come_back() {
    let mut bench = Bench::of(4, with_policy(Policy::Random));
    fail(&mut bench, 0);
    bench.wait(1);
    fail(&mut bench, 1);
    let left = bench.balancer.endpoints()[..2].to_vec();
    bench.balancer = Balancer::new(left, with_policy(Policy::Random));
    assert_eq!(bench.shares(), [1000, 0], "the one whose time ends first");
    assert_eq!(bench.state(0), EndpointState::Healthy);
}

#[test]
fn where_ejection_is_turned_off_all_come_back() {
    let mut bench = Bench::of(4, with_policy(Policy::Random));
    fail(&mut bench, 0);
    let outliers = OutlierDetection::off();
    let settings = BalancerSettings { outliers, ..with_policy(Policy::Random) };
    bench.balancer = Balancer::new(bench.balancer.endpoints().to_vec(), settings);
    about(&bench.shares(), &[250; 4], 60, "at the next pick");
    assert_eq!(fail(&mut bench, 0), None);
}

#[test]
fn where_few_are_healthy_ejection_is_disregarded() {
    let outliers = OutlierDetection { min_health_percent: 60, ..OutlierDetection::default() };
    let mut bench =
        Bench::of(4, BalancerSettings { outliers, ..with_policy(Policy::LeastRequest) });
    fail(&mut bench, 0);
    assert_eq!(bench.shares()[0], 0, "three of four are left");
    fail(&mut bench, 1);
    about(&bench.shares(), &[250; 4], 60, "two of four are too few");
    assert!(bench.pick().last_resort);
    bench.wait(11);
    for _ in 0..200 {
        let index = bench.pick().index;
        bench.see(index, Outcome::Success);
    }
    assert!(!bench.pick().last_resort, "their time is over, and they answered");
    about(&bench.shares(), &[250; 4], 60, "all are back");
}
