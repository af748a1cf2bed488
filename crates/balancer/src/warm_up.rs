//! The growing share of an endpoint that is new.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::micros;

/// The share that an endpoint begins with: without any it would never warm up.
const FIRST_SHARE: f32 = 0.1;

/// Since when an endpoint is new: microseconds plus one, 0 where it was there before.
#[derive(Debug, Default)]
pub(crate) struct WarmUp(AtomicU64);

impl WarmUp {
    /// It is new from now on.
    pub(crate) fn begin(&self, now: u64) {
        self.0.store(now.saturating_add(1), Relaxed);
    }

    /// The share of its requests that it takes now: from a tenth to all of them, growing evenly over the window.
    pub(crate) fn share(&self, now: u64, window: Option<Duration>) -> f32 {
        let (since, Some(window)) = (self.0.load(Relaxed), window) else { return 1.0 };
        let elapsed = now.saturating_sub(since.saturating_sub(1));
        if since == 0 || elapsed >= micros(window) {
            return 1.0;
        }
        (elapsed as f32 / micros(window) as f32).max(FIRST_SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_over_the_window() {
        let window = Some(Duration::from_secs(100));
        let rows = [
            ("established", None, 0, window, 1.0),
            ("new", Some(0), 0, window, 0.1),
            ("new, after some time", Some(7), 7, window, 0.1),
            ("a tenth is the least", Some(7), 12, window, 0.1),
            ("half-way", Some(7), 57, window, 0.5),
            ("the whole", Some(7), 107, window, 1.0),
            ("a clock behind", Some(7), 0, window, 0.1),
            ("no warm-up", Some(7), 7, None, 1.0),
            ("a window of nothing", Some(7), 7, Some(Duration::ZERO), 1.0),
        ];
        for (name, since, now, window, expect) in rows {
            let warm_up = WarmUp::default();
            if let Some(since) = since {
                warm_up.begin(since * 1_000_000);
            }
            assert_eq!(warm_up.share(now * 1_000_000, window), expect, "{name}");
        }
    }
}
