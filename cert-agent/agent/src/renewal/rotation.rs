//! When to ask for the next certificate. Pure: time and chance are handed in.
//!
//! A certificate is renewed at half of its life, give or take a tenth of it, so that a fleet that
//! started together does not stay together. A failed attempt is repeated after 0.5 s, then twice as
//! long each time.

use std::time::{Duration, Instant, SystemTime};

use back_off::{BackOff, spread};

/// The wall clock is read at least this often, so that a jump of it, or a suspended machine, is
/// noticed (F-07).
pub const TICK: Duration = Duration::from_secs(30);
/// The wait after the first failure.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// The longest wait between attempts while a good certificate is held.
const MAX_RETRY: Duration = Duration::from_secs(150);
/// The longest wait without a good certificate when the authority answered and refused.
const MAX_RETRY_REFUSED: Duration = Duration::from_secs(30);
/// The longest wait without a good certificate when nobody answered. A refused connection costs the
/// authority nothing, and the workload is to be ready within 2 s of its return (F-01).
const MAX_RETRY_UNREACHABLE: Duration = Duration::from_millis(1500);

/// A moment on three clocks: the wall's, which certificates mean and which may jump, and two that
/// never do.
#[derive(Debug, Clone, Copy)]
pub struct ClockReading {
    /// The wall clock.
    pub wall: SystemTime,
    /// The clock that only goes forward, and stands still while the machine is suspended
    /// (`CLOCK_MONOTONIC`).
    pub monotonic: Instant,
    /// The time since the machine's start, suspended or not (`CLOCK_BOOTTIME`); none where the
    /// kernel does not tell. A machine that wakes with its wall clock set back is noticed by it
    /// alone.
    pub boot: Option<Duration>,
}

impl ClockReading {
    /// Reads the clocks.
    #[must_use]
    pub fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now(), boot: since_boot() }
    }

    /// The wall clock in Unix seconds.
    #[must_use]
    pub fn unix(&self) -> u64 {
        unix(self.wall)
    }

    /// The wall clock in Unix milliseconds; 0 before 1970.
    #[must_use]
    pub fn unix_millis(&self) -> i64 {
        let since = self.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The kernel's own word on how long it runs (proc(5): `/proc/uptime`), to a hundredth of a second.
fn since_boot() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A wall-clock time in Unix seconds; 0 before 1970.
#[must_use]
pub fn unix(wall: SystemTime) -> u64 {
    wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The validity of the certificate held, on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From the certificate: 60 s before it was signed.
    pub not_before: SystemTime,
    /// From the certificate.
    pub not_after: SystemTime,
}

impl Validity {
    /// From a certificate's Unix seconds.
    #[must_use]
    pub fn from_unix(not_before: u64, not_after: u64) -> Self {
        let at = |seconds| {
            SystemTime::UNIX_EPOCH
                .checked_add(Duration::from_secs(seconds))
                .unwrap_or(SystemTime::UNIX_EPOCH)
        };
        Self { not_before: at(not_before), not_after: at(not_after) }
    }

    /// What is left of it; nothing when it is over.
    fn left(&self, now: SystemTime) -> Option<Duration> {
        self.not_after.duration_since(now).ok().filter(|left| !left.is_zero())
    }
}

/// Why an attempt brought no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptFailure {
    /// No connection.
    Unreachable,
    /// An answer, but not a certificate that we accept.
    Refused,
}

/// The state: what is held, and when the next attempt is due.
#[derive(Debug)]
pub struct Rotation {
    held: Option<Validity>,
    due: DueTimes,
    back_off: BackOff,
}

/// DueTimes when any clock says so: the wall's, after a jump or a suspension; the others, when the wall's
/// went back.
#[derive(Debug, Clone, Copy)]
struct DueTimes {
    wall: SystemTime,
    monotonic: Instant,
    boot: Option<Duration>,
}

impl DueTimes {
    fn after(now: ClockReading, wait: Duration) -> Self {
        Self {
            wall: now.wall.checked_add(wait).unwrap_or(now.wall),
            monotonic: now.monotonic.checked_add(wait).unwrap_or(now.monotonic),
            boot: now.boot.map(|boot| boot.saturating_add(wait)),
        }
    }
}

impl Rotation {
    /// Nothing is held: the first attempt is due now.
    #[must_use]
    pub fn new(now: ClockReading) -> Self {
        Self {
            held: None,
            due: DueTimes::after(now, Duration::ZERO),
            back_off: BackOff::new(FIRST_RETRY, MAX_RETRY),
        }
    }

    /// Whether an attempt is due.
    #[must_use]
    pub fn is_due(&self, now: ClockReading) -> bool {
        let slept = now.boot.zip(self.due.boot).is_some_and(|(now, due)| now >= due);
        now.wall >= self.due.wall
            || now.monotonic >= self.due.monotonic
            || slept
            || self.stepped_back(now)
    }

