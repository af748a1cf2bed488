//! When a connection must end because its certificates do, and when it is drained and re-authenticated before. Pure:
//! times are handed in.

use std::time::Duration;

/// The time left is counted in whole seconds, so up to one of them may be over already; and an attempt takes a moment.
const WHOLE_SECONDS: Duration = Duration::from_millis(1500);

/// Two moments, Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifetimeBounds {
    /// From here on HTTP is drained: no new request, those under way may finish.
    pub drain_at: u64,
    /// The end of the first of both certificates: from here on nothing is carried.
    pub expires: u64,
}

impl LifetimeBounds {
    /// Of a connection whose certificates end at `ends`: it is drained from nine tenths of what is
    /// left, a little spread by its number so that not all end at once.
    #[must_use]
    pub fn new(now: u64, ends: u64, spread: u64) -> Self {
        let tenth = ends.saturating_sub(now) / 10;
        let drain_at = ends - tenth - (tenth / 2).min(spread % 16 * tenth / 32);
        Self { drain_at, expires: ends }
    }

    /// How long to wait before a connection is re-authenticated: six to seven tenths of what is
    /// left, spread by its number. Certificates are renewed at half their life, so both sides have
    /// newer ones then, and a failure leaves time for more tries. Of lives of a few seconds it leaves
    /// a second and a half, in which the connection may end already.
    #[must_use]
    pub fn reauthenticate_in(&self, now: u64, spread: u64) -> Duration {
        let left = Duration::from_secs(self.expires.saturating_sub(now));
        let step = u32::try_from(spread % 16).unwrap_or(0);
        (left * 6 / 10 + left / 160 * step).min(left.saturating_sub(WHOLE_SECONDS))
    }

    /// How long to wait before the next try: an eighth of what is left, a quarter of a second to
    /// half a minute.
    #[must_use]
    pub fn retry_in(&self, now: u64) -> Duration {
        let left = Duration::from_secs(self.expires.saturating_sub(now));
        (left / 8).clamp(Duration::from_millis(250), Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_drained_before_its_certificate_ends() {
        for (left, spread) in [(0, 0), (1, 5), (9, 3), (3600, 0), (3600, 15), (86_400, 7)] {
            let at = LifetimeBounds::new(1000, 1000 + left, spread).drain_at;
            assert!(at <= 1000 + left && at >= 1000 + left * 8 / 10, "{left} {spread}: {at}");
        }
        assert_eq!(
            LifetimeBounds::new(1000, 900, 3),
            LifetimeBounds { drain_at: 900, expires: 900 }
        );
    }

    #[test]
    fn it_is_re_authenticated_after_renewals_and_before_it_is_drained() {
        for (left, spread) in [(10, 0), (10, 15), (3600, 0), (3600, 15)] {
            let bounds = LifetimeBounds::new(1000, 1000 + left, spread);
            let first = bounds.reauthenticate_in(1000, spread).as_secs_f64();
            let share = first / Duration::from_secs(left).as_secs_f64();
            assert!((0.6..0.7).contains(&share), "{left} {spread}: {share}");
            let at = bounds.drain_at - 1000;
            assert!(first < Duration::from_secs(at).as_secs_f64());
        }
        for (left, latest) in [(0, 0), (1, 0), (2, 500), (3, 1500), (4, 2500)] {
            for spread in 0..16 {
                let first =
                    LifetimeBounds::new(1000, 1000 + left, spread).reauthenticate_in(1000, spread);
                assert!(first <= Duration::from_millis(latest), "{left} {spread}: {first:?}");
            }
        }
        let bounds = LifetimeBounds::new(1000, 1010, 0);
        assert_eq!(bounds.retry_in(1002), Duration::from_secs(1));
        assert_eq!(bounds.retry_in(1010), Duration::from_millis(250));
        assert_eq!(LifetimeBounds::new(0, 90_000, 0).retry_in(0), Duration::from_secs(30));
    }
}
