//! How a node stands: connected or not, its circuit, and the last thing that went wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use back_off::spread;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::StoreError;
use crate::circuit::Circuit;
use crate::settings::Setup;

/// Shared by those that ask and the connection of one node.
#[derive(Debug)]
pub(crate) struct Standing {
    address: Arc<str>,
    purpose: &'static str,
    half_open_after: Duration,
    connected: AtomicBool,
    circuit: Mutex<Circuit>,
    /// The circuit opened: a trial is due by and by.
    opened: Notify,
    /// Why it was last told to be away, if it was not told to be back since.
    trouble: Mutex<Option<StoreError>>,
}

impl Standing {
    pub(crate) fn new(address: Arc<str>, setup: &Setup) -> Self {
        let settings = &setup.settings;
        Self {
            address,
            purpose: setup.purpose,
            half_open_after: settings.half_open_after,
            connected: AtomicBool::new(false),
            circuit: Mutex::new(Circuit::new(settings.failures_to_open.get())),
            opened: Notify::new(),
            trouble: Mutex::new(None),
        }
    }

    /// The node, for people.
    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// Whether it may be asked.
    pub(crate) fn is_closed(&self) -> bool {
        self.circuit.lock().is_closed()
    }

    /// Whether it is connected, and asked.
    pub(crate) fn is_up(&self) -> bool {
        self.connected.load(Relaxed) && self.is_closed()
    }

    /// A command was answered.
    pub(crate) fn answered(&self) {
        self.circuit.lock().answered();
    }

    /// A command was not answered, or refused.
    pub(crate) fn failed(&self, error: &StoreError) {
        if self.circuit.lock().failed(Instant::now(), self.wait()) {
            self.opened.notify_one();
            self.tell_trouble(error);
        }
    }

    /// A connection was made, and the probe ran on it.
    pub(crate) fn connected(&self) {
        self.connected.store(true, Relaxed);
        self.close();
    }

    /// The connection broke, or none could be made.
    pub(crate) fn disconnected(&self) {
        self.connected.store(false, Relaxed);
    }

    /// Waits until the circuit is open and a trial is due.
    pub(crate) async fn trial_due(&self) {
        loop {
            let trial_at = self.circuit.lock().trial_at();
            match trial_at {
                None => self.opened.notified().await,
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::time::sleep_until(at.into()).await,
            }
        }
    }

    /// How a trial ended.
    pub(crate) fn tried(&self, result: Result<(), StoreError>) {
        match result {
            Ok(()) => self.close(),
            Err(error) => {
                self.circuit.lock().trial_failed(Instant::now(), self.wait());
                self.tell_trouble(&error);
            }
        }
    }

    /// Says once in a row that the node is away, and why.
    pub(crate) fn tell_trouble(&self, error: &StoreError) {
        let mut trouble = self.trouble.lock();
        if trouble.is_none() {
            tracing::warn!(store = %self.address, %error, "the store of {} is away", self.purpose);
        }
        *trouble = Some(error.clone());
    }

    fn close(&self) {
        self.circuit.lock().close();
        if self.trouble.lock().take().is_some() {
            tracing::info!(store = %self.address, "the store of {} is back", self.purpose);
        }
    }

    /// What went wrong last, while it is away.
    pub(crate) fn trouble(&self) -> Option<StoreError> {
        self.trouble.lock().clone()
    }

    /// Spread, so that the proxies of a fleet do not try in one moment.
    fn wait(&self) -> Duration {
        spread(self.half_open_after, 0.9..=1.1, fastrand::f64())
    }
}
