//! What the agent holds, as everybody else sees it: swapped whole, watched by every stream.

use std::sync::Arc;

use identity::{SvidKey, TrustBundle, X509Svid};
use tokio::sync::watch;

/// An identity: certificate, key, and the roots of its trust domain. They change together or not at
/// all.
#[derive(Debug)]
pub struct Held {
    /// The certificate chain.
    pub svid: X509Svid,
    /// Its key.
    pub key: SvidKey,
    /// The roots of our own trust domain.
    pub bundle: TrustBundle,
}

impl Held {
    /// Whether the certificate is still good at this time (Unix seconds).
    #[must_use]
    pub fn is_current(&self, now: u64) -> bool {
        now <= self.svid.not_after()
    }
}

/// How the renewals go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// When the next attempt is due, Unix seconds.
    pub next_attempt: u64,
    /// Certificates received since the start.
    pub renewals: u64,
    /// Attempts that failed since the start.
    pub failures: u64,
    /// Why the last attempt failed; none when it did not.
    pub last_error: Option<String>,
    /// The authority knows us no more: it refused our evidence, not just this attempt.
    pub denied: bool,
}

/// The side that renews.
#[derive(Debug)]
pub struct Publisher {
    held: watch::Sender<Option<Arc<Held>>>,
    status: watch::Sender<Status>,
}

/// The side that serves. Cheap to clone.
#[derive(Debug, Clone)]
pub struct View {
    /// The identity; none until the first certificate.
    pub held: watch::Receiver<Option<Arc<Held>>>,
    /// How the renewals go.
    pub status: watch::Receiver<Status>,
}

/// Nothing is held yet.
#[must_use]
pub fn channel() -> (Publisher, View) {
    let (held, held_view) = watch::channel(None);
    let (status, status_view) = watch::channel(Status::default());
    (Publisher { held, status }, View { held: held_view, status: status_view })
}

impl Publisher {
    /// A new identity: every stream gets it as one message.
    pub fn hold(&self, held: Held) {
        self.held.send_replace(Some(Arc::new(held)));
    }

    /// What is held now.
    #[must_use]
    pub fn held(&self) -> Option<Arc<Held>> {
        self.held.borrow().clone()
    }

    /// Changes the status.
    pub fn status(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }
}

impl View {
    /// What is held and still good at this time (Unix seconds).
    #[must_use]
    pub fn current(&self, now: u64) -> Option<Arc<Held>> {
        self.held.borrow().clone().filter(|held| held.is_current(now))
    }
}
