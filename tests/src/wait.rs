//! Waiting for something to become true, with a deadline; never a bare sleep.

use std::time::{Duration, Instant};

/// How long a mesh step may take at most on a slow two-core machine: starting a proxy, seeing a new policy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `condition` gives a value; panics with `what` and the last reason when `deadline` has passed.
#[allow(clippy::disallowed_methods, reason = "between two looks at a condition, with a deadline")]
pub fn until<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match condition() {
            Ok(value) => return value,
            Err(reason) if start.elapsed() >= deadline => {
                panic!("waited {deadline:?} for {what}; the last look said: {reason}")
            }
            Err(_) => std::thread::sleep(INTERVAL),
        }
    }
}

/// Looks until `condition` holds, at most [`PATIENCE`]; panics with `what` when it never does.
pub fn until_true(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, PATIENCE, || if condition() { Ok(()) } else { Err("not yet".to_owned()) });
}
