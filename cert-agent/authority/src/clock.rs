//! The clocks of a request: one that means a date, one that never jumps.

use std::time::{Instant, SystemTime};

/// The moment of a request: the wall clock in Unix seconds, and a clock that never jumps.
#[derive(Debug, Clone, Copy)]
pub struct RequestTime {
    /// Unix seconds.
    pub wall: u64,
    /// For rates.
    pub monotonic: Instant,
}

/// Unix seconds of the wall clock, read anew each time.
#[must_use]
pub fn wall_clock() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
