//! The tokens that were fetched, by the ClientCredentials that they are of. Shared by all workers. Pure: time is handed in.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use http::HeaderValue;
use parking_lot::Mutex;
use policy::{ClientCredentialsRule, ClientCredentialsTable};

use crate::http::error::RequestError;
use crate::traffic::single_flight::SingleFlight;

/// How many seconds before its end a token is used no more: it has a way before it, and clocks differ.
pub(super) const MARGIN: u64 = 15;
/// After how much of its life, in percent, a token is renewed beside the requests.
const RENEWED_AT: u64 = 80;
/// How long a provider that failed is left alone, in seconds.
const RETRY: u64 = 5;
/// Tokens on their way at a time, one a rule.
const MOST_FLIGHTS: usize = 1024;

/// Why a request leaves without a token, which is: not at all. Holds no part of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoToken(pub Arc<str>);

impl From<NoToken> for RequestError {
    fn from(NoToken(why): NoToken) -> Self {
        Self::ClientCredentialsUnavailable(why)
    }
}

/// A token, ready to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The value of `authorization`, marked as sensitive.
    pub(crate) bearer: HeaderValue,
    /// When it was fetched, Unix seconds.
    pub(crate) since: u64,
    /// When it ends, Unix seconds.
    pub(crate) until: u64,
}

/// Whether the provider is to be asked.
pub(crate) enum Need {
    /// The token is good.
    None(Token),
    /// The token is good for a while, and another one is to be fetched.
    Soon(Token),
    /// There is none.
    Now,
}

/// The tokens in force, and the rules that ask for them.
pub struct AddedTokens {
    table: ArcSwap<ClientCredentialsTable>,
    held: Mutex<HashMap<Arc<str>, Held>>,
    flights: SingleFlight<Arc<str>, Result<Token, NoToken>>,
}

/// What is known of one rule's token.
struct Held {
    /// The rule that it was fetched by: another one, or another secret, asks anew.
    rule: Arc<ClientCredentialsRule>,
    token: Option<Token>,
    /// When the provider is to be asked next at the earliest, Unix seconds.
    next_try: u64,
}

impl Default for AddedTokens {
    fn default() -> Self {
        Self {
            table: ArcSwap::default(),
            held: Mutex::default(),
            flights: SingleFlight::new(MOST_FLIGHTS),
        }
    }
}

impl AddedTokens {
    /// Puts other rules in force. Tokens of rules that are gone are forgotten.
    pub(crate) fn install(&self, table: ClientCredentialsTable) {
        self.held.lock().retain(|_, held| table.rules().any(|rule| **rule == *held.rule));
        self.table.store(Arc::new(table));
    }

    /// The rules in force.
    pub(crate) fn table(&self) -> Guard<Arc<ClientCredentialsTable>> {
        self.table.load()
    }

    /// What is on its way.
    pub(crate) fn flights(&self) -> &SingleFlight<Arc<str>, Result<Token, NoToken>> {
        &self.flights
    }

    /// The token of a rule, and whether the provider is to be asked. `now`: Unix seconds.
    pub(crate) fn need(&self, rule: &ClientCredentialsRule, now: u64) -> Need {
        let mut held = self.held.lock();
        let Some(held) = held.get_mut(&rule.settings.name).filter(|held| *held.rule == *rule)
        else {
            return Need::Now;
        };
        let usable = |token: &&Token| now.saturating_add(MARGIN) < token.until;
        let Some(token) = held.token.as_ref().filter(usable).cloned() else { return Need::Now };
        let life = token.until.saturating_sub(token.since);
        let due = token.since.saturating_add(life.saturating_mul(RENEWED_AT) / 100);
        // One that lives shortly is renewed while it is still used.
        let due = due.min(token.until.saturating_sub(2 * MARGIN));
        if now < due.max(held.next_try) {
            return Need::None(token);
        }
        // One of those that come now asks.
        held.next_try = now.saturating_add(RETRY);
        Need::Soon(token)
    }

    /// Keeps what came of asking; after a failure the token of before stays.
    pub(crate) fn fetched(
        &self,
        rule: &Arc<ClientCredentialsRule>,
        fetched: Result<Token, NoToken>,
        now: u64,
    ) {
        let mut all = self.held.lock();
        let name = rule.settings.name.clone();
        let before = all.remove(&name).filter(|held| *held.rule == **rule);
        let token = fetched.ok().or_else(|| before.and_then(|held| held.token));
        all.insert(name, Held { rule: rule.clone(), token, next_try: now.saturating_add(RETRY) });
    }
}
