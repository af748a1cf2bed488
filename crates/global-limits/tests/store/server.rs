//! A real Redis, and the limits that are counted there.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use global_limits::{GlobalLimits, StoreSettings};
pub(crate) use redis_harness::{Client, free_port, until};
use tempfile::TempDir;

/// The process, ended with this value.
pub(crate) struct Redis(redis_harness::Redis);

impl Redis {
    pub(crate) fn start() -> Self {
        Self(redis_harness::Redis::start())
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self(redis_harness::Redis::start_with(arguments))
    }

    pub(crate) fn start_in(home: TempDir, arguments: &[&str]) -> Self {
        Self(redis_harness::Redis::start_in(home, arguments))
    }

    /// A store at its address, waited for longer than by default: a busy machine is no trouble.
    pub(crate) fn settings(&self) -> StoreSettings {
        StoreSettings { timeout: Duration::from_millis(500), ..self.default_settings() }
    }

    /// With all defaults.
    pub(crate) fn default_settings(&self) -> StoreSettings {
        StoreSettings::new(vec![self.address().parse().unwrap()])
    }

    /// Started, and connected.
    pub(crate) async fn limits(&self) -> GlobalLimits {
        connected(self.settings()).await
    }
}

impl Deref for Redis {
    type Target = redis_harness::Redis;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Redis {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Started, and connected within the deadline.
pub(crate) async fn connected(settings: StoreSettings) -> GlobalLimits {
    let limits = GlobalLimits::start(settings).unwrap();
    until("it is up", || async { limits.is_up() }).await;
    limits
}
