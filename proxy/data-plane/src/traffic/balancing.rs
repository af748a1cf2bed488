//! The balancers of the services in use: what all workers know of the endpoints of a service's port.
//!
//! A worker asks here when the endpoints of a service have changed, and keeps what it gets. What is shared after that is
//! the counters of each endpoint, without a lock.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use balancer::{
    Balancer, BalancerSettings, Endpoint, EndpointState, OutlierDetection, Policy, RetryBudget,
    SuccessRate, stable_hash,
};
use parking_lot::Mutex;
use policy::traffic_policy::{BalancingAlgorithm, LoadBalancing};
use policy::{Locality, TrafficPolicy};

use crate::telemetry::metrics::Metrics;

/// The balanced services of the process.
#[derive(Default)]
pub struct Balancers(Mutex<HashMap<BalancerKey, Arc<BalancedService>>>);

/// The port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BalancerKey {
    /// The namespace of the resource that defines the service.
    pub namespace: Arc<str>,
    /// Its host.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
}

/// What all workers know of a service's port.
#[derive(Default)]
pub struct BalancedService {
    /// How many of its latest requests were repeated.
    pub retry_budget: RetryBudget,
    /// Requests under way.
    pub requests: AtomicU32,
    /// Repeated requests under way.
    pub retries: AtomicU32,
    members: Mutex<Option<Members>>,
}

/// What the balancers hold of endpoints, for a page: by the service's host and the endpoint's address.
#[derive(Debug, Default)]
pub struct EndpointStates(HashMap<(Arc<str>, IpAddr), (&'static str, u32)>);

impl EndpointStates {
    /// The state of an endpoint and its requests under way; `None` where nobody has called it.
    #[must_use]
    pub fn of(&self, host: &Arc<str>, address: IpAddr) -> Option<(&'static str, u32)> {
        self.0.get(&(Arc::clone(host), address)).copied()
    }
}

/// Where an endpoint is, and its share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EndpointPlace {
    /// Its address.
    pub address: SocketAddr,
    /// Its share, relative to those of the others.
    pub weight: NonZeroU32,
    /// Its zone.
    pub zone: Option<Arc<str>>,
}

struct Members {
    places: Vec<EndpointPlace>,
    /// Where each stands.
    by_place: HashMap<EndpointPlace, usize>,
    settings: BalancerSettings,
    balancer: Arc<Balancer>,
}

impl Balancers {
    /// What is known of a service's port. Where nobody holds it any more, it is forgotten, so that there are about as many
    /// as services in use.
    pub fn service(&self, key: &BalancerKey) -> Arc<BalancedService> {
        let mut services = self.0.lock();
        if let Some(known) = services.get(key) {
            return known.clone();
        }
        services.retain(|_, service| Arc::strong_count(service) > 1);
        services.entry(key.clone()).or_default().clone()
    }

    /// Puts the gauges of endpoints and budgets to what holds now. Called once a second.
    pub fn report(&self, metrics: &Metrics, now: Duration) {
        let mut counts = [0; EndpointState::ALL.len()];
        let mut most_spent: f64 = 0.0;
        for service in self.0.lock().values() {
            most_spent = most_spent.max(service.retry_budget.spent_ratio(now));
            let Some(balancer) = service.balancer() else { continue };
            for (count, found) in counts.iter_mut().zip(balancer.count_states(now)) {
                *count += found;
            }
        }
        for (state, count) in EndpointState::ALL.into_iter().zip(counts) {
            metrics.endpoints(state.as_str(), count);
        }
        metrics.retry_budget_ratio.set(most_spent);
    }
}

impl Balancers {
    /// What is held of the endpoints of all services in use. Of an endpoint with several ports, the worst.
    #[must_use]
    pub fn endpoint_states(&self, now: Duration) -> EndpointStates {
        let services: Vec<_> = {
            let services = self.0.lock();
            services.iter().map(|(key, service)| (key.host.clone(), service.clone())).collect()
        };
        let mut states: HashMap<_, (EndpointState, u32)> = HashMap::new();
        for (host, service) in services {
            for (address, state, in_flight) in service.endpoint_states(now) {
                let known = states.entry((host.clone(), address)).or_insert((state, 0));
                known.0 = worse(known.0, state);
                known.1 = known.1.saturating_add(in_flight);
            }
        }
        let told = states.into_iter().map(|(at, (state, count))| (at, (state.as_str(), count)));
        EndpointStates(told.collect())
    }
}

fn worse(one: EndpointState, other: EndpointState) -> EndpointState {
    let rank = |state| match state {
        EndpointState::Healthy => 0,
        EndpointState::Warming => 1,
        EndpointState::Probing => 2,
        EndpointState::Resting => 3,
        EndpointState::Ejected => 4,
    };
    if rank(one) < rank(other) { other } else { one }
}

impl BalancedService {
    /// The balancer of these endpoints, in their order. Endpoints that were there before keep what is known of them.
    pub fn balance(
        &self,
        places: &[EndpointPlace],
        settings: &BalancerSettings,
        now: Duration,
    ) -> Arc<Balancer> {
        let mut members = self.members.lock();
        if let Some(same) =
            members.as_ref().filter(|m| m.places == places && m.settings == *settings)
        {
            return same.balancer.clone();
        }
        let endpoints = places.iter().map(|place| match &*members {
            None => Arc::new(place.endpoint(None)),
            Some(before) => {
                before.endpoint(place).unwrap_or_else(|| Arc::new(place.endpoint(Some(now))))
            }
        });
        let balancer = Arc::new(Balancer::new(endpoints.collect(), settings.clone()));
        let by_place = places.iter().cloned().zip(0..).collect();
        let (places, settings) = (places.to_vec(), settings.clone());
        *members = Some(Members { places, by_place, settings, balancer: balancer.clone() });
        balancer
    }

    /// The balancer of the one endpoint that was dialled by its address. What is known of it as one of the service's
    /// endpoints holds.
    pub fn only(&self, address: SocketAddr, settings: &BalancerSettings) -> Arc<Balancer> {
        let members = self.members.lock();
        let known = members.as_ref().and_then(|members| {
            let at = members.places.iter().position(|place| place.address == address)?;
            members.balancer.endpoints().get(at).cloned()
        });
        let endpoint = known.unwrap_or_else(|| Arc::new(EndpointPlace::at(address).endpoint(None)));
        Arc::new(Balancer::new(vec![endpoint], settings.clone()))
    }

    /// Each endpoint's address, state, and requests under way.
    fn endpoint_states(&self, now: Duration) -> Vec<(IpAddr, EndpointState, u32)> {
        let members = self.members.lock();
        let Some(Members { places, balancer, .. }) = &*members else { return Vec::new() };
        let endpoints = places.iter().zip(balancer.endpoints()).enumerate();
        let told = endpoints.filter_map(|(index, (place, endpoint))| {
            let state = balancer.state(now, index)?;
            Some((place.address.ip().to_canonical(), state, endpoint.in_flight()))
        });
        told.collect()
    }

    fn balancer(&self) -> Option<Arc<Balancer>> {
        self.members.lock().as_ref().map(|members| members.balancer.clone())
    }
}

impl Members {
    fn endpoint(&self, place: &EndpointPlace) -> Option<Arc<Endpoint>> {
        let at = *self.by_place.get(place)?;
        self.balancer.endpoints().get(at).cloned()
    }
}

impl EndpointPlace {
    /// A place of which only the address is known.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, weight: NonZeroU32::MIN, zone: None }
    }

    /// `joins` is when it came to others that were there before.
    fn endpoint(&self, joins: Option<Duration>) -> Endpoint {
        let key = stable_hash(self.address.to_string().as_bytes());
        match joins {
            None => Endpoint::new(key, self.weight, self.zone.clone()),
            Some(now) => Endpoint::joining(key, self.weight, self.zone.clone(), now),
        }
    }
}

