//! Which endpoint of a service takes a request, and what its answers say about it.
//!
//! There is no clock, no chance and no socket in it: the time since an arbitrary start and random numbers are handed
//! in, so that every decision can be repeated. What workers share is a handful of atomics for each endpoint, without a
//! lock; [`Balancer::pick`] allocates nothing and looks at two endpoints, however many there are.
//!
//! - **Choice** ([`Policy`]): of two endpoints drawn by weight the one that costs less, peak-EWMA of its latency times
//!   the requests under way. A failure counts as a slow answer, or an endpoint that fails fast would draw all traffic.
//! - **Ejection** ([`OutlierDetection`]): an endpoint that fails is left out for a while, never the last one, never
//!   more than a share; then one request at a time finds out whether it is back.
//! - **Rest**: one that could not be reached is passed over for some seconds at once, while there are others.
//! - **Zone**: the own zone is preferred while it can carry its share ([`BalancerSettings::own_zone`]).
//! - **Warm-up**: a new endpoint gets its share of requests by and by ([`BalancerSettings::warm_up`]).
//! - **[`RetryBudget`]**: how many requests may be sent once more.
//!
//! ```
//! use std::num::NonZeroU32;
//! use std::sync::Arc;
//! use std::time::Duration;
//! use balancer::{Balancer, BalancerSettings, Endpoint, InFlight, Observation, stable_hash};
//!
//! let endpoint = |address: &str| {
//!     Arc::new(Endpoint::new(stable_hash(address.as_bytes()), NonZeroU32::MIN, None))
//! };
//! let endpoints = ["10.0.0.1:80", "10.0.0.2:80"].map(endpoint);
//! let balancer = Balancer::new(endpoints.to_vec(), BalancerSettings::default());
//!
//! let now = Duration::from_secs(1);
//! let pick = balancer.pick(now, 7, None, |_| false).expect("there is an endpoint");
//! let in_flight = InFlight::begin(balancer.endpoints()[pick.index].clone());
//! let observation = Observation::of_status(200, Duration::from_millis(3), None);
//! assert_eq!(balancer.observe(now, pick.index, observation, 8), None);
//! drop(in_flight);
//! ```
//!
//! A balancer is immutable but for the counters: when the endpoints of a service change, a new one is made, of the same
//! [`Endpoint`]s where they have stayed.

mod balancer;
mod draw;
mod endpoint;
mod group;
mod hash;
mod load;
mod observation;
mod outliers;
mod retry_budget;
mod settings;
mod standing;
mod warm_up;
mod window;

pub use balancer::{Balancer, Pick};
pub use endpoint::{Endpoint, InFlight};
pub use hash::stable_hash;
pub use observation::{Observation, Outcome};
pub use outliers::EjectionCause;
pub use retry_budget::{RetryBudget, RetryBudgetSettings};
pub use settings::{BalancerSettings, OutlierDetection, Policy, SuccessRate};
pub use standing::EndpointState;

use std::time::Duration;

/// Whole microseconds: half a million years fit.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
