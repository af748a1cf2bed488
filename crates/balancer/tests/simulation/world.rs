//! The simulation: callers that each have a balancer of their own, endpoints, and the events between them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use balancer::{Balancer, BalancerSettings, Endpoint, InFlight, Observation, Outcome, stable_hash};

use crate::scenarios::Placed;
use crate::server::{CAPACITY, Server};

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
    callers: Vec<Caller>,
    /// Ends of requests, the earliest first.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    requests: Vec<Request>,
    now: u64,
}

struct Caller {
    balancer: Arc<Balancer>,
}

struct Request {
    began: u64,
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
            callers: Vec::new(),
            ends: BinaryHeap::new(),
            requests: Vec::new(),
            now: 0,
        };
        world.callers = (0..CALLERS).map(|_| world.caller()).collect();
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

    fn caller(&self) -> Caller {
        let there = self.endpoints.iter().filter(|(_, fault)| fault.joins().is_none());
        let endpoints = there.enumerate().map(|(index, (zone, _))| {
            Arc::new(Endpoint::new(key(index), NonZeroU32::MIN, Some(zone.name().into())))
        });
        Caller { balancer: Arc::new(Balancer::new(endpoints.collect(), self.settings.clone())) }
    }

    /// Those that join stand last in the scenario.
    fn join_endpoints(&mut self, now: u64) {
        for (index, (zone, fault)) in self.endpoints.iter().enumerate() {
            let Some(joins) = fault.joins() else { continue };
            if (self.now..now).contains(&(joins * 1_000_000)) {
                let at = Duration::from_micros(now);
                for caller in &mut self.callers {
                    let zone = Some(zone.name().into());
                    let endpoint = Endpoint::joining(key(index), NonZeroU32::MIN, zone, at);
                    let mut endpoints = caller.balancer.endpoints().to_vec();
                    endpoints.push(Arc::new(endpoint));
                    caller.balancer = Arc::new(Balancer::new(endpoints, self.settings.clone()));
                }
            }
        }
    }

    fn send(&mut self) {
        let caller = usize::try_from(self.random.below(CALLERS as u64)).unwrap();
        let balancer = self.callers[caller].balancer.clone();
        let now = Duration::from_micros(self.now);
        let pick = balancer.pick(now, self.random.next(), None, |_| false).unwrap();
        let in_flight = Some(InFlight::begin(balancer.endpoints()[pick.index].clone()));
        let (ends, outcome) = self.servers[pick.index].take(self.now, &mut self.random);
        let deadline = self.now + REQUEST_TIMEOUT;
        let late = ends > deadline;
        let (ends, outcome) =
            if late { (deadline, Outcome::GatewayError) } else { (ends, outcome) };
        self.ends.push(Reverse((ends, self.requests.len())));
        let (began, index) = (self.now, pick.index);
        self.requests.push(Request { began, index, outcome, balancer, in_flight });
    }

    fn end_requests(&mut self, until: u64) {
        while let Some(Reverse((at, number))) = self.ends.peek().copied().filter(|e| e.0.0 <= until)
        {
            self.ends.pop();
            let request = &mut self.requests[number];
            drop(request.in_flight.take());
            let latency = at - request.began;
            let observation = Observation::new(request.outcome, Duration::from_micros(latency));
            let now = Duration::from_micros(at);
            let random = self.random.next();
            request.balancer.observe(now, request.index, observation, random);
            request.began = latency;
        }
    }
}

impl Request {
    fn result(&self) -> Result {
        // Its beginning has become its latency.
        (self.outcome == Outcome::Success).then_some(self.began as f64 / 1000.0)
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
