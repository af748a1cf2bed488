//! What proxies keep together in a Redis.

mod commands;
mod follow;
pub mod page;
mod scripts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use redis_link::{SettingsError, StoreSettings};
use tokio::sync::watch;

use crate::SessionStoreError;
use crate::revoked::{Revocation, Revoked, unix_millis};
use commands::Commands;
use follow::Follower;

/// The store, and what is known of it here.
#[derive(Debug)]
pub(crate) struct Together {
    pub(crate) commands: Commands,
    pub(crate) revoked: Revoked,
    /// What was revoked before this process began is known.
    heard: watch::Sender<bool>,
    /// Something is known here that the store may not know.
    unsent: AtomicBool,
}

impl Together {
    /// Begins to connect, and to follow what others revoke.
    pub(crate) fn start(settings: StoreSettings) -> Result<Arc<Self>, SettingsError> {
        let together = Arc::new(Self {
            commands: Commands::start(settings)?,
            revoked: Revoked::new(),
            heard: watch::Sender::new(false),
            unsent: AtomicBool::new(false),
        });
        let follower = Follower::default().follow(Arc::downgrade(&together));
        // It ends with the store.
        drop(together.commands.link().runtime().spawn(follower));
        Ok(together)
    }

    pub(crate) async fn revoke(&self, revocation: &Revocation) -> Result<(), SessionStoreError> {
        self.revoked.add(revocation, unix_millis(SystemTime::now()));
        let sent = self.commands.revoke(std::slice::from_ref(revocation)).await;
        if sent.is_err() {
            // Whether it was kept is not known.
            self.unsent.store(true, Relaxed);
        }
        Ok(sent?)
    }

    /// Until it is known what was revoked before this process began; then at once.
    pub(crate) async fn until_heard(&self) -> Result<(), SessionStoreError> {
        if *self.heard.borrow() {
            return Ok(());
        }
        let mut heard = self.heard.subscribe();
        let heard = heard.wait_for(|heard| *heard);
        let timeout = self.commands.link().settings().timeout;
        match tokio::time::timeout(timeout, heard).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(SessionStoreError::NotHeard),
        }
    }
}
