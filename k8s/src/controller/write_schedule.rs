//! When what one replica writes may be tried again.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use back_off::BackOff;

/// After a write that failed: the first wait, doubled each time.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest wait after a write that failed.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// For one write: well within the time by which a leader that cannot renew gives up.
const WRITE_DEADLINE: Duration = Duration::from_secs(4);

/// Waits for a write.
///
/// # Errors
/// The API server's, or no answer within 4 s.
pub async fn in_time<T>(write: impl Future<Output = kube::Result<T>>) -> anyhow::Result<T> {
    let written = tokio::time::timeout(WRITE_DEADLINE, write).await;
    Ok(written.map_err(|_| anyhow::anyhow!("no answer within {WRITE_DEADLINE:?}"))??)
}

/// When work that was tried may be tried again.
#[derive(Debug)]
pub struct WriteSchedule<W>(HashMap<W, (Instant, BackOff)>);

impl<W> Default for WriteSchedule<W> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<W: Eq + Hash> WriteSchedule<W> {
    /// Whether its time has come.
    pub fn is_due(&self, work: &W) -> bool {
        self.0.get(work).is_none_or(|(due, _)| Instant::now() >= *due)
    }

    /// It was tried.
    pub fn note(&mut self, work: W, went_well: bool) {
        let known = self.0.remove(&work).filter(|_| !went_well).map(|(_, back_off)| back_off);
        let mut back_off = known.unwrap_or_else(|| BackOff::new(RETRY_MIN, RETRY_MAX));
        let wait = back_off.next_wait();
        self.0.retain(|_, (due, _)| due.elapsed() < RETRY_MAX);
        self.0.insert(work, (Instant::now() + wait, back_off));
    }

    /// Forgets work that is not to be done any more.
    pub fn keep_only(&mut self, stays: impl Fn(&W) -> bool) {
        self.0.retain(|work, _| stays(work));
    }
}
