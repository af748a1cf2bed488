//! When keys are fetched, and how long they hold. Unix seconds are handed in.

use std::time::Duration;

use back_off::BackOff;

/// The next fetch is at the earliest and latest after this, whatever the issuer's `Cache-Control` says: an issuer can
/// neither cause constant fetches nor keep a withdrawn key alive for hours.
const REFRESH: std::ops::RangeInclusive<u64> = 5 * 60..=20 * 60;
/// The first wait after a failure; doubled with each up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);
/// An unknown `kid` fetches the keys anew at most this often (S-38).
const UNKNOWN_KEY_PAUSE: u64 = 30;
/// Keys that could not be renewed for this long are dropped (F-31).
const MAX_STALE: u64 = 24 * 3600;

/// The state of one source of keys.
#[derive(Debug)]
pub(super) struct RefreshSchedule {
    next: u64,
    last_attempt: Option<u64>,
    last_success: Option<u64>,
    back_off: BackOff,
}

impl RefreshSchedule {
    /// The schedule of a source whose keys were last known to be good at `held`; `None`: there are none.
    pub(super) fn new(held: Option<u64>) -> Self {
        let back_off = BackOff::new(RETRY_MIN, RETRY_MAX);
        Self { next: 0, last_attempt: None, last_success: held, back_off }
    }

    /// A fetch begins.
    pub(super) fn begins(&mut self, now: u64) {
        self.last_attempt = Some(now);
    }

    /// Records fetched keys; `max_age` is what the answer's `Cache-Control` allows.
    pub(super) fn succeeded(&mut self, now: u64, max_age: Option<Duration>) {
        let age = max_age.map_or(*REFRESH.start(), |age| age.as_secs());
        self.back_off.reset();
        self.last_success = Some(now);
        self.next = now + age.clamp(*REFRESH.start(), *REFRESH.end());
    }

    /// Records a failed fetch.
    pub(super) fn failed(&mut self, now: u64) {
        self.next = now + self.back_off.next_wait().as_secs();
    }

    /// How long to wait before the next fetch.
    pub(super) fn wait(&self, now: u64) -> Duration {
        // A clock that was set back must not cause a long wait.
        Duration::from_secs(self.next.saturating_sub(now).min(*REFRESH.end()))
    }

    /// How long to wait before the next fetch, when a token names an unknown key.
    pub(super) fn wait_for_unknown_key(&self, now: u64) -> Duration {
        let earliest = self.last_attempt.map_or(0, |last| last + UNKNOWN_KEY_PAUSE);
        let earliest = Duration::from_secs(earliest.saturating_sub(now).min(UNKNOWN_KEY_PAUSE));
        earliest.min(self.wait(now))
    }

    /// Whether the keys in force are too old to be used.
    pub(super) fn is_stale(&self, now: u64) -> bool {
        self.last_success.is_some_and(|last| now > last + MAX_STALE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_000_000;

    #[test]
    fn f31_refresh_within_bounds() {
        for (name, max_age, expect) in [
            ("nothing said", None, 300),
            ("none at all", Some(0), 300),
            ("short", Some(60), 300),
            ("fair", Some(600), 600),
            ("long", Some(86_400), 1200),
        ] {
            let mut schedule = RefreshSchedule::new(None);
            schedule.begins(T);
            schedule.succeeded(T, max_age.map(Duration::from_secs));
            assert_eq!(schedule.wait(T), Duration::from_secs(expect), "{name}");
        }
    }

    #[test]
    fn f31_retries_back_off_and_stale_keys_go() {
        let mut schedule = RefreshSchedule::new(None);
        assert_eq!(schedule.wait(T), Duration::ZERO);
        schedule.begins(T);
        schedule.succeeded(T, None);
        let mut waits = Vec::new();
        for _ in 0..11 {
            schedule.begins(T);
            schedule.failed(T);
            waits.push(schedule.wait(T).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert!(!schedule.is_stale(T + 24 * 3600));
        assert!(schedule.is_stale(T + 24 * 3600 + 1));
        assert!(!RefreshSchedule::new(None).is_stale(u64::MAX), "nothing is held");
        assert!(
            RefreshSchedule::new(Some(T)).is_stale(T + 24 * 3600 + 1),
            "left by an earlier task"
        );
        schedule.succeeded(T + 90_000, None);
        assert!(!schedule.is_stale(T + 90_001));
    }

    #[test]
    fn s38_kid_and_jwks_state_one_refetch_in_thirty_seconds() {
        let mut schedule = RefreshSchedule::new(None);
        schedule.begins(T);
        schedule.succeeded(T, None);
        for (now, expect) in [(T, 30), (T + 10, 20), (T + 30, 0), (T + 290, 0), (T - 500, 30)] {
            assert_eq!(schedule.wait_for_unknown_key(now), Duration::from_secs(expect), "{now}");
        }
        schedule.begins(T + 40);
        schedule.failed(T + 40);
        assert_eq!(
            schedule.wait_for_unknown_key(T + 40),
            Duration::from_secs(1),
            "the retry comes first"
        );
    }
}