/// Counts something under way until it is dropped.
pub struct Underway(Arc<BalancedService>, fn(&BalancedService) -> &AtomicU32);

impl Underway {
    /// One more, unless there are as many as `most`.
    pub fn begin(
        service: &Arc<BalancedService>,
        of: fn(&BalancedService) -> &AtomicU32,
        most: Option<u32>,
    ) -> Option<Self> {
        let before = of(service).fetch_add(1, Relaxed);
        let one = Self(service.clone(), of);
        most.is_none_or(|most| before < most).then_some(one)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Relaxed);
    }
}

/// What the balancer is told for a DestinationRule, or where there is none. `rest` is for how long an endpoint that
/// could not be reached is passed over.
pub fn balancer_settings(
    policy: &TrafficPolicy,
    rest: Duration,
    own: Option<&Locality>,
) -> BalancerSettings {
    let TrafficPolicy { load_balancing, outlier_detection: outliers, .. } = policy;
    let own_zone = own.filter(|_| load_balancing.prefer_zone).and_then(zone);
    let count = |number: u32| NonZeroU16::new(u16::try_from(number).unwrap_or(u16::MAX));
    BalancerSettings {
        policy: algorithm(load_balancing),
        outliers: OutlierDetection {
            consecutive_gateway_errors: count(outliers.consecutive_gateway_errors),
            consecutive_errors: count(outliers.consecutive_5xx_errors),
            success_rate: Some(SuccessRate {
                percent: outliers.least_success_percent,
                requests: outliers.success_requests,
            }),
            window: outliers.interval,
            base_ejection_time: outliers.base_ejection_time,
            max_ejection_time: outliers.max_ejection_time,
            max_ejection_percent: outliers.max_ejection_percent,
            min_health_percent: outliers.min_health_percent,
        },
        rest,
        warm_up: load_balancing.warmup,
        own_zone,
    }
}

/// What the balancer compares: region and zone in one.
pub fn zone(locality: &Locality) -> Option<Arc<str>> {
    let known = !locality.zone().is_empty();
    known.then(|| locality.zone().into())
}

fn algorithm(load_balancing: &LoadBalancing) -> Policy {
    if load_balancing.hash_key.is_some() {
        return Policy::ConsistentHash;
    }
    match load_balancing.algorithm {
        BalancingAlgorithm::PeakEwma => Policy::PeakEwma,
        BalancingAlgorithm::LeastRequest => Policy::LeastRequest,
        BalancingAlgorithm::RoundRobin => Policy::RoundRobin,
        BalancingAlgorithm::Random => Policy::Random,
    }
}
