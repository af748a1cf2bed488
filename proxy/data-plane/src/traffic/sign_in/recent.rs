//! What became of the latest refreshes, for requests that were sent with the session as it was before: a browser sends many
//! at once, and knows of the new session only when one of them is answered.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long an outcome is told: longer than requests of one page are apart, and too short to be of use to who has found
/// an old cookie.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// How long it is known that there was one: longer than most answers of apps take to come.
const KEPT: Duration = Duration::from_secs(60);
/// Outcomes kept: 160 sessions refreshed each second.
const MOST: usize = 10_000;

/// Outcomes by the SHA-256 of what was used up: the refresh token of before.
#[derive(Debug)]
pub(super) struct RecentOutcomes<V>(Mutex<Outcomes<V>>);

#[derive(Debug)]
struct Outcomes<V> {
    by_key: HashMap<[u8; 32], (Instant, V)>,
    /// In the order in which they came.
    order: VecDeque<(Instant, [u8; 32])>,
}

impl<V> Default for RecentOutcomes<V> {
    fn default() -> Self {
        Self(Mutex::new(Outcomes { by_key: HashMap::new(), order: VecDeque::new() }))
    }
}

impl<V: Clone> RecentOutcomes<V> {
    /// What became of it, within [`GRACE`].
    pub(super) fn get(&self, key: &[u8; 32], now: Instant) -> Option<V> {
        let outcomes = self.0.lock();
        let (came, outcome) = outcomes.by_key.get(key)?;
        (now.saturating_duration_since(*came) < GRACE).then(|| outcome.clone())
    }

    /// What became of it, also when it is no longer told.
    pub(super) fn known(&self, key: &[u8; 32]) -> Option<V> {
        self.0.lock().by_key.get(key).map(|(_, outcome)| outcome.clone())
    }

    /// Keeps an outcome, and drops the old ones; of too many, the oldest.
    pub(super) fn put(&self, key: [u8; 32], outcome: V, now: Instant) {
        let mut outcomes = self.0.lock();
        outcomes.by_key.insert(key, (now, outcome));
        outcomes.order.push_back((now, key));
        while let Some((came, oldest)) = outcomes.order.front().copied() {
            let is_over = now.saturating_duration_since(came) >= KEPT;
            if !is_over && outcomes.order.len() <= MOST {
                break;
            }
            outcomes.order.pop_front();
            // A later outcome of the same key stays.
            if outcomes.by_key.get(&oldest).is_some_and(|(at, _)| *at == came) {
                outcomes.by_key.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_told_for_ten_seconds() {
        let recent = RecentOutcomes::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        recent.put([1; 32], 'a', start);
        recent.put([2; 32], 'b', after(1));
        for (row, key, at, expect) in [
            ("at once", 1, 0, Some('a')),
            ("a moment before its end", 1, 9, Some('a')),
            ("at its end", 1, 10, None),
            ("another one's end is later", 2, 10, Some('b')),
            ("nobody's", 3, 0, None),
        ] {
            assert_eq!(recent.get(&[key; 32], after(at)), expect, "{row}");
        }
        recent.put([1; 32], 'c', after(9));
        recent.put([3; 32], 'd', after(10));
        assert_eq!(recent.get(&[1; 32], after(12)), Some('c'), "the later one has stayed");
        assert_eq!(recent.get(&[3; 32], after(30)), None);
        assert_eq!(recent.known(&[3; 32]), Some('d'), "no longer told, and still known");
        recent.put([4; 32], 'e', after(80));
        let held = recent.0.lock();
        assert_eq!((held.by_key.len(), held.order.len()), (1, 1), "what is over is dropped");
    }

    #[test]
    fn s48_of_too_many_the_oldest_go() {
        let recent = RecentOutcomes::default();
        let now = Instant::now();
        for number in 0..2 * MOST {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            recent.put(key, (), now);
        }
        let held = recent.0.lock();
        assert_eq!((held.by_key.len(), held.order.len()), (MOST, MOST));
    }
}
