//! Resources from the cluster: the controller's stream (delta xDS, `docs/decisions/0506`).
//!
//! [`resource_cache`] holds what was received and what of it is in force, [`service_cache`] the part of it that locates
//! services, [`traffic_cache`] the part that says how they are called, [`gateway_cache`] what a gateway serves,
//! [`crate::traffic::demand`] the requested
//! destinations, `stream` the connection, `report` what the controller is told of ourselves. While the controller is
//! away, the last state stays in force (SECURITY-CASES F-24).

pub mod gateway_cache;
mod report;
pub mod resource_cache;
pub mod service_cache;
pub mod service_message;
mod stream;
pub mod traffic_cache;

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use back_off::{BackOff, spread};

use crate::control::installer::ResourceInstaller;

pub use resource_cache::{ClusterState, ResourceCache};

/// The messages of the stream, compiled from `k8s/proto/discovery.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub(crate) mod proto {
    tonic::include_proto!("envoy.service.discovery.v3");
}

/// The first wait after a stream that delivered nothing, doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// The longest wait: after an outage of the controller all proxies reconnect within this time.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// A stream that lived this long resets the wait.
const GOOD_STREAM: Duration = Duration::from_secs(5);

/// Follows the controller for ever, where one is configured.
pub async fn follow(installer: ResourceInstaller) {
    let ResourceInstaller { state, config, .. } = &installer;
    let Some(controller) = &config.controller else { return };
    let Some(demand) = &state.demand else { return };
    let mut cache =
        ResourceCache::new(&config.root_namespace, &config.workload, &config.trust_domain);
    if config.gateway.is_some() {
        cache = cache.at_the_edge();
    }
    let mut back_off = BackOff::new(RETRY_MIN, RETRY_MAX);
    let mut logged = String::new();
    loop {
        let begun = Instant::now();
        let ended = stream::follow_once(&installer, controller, demand, &mut cache).await;
        demand.set_connected(false);
        state.metrics.config_stale.set(1);
        let reason = format!("{:#}", ended.err().unwrap_or_else(|| anyhow::anyhow!("it ended")));
        if logged != reason {
            tracing::warn!(reason, "no stream from the controller; what was told last holds");
            logged = reason;
        }
        if begun.elapsed() >= GOOD_STREAM {
            back_off.reset();
        }
        // Between half of the wait and all of it, so that proxies do not reconnect in step.
        tokio::time::sleep(spread(back_off.next_wait(), 0.5..=1.0, chance())).await;
    }
}

/// A fraction from 0 to 1, without a random number generator in the proxy.
fn chance() -> f64 {
    let random = RandomState::new().hash_one(0u8) % 1000;
    f64::from(u32::try_from(random).unwrap_or(0)) / 1000.0
}
