//! The simulation: callers that each have a balancer of their own, endpoints, and the events between them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use balancer::{Balancer, BalancerSettings, Endpoint, InFlight, Observation, Outcome, stable_hash};

use crate::scenarios::Placed;
use crate::server::{CAPACITY, Fault, Server};

/// Proxies that call the service: none knows what the others have under way.
const CALLERS: usize = 4;

/// The length of one play.
const REQUESTS: usize = 10_000;

/// Who has no answer by then gives up, microseconds.
const REQUEST_TIMEOUT: u64 = 10_000_000;

/// One play of a scenario.
pub(crate) struct World<'a> {
    endpoints: &'a [Placed],
    settings: &'a BalancerSettings,
    /// Requests, in what one healthy endpoint can do.
    load: f64,
    random: Random,
    servers: Vec<Server>,
    /// That of each caller.
    balancers: Vec<Arc<Balancer>>,
    /// Ends of requests, the earliest first.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    requests: Vec<Request>,
    now: u64,
}

struct Request {
    began: u64,
    took: u64,
    index: usize,
    outcome: Outcome,
    balancer: Arc<Balancer>,
    in_flight: Option<InFlight>,
}

/// How a request ended: in milliseconds, where it succeeded.
pub(crate) type Result = Option<f64>;

impl<'a> World<'a> {
    pub(crate) fn new(
        endpoints: &'a [Placed],
        load: f64,
        settings: &'a BalancerSettings,
        seed: u64,
    ) -> Self {
        let server = |(zone, fault): &Placed| Server::new(*fault, zone.distance());
        let mut world = Self {
            endpoints,
            settings,
            load,
            random: Random(seed),
            servers: endpoints.iter().map(server).collect(),
            balancers: Vec::new(),
            ends: BinaryHeap::new(),
            requests: Vec::new(),
            now: 0,
        };
        world.balancers = (0..CALLERS).map(|_| world.balancer()).collect();
        world
    }

    /// Sends all requests, at random moments, and waits for their ends.
    pub(crate) fn play(mut self) -> Vec<Result> {
        let interval = 1_000_000.0 / (self.load * CAPACITY);
        let mut next = 0.0;
        while self.requests.len() < REQUESTS {
            next += interval * self.random.exponential();
            self.end_requests(next as u64);
            self.join_endpoints(next as u64);
            self.now = next as u64;
            self.send();
        }
        self.end_requests(u64::MAX);
        self.requests.iter().map(|request| request.result()).collect()
    }

    fn balancer(&self) -> Arc<Balancer> {
        let there = self.endpoints.iter().filter(|(_, fault)| fault.joins().is_none());
        let endpoints = there.enumerate().map(|(index, (zone, _))| {
            Arc::new(Endpoint::new(key(index), NonZeroU32::MIN, Some(zone.name().into())))
        });
        Arc::new(Balancer::new(endpoints.collect(), self.settings.clone()))
    }

    /// Those that join stand last in the scenario.
    fn join_endpoints(&mut self, now: u64) {
        let since = self.now..now;
        let joins =
            |fault: &Fault| fault.joins().is_some_and(|at| since.contains(&(at * 1_000_000)));
        for (index, (zone, _)) in self.endpoints.iter().enumerate().filter(|(_, one)| joins(&one.1))
        {
            for balancer in &mut self.balancers {
                let (zone, now) = (Some(zone.name().into()), Duration::from_micros(now));
                let mut endpoints = balancer.endpoints().to_vec();
                endpoints.push(Arc::new(Endpoint::joining(key(index), NonZeroU32::MIN, zone, now)));
                *balancer = Arc::new(Balancer::new(endpoints, self.settings.clone()));
            }
        }
    }

    fn send(&mut self) {
        let caller = usize::try_from(self.random.below(CALLERS as u64)).unwrap();
        let (balancer, began) = (self.balancers[caller].clone(), self.now);
        let random = self.random.next();
        let pick = balancer.pick(Duration::from_micros(began), random, None, |_| false).unwrap();
        let index = pick.index;
        let in_flight = Some(InFlight::begin(balancer.endpoints()[index].clone()));
        let (ends, outcome) = match self.servers[index].take(began, &mut self.random) {
            (ends, _) if ends > began + REQUEST_TIMEOUT => {
                (began + REQUEST_TIMEOUT, Outcome::GatewayError)
            }
            in_time => in_time,
        };
        self.ends.push(Reverse((ends, self.requests.len())));
        let took = ends - began;
        self.requests.push(Request { began, took, index, outcome, balancer, in_flight });
    }

    fn end_requests(&mut self, until: u64) {
        while self.ends.peek().is_some_and(|Reverse((at, _))| *at <= until) {
            let Some(Reverse((_, number))) = self.ends.pop() else { return };
            let request = &mut self.requests[number];
            request.in_flight = None;
            let took = Duration::from_micros(request.took);
            let now = Duration::from_micros(request.began) + took;
            let observation = Observation::new(request.outcome, took);
            let random = self.random.next();
            request.balancer.observe(now, request.index, observation, random);
        }
    }
}

impl Request {
    fn result(&self) -> Result {
        (self.outcome == Outcome::Success).then_some(self.took as f64 / 1000.0)
    }
}

fn key(index: usize) -> u64 {
    stable_hash(&index.to_be_bytes())
}

/// What comes of many requests.
pub(crate) struct Figures {
    /// Percent.
    pub(crate) success: f64,
    /// Milliseconds, of those that succeeded.
    pub(crate) p99: f64,
}

impl Figures {
    pub(crate) fn of(results: Vec<Result>) -> Self {
        let all = results.len();
        let mut latencies: Vec<f64> = results.into_iter().flatten().collect();
        latencies.sort_by(f64::total_cmp);
        let p99 = latencies[latencies.len() * 99 / 100];
        Self { success: latencies.len() as f64 * 100.0 / all as f64, p99 }
    }
}

/// Random numbers from a seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// With a mean of 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -(((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64).ln()
    }
}