    /// How long to wait before asking [`Rotation::is_due`] again: never longer than [`TICK`].
    #[must_use]
    pub fn wait(&self, now: ClockReading) -> Duration {
        if self.is_due(now) {
            return Duration::ZERO;
        }
        let wall = self.due.wall.duration_since(now.wall).unwrap_or_default();
        let monotonic = self.due.monotonic.saturating_duration_since(now.monotonic);
        wall.min(monotonic).min(TICK)
    }

    /// When the next attempt is due on the wall clock, for people.
    #[must_use]
    pub fn next_attempt(&self) -> SystemTime {
        self.due.wall
    }

    /// A certificate arrived. `jitter` from -1 to 1 moves the renewal between 40 % and 60 % of what
    /// is left of it.
    pub fn issued(&mut self, now: ClockReading, validity: Validity, jitter: f64) {
        let left = validity.left(now.wall).unwrap_or_default();
        self.held = Some(validity);
        self.back_off.reset();
        self.due =
            DueTimes::after(now, left.mul_f64(0.5 + 0.1 * bounded(jitter)).max(FIRST_RETRY / 2));
    }

    /// An attempt failed. `jitter` from -1 to 1 moves the wait by a quarter.
    pub fn failed(&mut self, now: ClockReading, failure: AttemptFailure, jitter: f64) {
        let longest = self.longest_wait(now, failure);
        let wait = self.back_off.next_wait_within(longest);
        let wait = spread(wait, 0.75..=1.25, (1.0 + bounded(jitter)) / 2.0).min(longest);
        self.due = DueTimes::after(now, wait);
    }

    /// With a good certificate the waits grow, but several attempts always fit into the rest of its
    /// life (F-30: waiting never lets a certificate expire).
    fn longest_wait(&self, now: ClockReading, failure: AttemptFailure) -> Duration {
        match (self.held.and_then(|held| held.left(now.wall)), failure) {
            (Some(left), _) => (left / 4).clamp(FIRST_RETRY, MAX_RETRY),
            (None, AttemptFailure::Refused) => MAX_RETRY_REFUSED,
            (None, AttemptFailure::Unreachable) => MAX_RETRY_UNREACHABLE,
        }
    }

    /// The clock stands before the held certificate begins, which is 60 s before it was signed:
    /// somebody set it back (F-07). Not while attempts fail, or this would undo their waits.
    fn stepped_back(&self, now: ClockReading) -> bool {
        self.back_off.failures() == 0 && self.held.is_some_and(|held| now.wall < held.not_before)
    }
}

