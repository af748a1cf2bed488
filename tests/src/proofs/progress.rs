//! What a proof is doing, for whoever waits: lines on standard error, so that standard output has results alone.

use std::time::Instant;

/// Tells how far a proof is.
#[derive(Clone, Debug)]
pub struct Progress {
    name: &'static str,
    start: Instant,
    shown: bool,
}

impl Progress {
    /// Of the proof of this name, from now on.
    #[must_use]
    pub fn of(name: &'static str) -> Self {
        Self { name, start: Instant::now(), shown: true }
    }

    /// Says nothing: for tests.
    #[must_use]
    pub fn silent() -> Self {
        Self { name: "", start: Instant::now(), shown: false }
    }

    /// One step.
    #[allow(clippy::print_stderr, reason = "progress is for the person who waits")]
    pub fn say(&self, what: &str) {
        if self.shown {
            eprintln!("[{:6.1} s] {}: {what}", self.start.elapsed().as_secs_f32(), self.name);
        }
    }
}
