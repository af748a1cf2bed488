//! The index as the tasks share it: one writer, many readers, a counter that wakes them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashboard::mesh::MeshReports;
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use tokio::sync::{mpsc, watch};

use super::index::{Event, Index, ObjectKind, ObjectName};

/// The most events taken in at a time.
const MOST_EVENTS: usize = 4096;
/// After a change, the next one is told only after this time, so that a burst wakes the proxies once: what a look of each
/// connected proxy costs, more or less, within the bounds.
const SETTLE_A_PROXY: Duration = Duration::from_micros(50);
/// The shortest such time: of a few proxies nobody is spared anything.
const SETTLE_MIN: Duration = Duration::from_millis(5);
/// The longest such time: a thousand proxies.
const SETTLE_MAX: Duration = Duration::from_millis(50);

/// The most streams of one pod: a proxy has one, and another while it comes back from an end that we have not noticed.
const MOST_STREAMS: usize = 4;

/// What the tasks of the controller share.
#[derive(Debug)]
pub struct Shared {
    index: RwLock<Index>,
    changes: watch::Sender<u64>,
    events: watch::Sender<u64>,
    kinds: Mutex<BTreeMap<ObjectKind, KindState>>,
    /// The open streams, by pod.
    streams: Mutex<HashMap<ObjectName, usize>>,
    /// What proxies tell of themselves, for the page.
    reports: Mutex<MeshReports>,
    started: Instant,
}

/// How far the watch of a kind has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KindState {
    /// Never listed.
    Starting,
    /// Listed, and watched.
    Watched,
    /// The API server knows no such kind; asked again from time to time.
    Absent,
    /// Of gateways, of which there are none here.
    Unwatched,
    /// Listed once; the watch fails at present, and what was known holds.
    Stale(String),
    /// Never listed, for this reason.
    Failing(String),
}

impl KindState {
    /// Whether what there is of the kind is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Watched | Self::Absent | Self::Unwatched | Self::Stale(_))
    }
}

impl Shared {
    /// Shares an index.
    #[must_use]
    pub fn new(index: Index) -> Self {
        let gateways = index.settings().gateways;
        let state = |kind: ObjectKind| match kind.is_of_gateways() && !gateways {
            true => KindState::Unwatched,
            false => KindState::Starting,
        };
        Self {
            kinds: Mutex::new(ObjectKind::all().map(|kind| (kind, state(kind))).collect()),
            index: RwLock::new(index),
            changes: watch::Sender::new(0),
            events: watch::Sender::new(0),
            streams: Mutex::new(HashMap::new()),
            reports: Mutex::new(MeshReports::default()),
            started: Instant::now(),
        }
    }

    /// The index, for reading; never across an `await`.
    pub fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read()
    }

    /// Wakes when something that a proxy is told may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Wakes when anything happened.
    pub fn events(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }

    /// Notes how far a watch has come.
    pub fn set_kind(&self, kind: ObjectKind, state: KindState) {
        let mut kinds = self.kinds.lock();
        let before = kinds.insert(kind, state.clone());
        drop(kinds);
        if before.as_ref() != Some(&state) {
            tracing::info!(kind = kind.as_str(), ?state, "watch");
            self.changes.send_modify(|revision| *revision += 1);
        }
    }

    /// How far each watch has come.
    pub fn kinds(&self) -> BTreeMap<ObjectKind, KindState> {
        self.kinds.lock().clone()
    }

    /// The kind that is not known yet, if any. Until all are, no proxy is told anything: half a set of policies could open what
    /// the whole one closes.
    pub fn unknown_kind(&self) -> Option<ObjectKind> {
        // Bundles are written, not told. What a policy refers to belongs to it: without it, it refuses.
        self.unknown(|kind| match kind {
            ObjectKind::Bundle => false,
            ObjectKind::Credentials => true,
            kind => !kind.is_of_gateways(),
        })
    }

    /// The kind that is not known yet of those that gateways are told, if any.
    pub fn unknown_gateway_kind(&self) -> Option<ObjectKind> {
        self.unknown(|kind| kind != ObjectKind::Deployment && kind.is_of_gateways())
    }

    fn unknown(&self, told: impl Fn(ObjectKind) -> bool) -> Option<ObjectKind> {
        let kinds = self.kinds.lock();
        kinds.iter().find(|(kind, state)| told(**kind) && !state.is_known()).map(|(kind, _)| *kind)
    }

    /// Takes in events until the watches are gone.
    pub async fn take_in(&self, mut events: mpsc::Receiver<Vec<Event>>) {
        let mut batch = Vec::new();
        while events.recv_many(&mut batch, MOST_EVENTS).await > 0 {
            let changed = {
                let mut index = self.index.write();
                let all = batch.drain(..).flatten();
                all.fold(false, |changed, event| index.apply(event) | changed)
            };
            self.events.send_modify(|revision| *revision += 1);
            if changed {
                self.changes.send_modify(|revision| *revision += 1);
                tokio::time::sleep(settle(self.connected())).await;
            }
        }
    }

    /// Counts a proxy for as long as the value lives; `None` when its pod has as many streams as one may have.
    pub fn count_proxy(self: &Arc<Self>, pod: &ObjectName) -> Option<Connected> {
        let mut streams = self.streams.lock();
        let open = streams.entry(pod.clone()).or_default();
        (*open < MOST_STREAMS).then(|| {
            *open += 1;
            Connected { shared: self.clone(), pod: pod.clone() }
        })
    }

    /// What proxies tell of themselves; never across an `await`.
    pub fn reports(&self) -> MutexGuard<'_, MeshReports> {
        self.reports.lock()
    }

    /// For how long there is this.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The proxies connected now.
    pub fn connected(&self) -> usize {
        self.streams.lock().len()
    }
}

/// How long a change is left alone with so many proxies.
fn settle(proxies: usize) -> Duration {
    let proxies = u32::try_from(proxies).unwrap_or(u32::MAX);
    SETTLE_A_PROXY.saturating_mul(proxies).clamp(SETTLE_MIN, SETTLE_MAX)
}

/// A connected proxy.
#[derive(Debug)]
pub struct Connected {
    shared: Arc<Shared>,
    pod: ObjectName,
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut streams = self.shared.streams.lock();
        if let Some(open) = streams.get_mut(&self.pod) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.pod);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_proxies_are_woken_less_often() {
        for (proxies, milliseconds) in
            [(0, 5), (1, 5), (200, 10), (1000, 50), (10_000, 50), (usize::MAX, 50)]
        {
            assert_eq!(settle(proxies), Duration::from_millis(milliseconds), "{proxies}");
        }
    }
}
