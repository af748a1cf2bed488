//! What the sign-ins of all workers share.

use std::sync::Arc;

use browser_session::Session;

use super::limit::CallbackLimit;
use super::providers::Providers;
use super::recent::RecentOutcomes;
use crate::traffic::single_flight::SingleFlight;

/// Refreshes under way at a time: each waits for a provider for seconds at most.
const MOST_REFRESHES: usize = 1000;

/// What the sign-ins of all workers share.
pub(crate) struct SignIns {
    /// What providers say of themselves.
    pub(crate) providers: Providers,
    /// Refreshes under way, by the digest of the refresh token that they use up.
    pub(super) refreshes: SingleFlight<[u8; 32], Refreshed>,
    /// What became of the latest ones.
    pub(super) recent: RecentOutcomes<Refreshed>,
    /// How many sign-ins clients may complete.
    pub(super) callbacks: CallbackLimit,
}

/// What became of a refresh.
#[derive(Debug, Clone)]
pub(super) enum Refreshed {
    /// The session with its new tokens.
    Renewed(Arc<Session>),
    /// The provider refuses: the session is over.
    Refused,
    /// Nothing is known: the session goes on as it is.
    Unavailable,
}

impl SignIns {
    /// Whether a session is known that has taken the place of the one with this refresh token: a cookie of the old one that
    /// came now would undo it.
    pub(super) fn is_superseded(&self, refresh_key: &[u8; 32]) -> bool {
        matches!(self.recent.known(refresh_key), Some(Refreshed::Renewed(_)))
    }
}

impl Default for SignIns {
    fn default() -> Self {
        Self {
            providers: Providers::default(),
            refreshes: SingleFlight::new(MOST_REFRESHES),
            recent: RecentOutcomes::default(),
            callbacks: CallbackLimit::default(),
        }
    }
}