/// Chance comes from outside; nothing outside of -1 to 1 has a meaning here.
fn bounded(jitter: f64) -> f64 {
    if jitter.is_finite() { jitter.clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600;

    /// A clock moved by hand.
    #[derive(Clone, Copy)]
    struct TestClock(ClockReading);

    impl TestClock {
        fn new() -> Self {
            let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
            let boot = Some(Duration::from_secs(1000));
            Self(ClockReading { wall, monotonic: Instant::now(), boot })
        }

        fn after(self, seconds: f64) -> ClockReading {
            let span = Duration::from_secs_f64(seconds);
            ClockReading {
                wall: self.0.wall + span,
                monotonic: self.0.monotonic + span,
                boot: self.0.boot.map(|boot| boot + span),
            }
        }

        fn certificate(self, lifetime: u64) -> Validity {
            let now = self.0.unix();
            Validity::from_unix(now - 60, now + lifetime)
        }

        fn holding(self, lifetime: u64, jitter: f64) -> Rotation {
            let mut rotation = Rotation::new(self.0);
            rotation.issued(self.0, self.certificate(lifetime), jitter);
            rotation
        }
    }

    #[test]
    fn the_first_attempt_is_due_at_once() {
        let hands = TestClock::new();
        let rotation = Rotation::new(hands.0);
        assert!(rotation.is_due(hands.0));
        assert_eq!(rotation.wait(hands.0), Duration::ZERO);
    }

    #[test]
    fn a_certificate_is_renewed_at_half_of_its_life_give_or_take_a_tenth() {
        let hands = TestClock::new();
        let check = |lifetime: u64, jitter: f64, expect: f64| {
            let rotation = hands.holding(lifetime, jitter);
            assert!(!rotation.is_due(hands.after(expect - 0.01)), "{lifetime} {jitter}");
            assert!(rotation.is_due(hands.after(expect + 0.01)), "{lifetime} {jitter}");
        };
        check(HOUR, 0.0, 1800.0);
        check(HOUR, -1.0, 1440.0);
        check(HOUR, 1.0, 2160.0);
        check(HOUR, f64::NAN, 1800.0);
        check(HOUR, 1e9, 2160.0);
        check(2, 0.0, 1.0);
        check(24 * HOUR, 0.0, 43_200.0);
    }

    #[test]
    fn f01_ca_down_at_start_waits_stay_below_two_seconds() {
        let hands = TestClock::new();
        let mut rotation = Rotation::new(hands.0);
        let mut waits = Vec::new();
        for _ in 0..6 {
            rotation.failed(hands.0, AttemptFailure::Unreachable, 0.0);
            waits.push(rotation.wait(hands.0).as_millis());
        }
        assert_eq!(waits, [500, 1000, 1500, 1500, 1500, 1500]);
        rotation.failed(hands.0, AttemptFailure::Unreachable, 1.0);
        assert!(rotation.wait(hands.0) <= MAX_RETRY_UNREACHABLE);
    }

    #[test]
    fn f02_ca_down_during_renewal_waits_grow_to_150_s_and_leave_room_before_expiry() {
        let hands = TestClock::new();
        let mut rotation = hands.holding(24 * HOUR, 0.0);
        let mut waits = Vec::new();
        for _ in 0..11 {
            rotation.failed(hands.0, AttemptFailure::Unreachable, 0.0);
            waits.push(rotation.due.monotonic.duration_since(hands.0.monotonic).as_secs_f32());
        }
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 150.0, 150.0]);

        let near_the_end = hands.after((24 * HOUR - 20) as f64);
        rotation.failed(near_the_end, AttemptFailure::Unreachable, 0.0);
        assert!(rotation.wait(near_the_end) <= Duration::from_secs(5));
    }

    #[test]
    fn a_refusal_without_a_certificate_waits_up_to_30_s() {
        let hands = TestClock::new();
        let mut rotation = Rotation::new(hands.0);
        for _ in 0..10 {
            rotation.failed(hands.0, AttemptFailure::Refused, 0.5);
        }
        assert_eq!(rotation.wait(hands.0), MAX_RETRY_REFUSED);
    }

    #[test]
    fn f07_clock_jumps() {
        let hands = TestClock::new();
        let rotation = hands.holding(HOUR, 0.0);
        let jump = |seconds: i64| {
            let mut now = hands.after(10.0);
            let span = Duration::from_secs(seconds.unsigned_abs());
            now.wall = if seconds < 0 { now.wall - span } else { now.wall + span };
            now
        };
        assert!(rotation.is_due(jump(7200)), "two hours ahead: the window is past, renew at once");
        assert!(!rotation.is_due(jump(-60)), "a step back within the back-dating is tolerated");
        assert!(rotation.is_due(jump(-7200)), "two hours back: what is held has not begun");
        assert!(rotation.wait(hands.0) <= TICK, "the wall clock is read every 30 s at least");

        let mut suspended = hands.after(1.0);
        suspended.wall += Duration::from_secs(8 * HOUR);
        assert!(rotation.is_due(suspended), "the other clock stood still while the machine slept");

        let mut failing = hands.holding(HOUR, 0.0);
        failing.failed(jump(-7200), AttemptFailure::Refused, 0.0);
        assert!(!failing.is_due(jump(-7200)), "a failed attempt is not repeated without a wait");
        assert_eq!(ClockReading { wall: SystemTime::UNIX_EPOCH - TICK, ..hands.0 }.unix(), 0);
    }

    #[test]
    fn f07_suspend_is_noticed_also_when_the_machine_wakes_with_its_clock_set_back() {
        let hands = TestClock::new();
        let rotation = hands.holding(HOUR, 0.0);
        let check = |name: &str, wall: i64, boot: Option<u64>, expect: bool| {
            let mut now = hands.after(1.0);
            let span = Duration::from_secs(wall.unsigned_abs());
            now.wall = if wall < 0 { now.wall - span } else { now.wall + span };
            now.boot = boot.map(|slept| Duration::from_secs(1000 + slept));
            assert_eq!(rotation.is_due(now), expect, "{name}");
        };
        check("awake", 0, Some(1), false);
        check("slept eight hours", 8 * 3600, Some(8 * HOUR), true);
        check("slept eight hours, the clock stayed where it was", 0, Some(8 * HOUR), true);
        check("slept eight hours, the clock is 30 s back", -30, Some(8 * HOUR), true);
        check("slept a minute", 60, Some(60), false);
        check("a kernel that does not tell", 0, None, false);
        assert!(since_boot().is_some_and(|boot| boot > Duration::ZERO));
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let hands = TestClock::new();
        let mut rotation = hands.holding(HOUR, 0.0);
        for _ in 0..20 {
            rotation.failed(hands.0, AttemptFailure::Refused, 0.0);
        }
        rotation.issued(hands.0, hands.certificate(HOUR), 0.0);
        rotation.failed(hands.0, AttemptFailure::Refused, 0.0);
        assert_eq!(rotation.wait(hands.0), FIRST_RETRY);
    }

    proptest! {
        #[test]
        fn f30_nobody_expires_while_attempts_succeed(lifetime in 2u64..86_401, jitter in -1.0f64..=1.0) {
            let hands = TestClock::new();
            let rotation = hands.holding(lifetime, jitter);
            prop_assert!(rotation.is_due(hands.after(lifetime as f64 * 0.61)));
        }

        #[test]
        fn no_time_panics(wall in 0u64..u64::MAX, back in 0u64..u64::MAX, jitter in any::<f64>()) {
            let hands = TestClock::new();
            let mut rotation = Rotation::new(hands.0);
            rotation.issued(hands.0, Validity::from_unix(back, wall), jitter);
            rotation.failed(hands.0, AttemptFailure::Unreachable, jitter);
            prop_assert!(rotation.wait(hands.0) <= TICK);
        }
    }
}
