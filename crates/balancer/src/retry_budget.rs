//! How many requests may be sent once more, so that retries never multiply an outage.

use std::time::Duration;

use crate::micros;
use crate::window::{Counts, Window};

/// The size of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudgetSettings {
    /// Retries, percent of the requests within the window. Default: 20.
    pub percent: u32,
    /// What counts. Default: 10 s.
    pub window: Duration,
    /// Retries a second that are allowed in any case: with few requests a percentage is nothing. Default: 10.
    pub min_per_second: u32,
}

impl Default for RetryBudgetSettings {
    fn default() -> Self {
        Self { percent: 20, window: Duration::from_secs(10), min_per_second: 10 }
    }
}

/// The retries of one service, shared by workers.
#[derive(Debug, Default)]
pub struct RetryBudget {
    settings: RetryBudgetSettings,
    /// All: requests; failed: those that were sent once more.
    recent: Window,
}

impl RetryBudget {
    /// A budget of which nothing is spent.
    #[must_use]
    pub fn new(settings: RetryBudgetSettings) -> Self {
        Self { settings, recent: Window::default() }
    }

    /// Counts a request: its first attempt.
    pub fn deposit(&self, now: Duration) {
        self.recent.add(micros(now), self.settings.window, Counts { all: 1, failed: 0 });
    }

    /// Takes one retry out of the budget, where there is one left. Workers that ask in the same moment may take one
    /// each.
    #[must_use]
    pub fn withdraw(&self, now: Duration) -> bool {
        let (spent, allowed) = self.balance(now);
        if spent >= allowed {
            return false;
        }
        self.recent.add(micros(now), self.settings.window, Counts { all: 0, failed: 1 });
        true
    }

    /// The share of the budget that is spent: 0 for nothing, 1 for all of it.
    #[must_use]
    pub fn spent_ratio(&self, now: Duration) -> f64 {
        let (spent, allowed) = self.balance(now);
        if allowed == 0 { 1.0 } else { (spent as f64 / allowed as f64).min(1.0) }
    }

    /// Retries within the window, and how many there may be.
    fn balance(&self, now: Duration) -> (u64, u64) {
        let RetryBudgetSettings { percent, window, min_per_second } = self.settings;
        let Counts { all, failed } = self.recent.counts(micros(now), window);
        let least = micros(window).saturating_mul(u64::from(min_per_second)) / 1_000_000;
        let share = all.saturating_mul(u64::from(percent)) / 100;
        (failed, share.saturating_add(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_allows_a_share_and_a_least() {
        let default = RetryBudgetSettings::default();
        let no_least = RetryBudgetSettings { min_per_second: 0, ..default };
        let rows = [
            ("without requests the least", default, 0, 0, 100),
            ("a fifth besides", default, 1000, 0, 300),
            ("nine seconds later still", default, 1000, 9, 300),
            ("and then no more", default, 1000, 10, 100),
            ("without a least", no_least, 1000, 0, 200),
            ("nothing of nothing", no_least, 0, 0, 0),
            ("a fifth of four", no_least, 4, 0, 0),
        ];
        for (name, settings, requests, later, expect) in rows {
            let budget = RetryBudget::new(settings);
            let now = |seconds: u64| Duration::from_secs(50 + seconds);
            (0..requests).for_each(|_| budget.deposit(now(0)));
            let retries = (0..5_000).take_while(|_| budget.withdraw(now(later))).count();
            assert_eq!(retries, expect, "{name}");
            assert_eq!(budget.spent_ratio(now(later)), 1.0, "{name}");
        }
    }

    #[test]
    fn what_is_spent_comes_back_with_time() {
        let budget = RetryBudget::default();
        let at = Duration::from_secs;
        assert_eq!(budget.spent_ratio(at(0)), 0.0);
        (0..50).for_each(|_| assert!(budget.withdraw(at(0))));
        assert_eq!(budget.spent_ratio(at(0)), 0.5);
        assert_eq!(budget.spent_ratio(at(10)), 0.0);
    }
}
