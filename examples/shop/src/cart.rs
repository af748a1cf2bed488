//! The carts of all users, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

/// How many cart changes a slow follower may lag behind before it misses some.
const CHANGES_KEPT: usize = 64;

/// All carts, shared between the HTTP, WebSocket and order ports; cloning shares the same carts.
#[derive(Clone)]
pub struct Carts {
    items: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    changes: broadcast::Sender<String>,
}

impl Default for Carts {
    fn default() -> Self {
        Self { items: Arc::default(), changes: broadcast::channel(CHANGES_KEPT).0 }
    }
}

impl Carts {
    /// The items of one user, in the order they were put in; empty for a new user.
    #[must_use]
    pub fn items(&self, user: &str) -> Vec<String> {
        self.lock().get(user).cloned().unwrap_or_default()
    }

    /// Puts an item in and returns how many are in the cart now.
    pub fn add(&self, user: &str, item: &str) -> usize {
        let count = {
            let mut carts = self.lock();
            let items = carts.entry(user.to_owned()).or_default();
            items.push(item.to_owned());
            items.len()
        };
        // Nobody following is fine.
        let _ = self.changes.send(format!("{user} added {item}"));
        count
    }

    /// Empties the cart.
    pub fn empty(&self, user: &str) {
        self.lock().remove(user);
        let _ = self.changes.send(format!("{user} emptied"));
    }

    /// Follows the changes of all carts from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<String> {
        self.changes.subscribe()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
