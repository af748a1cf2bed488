//! Workers that pick and learn at the same time.

use super::*;

const WORKERS: usize = 4;

#[test]
fn workers_together_never_empty_a_cluster() {
    for round in 0..200 {
        let bench = Bench::of(3, BalancerSettings::default());
        let ejections: usize = std::thread::scope(|scope| {
            let work = |worker: usize| {
                let (balancer, now) = (&bench.balancer, bench.now);
                let observation = Observation::new(Outcome::GatewayError, Duration::ZERO);
                // Each begins with another endpoint, so that several are about to be ejected at once.
                let causes = (0..30).map(move |turn| (worker + turn / 5) % 3);
                causes
                    .filter(|index| balancer.observe(now, *index, observation, 1).is_some())
                    .count()
            };
            let threads: Vec<_> =
                (0..WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(ejections, 1, "round {round}");
        assert_eq!(bench.balancer.count_ejected(), 1, "round {round}");
    }
}

#[test]
fn workers_together_count_what_is_under_way() {
    let bench = Bench::of(5, BalancerSettings::default());
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (balancer, now) = (&bench.balancer, bench.now);
            scope.spawn(move || {
                let mut draws = Draws::new(worker as u64);
                for turn in 0..20_000 {
                    let now = now + Duration::from_micros(turn * 100);
                    let pick = balancer.pick(now, draws.next(), None, |_| false).unwrap();
                    let in_flight = InFlight::begin(balancer.endpoints()[pick.index].clone());
                    let status = if draws.chance(0.02) { 503 } else { 200 };
                    let latency = Duration::from_micros(draws.next() % 50_000);
                    let observation = Observation::of_status(status, latency, None);
                    balancer.observe(now, pick.index, observation, draws.next());
                    drop(in_flight);
                }
            });
        }
    });
    let in_flight = bench.balancer.endpoints().iter().map(|endpoint| endpoint.in_flight());
    assert_eq!(in_flight.sum::<u32>(), 0);
    let latencies = bench.balancer.endpoints().iter().filter_map(|endpoint| endpoint.latency());
    assert!(latencies.clone().count() == 5);
    assert!(latencies.into_iter().all(|latency| latency < Duration::from_secs(6)));
}
