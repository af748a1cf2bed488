//! The destinations that are requested from the controller: those the app dials, for as long as it dials them.
//!
//! A known destination costs one lookup in a table without writers; a dial to one that is not known takes the lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rpds::HashTrieMapSync;
use tokio::sync::{Notify, watch};

use crate::http::error::RequestError;

/// How long a dial waits for the controller's answer.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// The most destinations requested at a time; the least recently used one is dropped. An app that calls more services
/// than this is a scanner.
pub const MOST_DESTINATIONS: usize = 2048;
/// A destination that was not used for this long is dropped, seconds.
pub const IDLE_SECONDS: u32 = 600;
/// A destination without a service is dropped sooner, seconds.
pub const UNKNOWN_IDLE_SECONDS: u32 = 60;
/// A controller that has not answered for this long does not understand the request, seconds.
const UNANSWERED_SECONDS: u32 = 5;

/// The answer about a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupState {
    /// Nothing yet.
    Requested,
    /// A service.
    Service,
    /// It resolves to no service.
    Unknown,
}

#[derive(Debug)]
struct DemandEntry {
    state: watch::Sender<LookupState>,
    last_used: u32,
    /// When it was requested on the current stream, seconds of the coarse clock.
    sent: Option<u32>,
}

/// The requested destinations.
#[derive(Debug, Default)]
pub struct DestinationDemand {
    entries: Mutex<HashMap<Box<str>, DemandEntry>>,
    /// By service host: when it was used last, seconds of the coarse clock.
    uses: ArcSwap<HashTrieMapSync<Arc<str>, Arc<AtomicU32>>>,
    wake: Notify,
    connected: AtomicBool,
}

impl DestinationDemand {
    /// Records that a known service was used.
    pub fn note_use(&self, host: &Arc<str>, now: u32) {
        if let Some(used) = self.uses.load().get(host) {
            used.store(now, Relaxed);
        }
    }

    /// Requests a destination and waits until the answer is in force.
    ///
    /// # Errors
    /// [`RequestError::Unresolved`] when no answer arrives in time: an unknown destination is never guessed.
    pub async fn ask(&self, key: &str, now: u32) -> Result<LookupState, RequestError> {
        let mut state = self.entry(key, now);
        let answered = state.wait_for(|state| *state != LookupState::Requested);
        match tokio::time::timeout(ANSWER_DEADLINE, answered).await {
            Ok(Ok(state)) => Ok(*state),
            _ => Err(RequestError::Unresolved(key.to_owned())),
        }
    }

    fn entry(&self, key: &str, now: u32) -> watch::Receiver<LookupState> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(key) {
            entry.last_used = now;
            return entry.state.subscribe();
        }
        if entries.len() >= MOST_DESTINATIONS {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.last_used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                entries.remove(&oldest);
            }
        }
        let (state, answer) = watch::channel(LookupState::Requested);
        entries.insert(key.into(), DemandEntry { state, last_used: now, sent: None });
        self.wake.notify_one();
        answer
    }

    /// Wakes when there is something to request.
    pub async fn wait_for_unsent(&self) {
        self.wake.notified().await;
    }

    /// The destinations that were not requested on this stream yet; they count as requested from now on.
    pub fn take_unsent(&self, now: u32) -> Vec<String> {
        let mut entries = self.entries.lock();
        let unsent = entries.iter_mut().filter(|(_, entry)| entry.sent.is_none());
        unsent
            .map(|(key, entry)| {
                entry.sent = Some(now);
                key.to_string()
            })
            .collect()
    }

    /// On a new stream nothing has been requested yet.
    pub fn begin_stream(&self) {
        for entry in self.entries.lock().values_mut() {
            entry.sent = None;
        }
    }

    /// Records the controller's answer, after it was put in force.
    pub fn answered(&self, key: &str, state: LookupState) {
        if let Some(entry) = self.entries.lock().get(key) {
            entry.state.send_replace(state);
        }
    }

    /// Records for each of these hosts whether a service in force has it.
    pub fn services<'a>(&self, hosts: impl Iterator<Item = (&'a Arc<str>, bool)>, now: u32) {
        let before = self.uses.load();
        let changed = hosts.filter(|(host, known)| before.contains_key(*host) != *known);
        let mut uses = None;
        for (host, known) in changed {
            let uses = uses.get_or_insert_with(|| (**before).clone());
            match known {
                true => uses.insert_mut(host.clone(), Arc::new(AtomicU32::new(now))),
                false => drop(uses.remove_mut(host)),
            }
        }
        if let Some(uses) = uses {
            self.uses.store(Arc::new(uses));
        }
    }

    /// Whether a destination that was requested on the current stream has been without an answer for too long.
    #[must_use]
    pub fn has_unanswered(&self, now: u32) -> bool {
        let is_late = |entry: &DemandEntry| {
            let late = |sent: u32| now.saturating_sub(sent) > UNANSWERED_SECONDS;
            entry.sent.is_some_and(late) && *entry.state.borrow() == LookupState::Requested
        };
        self.entries.lock().values().any(is_late)
    }

    /// Drops destinations that were not used for long or were displaced, and returns them. `held` maps a destination to
    /// the service's host. While there is no controller nothing is dropped: it could not be requested again.
    pub fn sweep(&self, now: u32, held: &[(String, Arc<str>)]) -> Vec<String> {
        if !self.is_connected() {
            return Vec::new();
        }
        let hosts: HashMap<&str, &Arc<str>> =
            held.iter().map(|(key, host)| (key.as_str(), host)).collect();
        let uses = self.uses.load();
        let mut entries = self.entries.lock();
        let mut forgotten = Vec::new();
        entries.retain(|key, entry| {
            let host = hosts.get(&**key);
            let used = host.and_then(|host| uses.get(*host)).map_or(0, |used| used.load(Relaxed));
            let idle = now.saturating_sub(entry.last_used.max(used));
            let most = if host.is_some() { IDLE_SECONDS } else { UNKNOWN_IDLE_SECONDS };
            let keep = idle < most;
            if !keep {
                forgotten.push(key.to_string());
            }
            keep
        });
        let gone = held.iter().filter(|(key, _)| !entries.contains_key(key.as_str()));
        let gone: Vec<String> = gone.map(|(key, _)| key.clone()).collect();
        forgotten
            .extend(gone.into_iter().filter(|key| !forgotten.contains(key)).collect::<Vec<_>>());
        forgotten
    }

    /// How many destinations are requested.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// True when none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the controller's stream is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Notes that the stream opened or ended.
    pub fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Relaxed);
    }
}

#[cfg(test)]
mod tests;
