//! Limits log lines about frequent events to one a second.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Whether a line of one kind is due.
#[derive(Debug, Default)]
pub struct LogThrottle(AtomicU32);

impl LogThrottle {
    /// True once in each second of the coarse clock, for one of all who ask.
    pub fn is_due(&self, now: u32) -> bool {
        // From 1, so that the first second counts too.
        let now = now.saturating_add(1);
        let last = self.0.load(Relaxed);
        last != now && self.0.compare_exchange(last, now, Relaxed, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second() {
        let seldom = LogThrottle::default();
        let said: Vec<bool> = [0, 0, 0, 1, 1, 5, 5, 6].map(|now| seldom.is_due(now)).to_vec();
        assert_eq!(said, [true, false, false, true, false, true, false, true]);
    }
}
