//! How often certificates are issued: per attested instance, and in all.
//!
//! Both are the "virtual scheduling" form of a leaky bucket (ITU-T I.371 Annex A): a key holds one
//! time, no task runs, and time is handed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Instances remembered at a time. One that no longer asks is forgotten.
const MAX_INSTANCES: usize = 100_000;

/// A limit: this many in any minute, all at once if they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMinute(pub u32);

impl PerMinute {
    /// Time between two, when they come evenly.
    fn interval(self) -> Duration {
        Duration::from_secs(60) / self.0.max(1)
    }
}

/// Why no certificate is issued now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateLimited {
    /// This instance asks too often.
    #[error("more than {0} certificates a minute for one instance; wait, or raise --issue-rate")]
    Instance(u32),
    /// All of them together ask too often.
    #[error("the authority signs {0} certificates a minute at most; ask again later")]
    Global(u32),
}

/// The state of both limits.
#[derive(Debug)]
pub struct IssueRates {
    per_instance: PerMinute,
    global: PerMinute,
    instances: HashMap<String, Instant>,
    all: Option<Instant>,
}

impl IssueRates {
    /// Nothing issued yet.
    #[must_use]
    pub fn new(per_instance: PerMinute, global: PerMinute) -> Self {
        Self { per_instance, global, instances: HashMap::new(), all: None }
    }

    /// Counts one request of an instance against both limits. A refused request is counted by neither: an authority
    /// that is at its limit does not use up the rates of those who ask it again.
    ///
    /// # Errors
    /// [`RateLimited::Instance`]; [`RateLimited::Global`], also when too many instances are active to count them.
    pub fn take(&mut self, instance: &str, now: Instant) -> Result<(), RateLimited> {
        let all = take(self.all, self.global, now).ok_or(RateLimited::Global(self.global.0))?;
        if self.instances.len() >= MAX_INSTANCES && !self.instances.contains_key(instance) {
            self.instances.retain(|_, full_until| *full_until > now);
            if self.instances.len() >= MAX_INSTANCES {
                return Err(RateLimited::Global(self.global.0));
            }
        }
        let before = self.instances.get(instance).copied();
        let after = take(before, self.per_instance, now)
            .ok_or(RateLimited::Instance(self.per_instance.0))?;
        self.instances.insert(instance.to_owned(), after);
        self.all = Some(all);
        Ok(())
    }
}

/// The time until which the bucket holds something, after one more; none when that would overflow a
/// minute.
fn take(holds_until: Option<Instant>, limit: PerMinute, now: Instant) -> Option<Instant> {
    let after = holds_until.map_or(now, |until| until.max(now)) + limit.interval();
    (limit.0 > 0 && after - now <= limit.interval() * limit.0).then_some(after)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn ten_at_once_then_one_every_six_seconds() {
        let mut rates = IssueRates::new(PerMinute(10), PerMinute(1000));
        let start = Instant::now();
        for n in 0..10 {
            rates.take("a", start).unwrap_or_else(|_| panic!("number {n}"));
        }
        assert_eq!(rates.take("a", start), Err(RateLimited::Instance(10)));
        assert_eq!(rates.take("b", start), Ok(()), "another instance is not concerned");
        let later = start + Duration::from_secs(6);
        assert_eq!(rates.take("a", later), Ok(()));
        assert_eq!(rates.take("a", later), Err(RateLimited::Instance(10)));
    }

    #[test]
    fn the_global_limit_counts_everybody() {
        let mut rates = IssueRates::new(PerMinute(10), PerMinute(2));
        let start = Instant::now();
        assert_eq!(rates.take("a", start), Ok(()));
        assert_eq!(rates.take("b", start), Ok(()));
        assert_eq!(rates.take("c", start), Err(RateLimited::Global(2)));
        assert_eq!(rates.take("c", start + Duration::from_secs(31)), Ok(()));
    }

    #[test]
    fn a_refused_request_is_counted_by_neither_limit() {
        let mut rates = IssueRates::new(PerMinute(1), PerMinute(2));
        let start = Instant::now();
        assert_eq!(rates.take("a", start), Ok(()));
        for _ in 0..5 {
            assert_eq!(rates.take("a", start), Err(RateLimited::Instance(1)));
        }
        assert_eq!(rates.take("b", start), Ok(()), "what `a` was refused is not counted");
        for _ in 0..5 {
            assert_eq!(rates.take("c", start), Err(RateLimited::Global(2)));
        }
        let later = start + Duration::from_secs(31);
        assert_eq!(rates.take("c", later), Ok(()), "what everybody is refused uses up nobody's");
    }

    #[test]
    fn zero_allows_nothing() {
        assert!(IssueRates::new(PerMinute(0), PerMinute(10)).take("a", Instant::now()).is_err());
    }

    #[test]
    fn instances_that_ask_no_more_are_forgotten() {
        let mut rates = IssueRates::new(PerMinute(10), PerMinute(1_000_000));
        let start = Instant::now();
        for n in 0..MAX_INSTANCES {
            rates.take(&n.to_string(), start).unwrap();
        }
        assert_eq!(rates.take("one more", start), Err(RateLimited::Global(1_000_000)));
        let later = start + Duration::from_secs(60);
        assert_eq!(rates.take("one more", later), Ok(()));
        assert_eq!(rates.instances.len(), 1);
    }
}
