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

/// Looks until `condition` holds; false when it did not within `deadline`.
#[allow(clippy::disallowed_methods, reason = "between two looks at a condition, with a deadline")]
pub fn holds_within(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() >= deadline {
            return false;
        }
        std::thread::sleep(INTERVAL);
    }
    true
}

/// Looks until `condition` holds, at most [`PATIENCE`]; panics with `what` when it never does.
pub fn until_true(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, PATIENCE, || if condition() { Ok(()) } else { Err("not yet".to_owned()) });
}

/// Lets time pass until `moment`: for what is about time itself, such as an outage of a stated length.
#[allow(clippy::disallowed_methods, reason = "the passing of time is what is tested")]
pub fn pass(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// Lets time pass until the wall clock shows `seconds` of Unix time.
pub fn pass_unix(seconds: i64) {
    let left = seconds - time::OffsetDateTime::now_utc().unix_timestamp();
    pass(Instant::now() + Duration::from_secs(u64::try_from(left).unwrap_or(0)));
}

/// A steady beat. A beat that was missed is not made up for.
#[derive(Debug)]
pub struct Pace {
    every: Duration,
    next: Instant,
}

impl Pace {
    /// The first beat is now.
    #[must_use]
    pub fn every(every: Duration) -> Self {
        Self { every, next: Instant::now() }
    }

    /// Waits for the next beat.
    pub fn wait(&mut self) {
        pass(self.next);
        self.next =
            self.next.max(Instant::now().checked_sub(self.every).unwrap_or(self.next)) + self.every;
    }
}
