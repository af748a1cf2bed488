//! What holds whatever happens.

use proptest::prelude::*;

use super::*;

/// Something that happens to a balancer.
#[derive(Debug, Clone)]
enum Event {
    /// A request is sent, and ends in this way.
    Send { random: u64, hash: u64, outcome: Outcome, latency: u64 },
    /// Time passes, milliseconds.
    Wait(u64),
    /// Some endpoints go, by the bits of a number.
    Change(u64),
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Success),
        Just(Outcome::ServerError),
        Just(Outcome::GatewayError),
        Just(Outcome::Unreachable),
        Just(Outcome::Overloaded),
        Just(Outcome::Cancelled),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let sent = (any::<u64>(), any::<u64>(), outcomes(), 0..100_000_u64);
    let send = sent.prop_map(|(random, hash, outcome, latency)| Event::Send {
        random,
        hash,
        outcome,
        latency,
    });
    prop_oneof![
        20 => send,
        2 => (0..20_000_u64).prop_map(Event::Wait),
        1 => any::<u64>().prop_map(Event::Change),
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::PeakEwma),
        Just(Policy::LeastRequest),
        Just(Policy::RoundRobin),
        Just(Policy::Random),
        Just(Policy::ConsistentHash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn someone_is_always_picked_and_never_too_many_are_ejected(
        weights in prop::collection::vec(1_u32.., 1..12),
        policy in policies(),
        percent in 0..=100_u8,
        zoned in any::<bool>(),
        warm_up in prop::option::of(0..100_u64),
        events in prop::collection::vec(events(), 1..300),
    ) {
        let settings = BalancerSettings {
            outliers: OutlierDetection { max_ejection_percent: percent, ..Default::default() },
            warm_up: warm_up.map(Duration::from_secs),
            own_zone: zoned.then(|| "zone-0".into()),
            ..with_policy(policy)
        };
        let zone = |number| format!("zone-{}", number % 3);
        let each = weights.iter().enumerate();
        let all: Vec<_> = each.map(|(at, weight)| endpoint(at, *weight, Some(&zone(at)))).collect();
        let mut bench = Bench::new(all.clone(), settings.clone());
        for event in events {
            match event {
                Event::Wait(milliseconds) => bench.now += Duration::from_millis(milliseconds),
                Event::Change(kept) => {
                    let keep = |(at, one): (usize, &Arc<Endpoint>)| {
                        (kept >> at & 1 == 1 || at == 0).then(|| one.clone())
                    };
                    let kept = all.iter().enumerate().filter_map(keep).collect();
                    bench.balancer = Balancer::new(kept, settings.clone());
                }
                Event::Send { random, hash, outcome, latency } => {
                    let pick = bench.balancer.pick(bench.now, random, Some(hash), |_| false);
                    let Some(pick) = pick else { return Err(TestCaseError::fail("nobody is picked")) };
                    let ejected = bench.balancer.count_ejected();
                    prop_assert!(ejected <= bench.balancer.most_ejected(), "{ejected} are ejected");
                    let state = bench.state(pick.index);
                    prop_assert!(
                        pick.last_resort || state != EndpointState::Ejected && state != EndpointState::Resting,
                        "{pick:?} is {state:?}"
                    );
                    bench.observe(pick.index, Observation::new(outcome, Duration::from_micros(latency)));
                }
            }
        }
    }
}
