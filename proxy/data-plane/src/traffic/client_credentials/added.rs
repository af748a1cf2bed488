//! The tokens that were fetched, by the ClientCredentials that they are of. Shared by all workers. Pure: time is handed in.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
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
    /// There is none, or none that the host takes.
    Now,
    /// There is none, and the provider, which has failed a moment ago, is left alone.
    Failed(NoToken),
}

/// What is on its way: a token by this very rule. One whose settings or secret are others is another flight, also under the
/// same name.
#[derive(Clone, PartialEq)]
pub(crate) struct FlightKey(Arc<ClientCredentialsRule>);

impl Eq for FlightKey {}

impl Hash for FlightKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.settings.name.hash(state);
    }
}

/// The tokens in force, and the rules that ask for them.
pub struct AddedTokens {
    table: ArcSwap<ClientCredentialsTable>,
    held: Mutex<HashMap<Arc<str>, Held>>,
    flights: SingleFlight<FlightKey, Result<Token, NoToken>>,
}

/// What is known of one rule's token.
struct Held {
    /// The rule that it was fetched by: another one, or another secret, asks anew.
    rule: Arc<ClientCredentialsRule>,
    token: Option<Token>,
    /// Whether its host has refused the token.
    refused: bool,
    /// What asking failed by, the last time.
    failed: Option<NoToken>,
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

    /// The token by this rule: fetched by `work`, once for all that wait for the same.
    ///
    /// # Errors
    /// What the work failed by; or too many are on their way.
    pub(crate) async fn fly<F>(
        &self,
        rule: &Arc<ClientCredentialsRule>,
        work: impl FnOnce() -> F,
    ) -> Result<Token, NoToken>
    where
        F: Future<Output = Result<Token, NoToken>> + Send + 'static,
    {
        let landed = self.flights.run(FlightKey(rule.clone()), work).await;
        landed.map_err(|_| NoToken("too many tokens are on their way".into()))?
    }

    /// The token of a rule, and whether the provider is to be asked. `now`: Unix seconds.
    pub(crate) fn need(&self, rule: &ClientCredentialsRule, now: u64) -> Need {
        let mut held = self.held.lock();
        let Some(held) = held.get_mut(&rule.settings.name).filter(|held| *held.rule == *rule)
        else {
            return Need::Now;
        };
        let waits = now < held.next_try;
        let usable = |token: &&Token| now.saturating_add(MARGIN) < token.until;
        let Some(token) = held.token.as_ref().filter(usable).cloned() else {
            let failed = held.failed.clone().filter(|_| waits);
            return failed.map_or(Need::Now, Need::Failed);
        };
        if waits || now < held.due(&token) {
            return Need::None(token);
        }
        // One of those that come now asks.
        held.next_try = now.saturating_add(RETRY);
        if held.refused { Need::Now } else { Need::Soon(token) }
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
        let next_try = now.saturating_add(RETRY);
        let (token, refused, failed) = match fetched {
            Ok(token) => (Some(token), false, None),
            Err(error) => {
                let refused = before.as_ref().is_some_and(|held| held.refused);
                (before.and_then(|held| held.token), refused, Some(error))
            }
        };
        all.insert(name, Held { rule: rule.clone(), token, refused, failed, next_try });
    }

    /// A host has answered 401 to this value of `authorization`: if it is a token of ours, another one is asked for when the
    /// next request comes, and not more often than a provider that failed is.
    pub(crate) fn refused(&self, bearer: &HeaderValue) {
        for held in self.held.lock().values_mut() {
            held.refused |= held.token.as_ref().is_some_and(|token| token.bearer == *bearer);
        }
    }
}

impl Held {
    /// When another token is to be fetched, Unix seconds.
    fn due(&self, token: &Token) -> u64 {
        if self.refused {
            return 0;
        }
        let life = token.until.saturating_sub(token.since);
        let due = token.since.saturating_add(life.saturating_mul(RENEWED_AT) / 100);
        // One that lives shortly is renewed while it is still used.
        due.min(token.until.saturating_sub(2 * MARGIN))
    }
}
