//! When an endpoint fails so much that it is better left out, and for how long.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::draw::unit;
use crate::micros;
use crate::observation::Outcome;
use crate::settings::OutlierDetection;
use crate::window::{Counts, Window};

/// Why an endpoint was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EjectionCause {
    /// So many gateway errors in a row.
    GatewayErrors,
    /// So many errors of any kind in a row.
    Errors,
    /// Too few of the recent requests succeeded.
    SuccessRate,
    /// The request that tried it after an ejection failed.
    Probe,
}

impl EjectionCause {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::GatewayErrors, Self::Errors, Self::SuccessRate, Self::Probe];

    /// The label of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GatewayErrors => "gateway_errors",
            Self::Errors => "errors",
            Self::SuccessRate => "success_rate",
            Self::Probe => "probe",
        }
    }
}

/// The least recent requests that say whether a failure is a single one.
const SLIP_AMONG: u64 = 10;

/// The results of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct OutlierRecord {
    recent: Window,
    /// Gateway errors since the last other result.
    gateway_errors: AtomicU32,
    /// Errors since the last success.
    errors: AtomicU32,
    /// How many base times the last ejection lasted.
    ejections: AtomicU32,
    /// When it ends or ended, microseconds.
    ejected_until: AtomicU64,
}

impl OutlierRecord {
    /// Counts a result; why the endpoint is to be ejected.
    pub(crate) fn record(
        &self,
        now: u64,
        outcome: Outcome,
        settings: &OutlierDetection,
    ) -> Option<EjectionCause> {
        if !outcome.is_counted() {
            return None;
        }
        let failed = u64::from(outcome.is_failure());
        self.recent.add(now, settings.window, Counts { all: 1, failed });
        let (gateway_errors, errors) = self.count_in_a_row(outcome);
        let reached = |count, limit: Option<NonZeroU16>| {
            limit.is_some_and(|limit| count >= u32::from(limit.get()))
        };
        match outcome.is_failure() {
            false => None,
            true if reached(gateway_errors, settings.consecutive_gateway_errors) => {
                Some(EjectionCause::GatewayErrors)
            }
            true if reached(errors, settings.consecutive_errors) => Some(EjectionCause::Errors),
            true => self.fails_too_often(now, settings).then_some(EjectionCause::SuccessRate),
        }
    }

    /// Gateway errors and errors in a row, this result included.
    fn count_in_a_row(&self, outcome: Outcome) -> (u32, u32) {
        let count = |counter: &AtomicU32, counts: bool| match counts {
            // At 2^32 it begins anew, long after any limit.
            true => counter.fetch_add(1, Relaxed).wrapping_add(1),
            false => {
                // Most results are successes after successes, and a word that is only read is no other worker's loss.
                if counter.load(Relaxed) != 0 {
                    counter.store(0, Relaxed);
                }
                0
            }
        };
        let gateway = matches!(outcome, Outcome::GatewayError | Outcome::Unreachable);
        (count(&self.gateway_errors, gateway), count(&self.errors, outcome.is_failure()))
    }

    fn fails_too_often(&self, now: u64, settings: &OutlierDetection) -> bool {
        let Some(rate) = settings.success_rate else { return false };
        let Counts { all, failed } = self.recent.counts(now, settings.window);
        let succeeded = all.saturating_sub(failed);
        all >= u64::from(rate.requests) && succeeded * 100 < all * u64::from(rate.percent)
    }

    /// Whether the failure that was just recorded is a single one among many successes: no sign that the next request
    /// fails, too.
    pub(crate) fn is_slip(&self, now: u64, settings: &OutlierDetection) -> bool {
        let Counts { all, failed } = self.recent.counts(now, settings.window);
        self.errors.load(Relaxed) == 1 && all >= SLIP_AMONG && failed * 10 <= all
    }

    /// How long an ejection that begins now lasts; the results up to now are forgotten.
    pub(crate) fn begin_ejection(
        &self,
        now: u64,
        random: u64,
        settings: &OutlierDetection,
    ) -> Duration {
        let base = micros(settings.base_ejection_time).max(1);
        let healthy = now.saturating_sub(self.ejected_until.load(Relaxed)) / base;
        let before = u64::from(self.ejections.load(Relaxed)).saturating_sub(healthy);
        let times = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
        let time =
            settings.base_ejection_time.saturating_mul(times).min(settings.max_ejection_time);
        let spread = Duration::try_from_secs_f64(time.as_secs_f64() * (0.9 + 0.2 * unit(random)));
        let time = spread.unwrap_or(time);
        // The longest ejection bounds what there is to take off again.
        let most =
            u32::try_from(micros(settings.max_ejection_time).div_ceil(base)).unwrap_or(u32::MAX);
        self.ejections.store(times.min(most.max(1)), Relaxed);
        self.ejected_until.store(now.saturating_add(micros(time)), Relaxed);
        self.forget();
        time
    }

    /// Forgets the results, but not how often it was ejected.
    pub(crate) fn forget(&self) {
        self.recent.clear();
        self.gateway_errors.store(0, Relaxed);
        self.errors.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests;
