//! One coarse clock for the whole process, so that bookkeeping on the request path reads an
//! atomic and not the system's clock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds since the start and Unix seconds, as of the last tick.
pub struct Clock {
    started: Instant,
    coarse: AtomicU32,
    unix: AtomicU64,
}

impl Clock {
    /// A clock that has ticked once.
    #[must_use]
    pub fn start() -> Self {
        let clock =
            Self { started: Instant::now(), coarse: AtomicU32::new(0), unix: AtomicU64::new(0) };
        clock.tick();
        clock
    }

    /// Reads the system's clocks. Wall-clock time is read anew each time, so that a suspended or
    /// corrected machine is right at the next tick (SECURITY-CASES F-07).
    pub fn tick(&self) {
        let seconds = u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        self.coarse.store(seconds, Relaxed);
        self.unix.store(unix_now(), Relaxed);
    }

    /// Whole seconds since the process began, at the last tick.
    #[must_use]
    pub fn coarse(&self) -> u32 {
        self.coarse.load(Relaxed)
    }

    /// The time from the start of the process to `at`; zero for what was before.
    #[must_use]
    pub fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }

    /// Unix seconds at the last tick.
    #[must_use]
    pub fn unix(&self) -> u64 {
        self.unix.load(Relaxed)
    }
}

/// Unix seconds now; 0 for a clock before 1970.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
