//! The keys of token issuers in force. Workers read them and never wait; the control thread fetches and replaces them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use identity::jws::KeySet;
use policy::{KeySource, SignInTable, TokenRules};
use tokio::sync::Notify;

use crate::traffic::jwt::keys::KeyBook;

/// The keys in force, and how workers request newer ones.
#[derive(Default)]
pub struct TokenKeys {
    keys: ArcSwap<KeyBook>,
    wake: ArcSwap<HashMap<KeySource, Arc<Notify>>>,
}

impl TokenKeys {
    /// The keys in force.
    #[must_use]
    pub fn keys(&self) -> Arc<KeyBook> {
        self.keys.load_full()
    }

    /// Reports that a token names an unknown key of this source. The keys are fetched again, at most once in 30 s.
    pub fn unknown_key(&self, source: &KeySource) {
        if let Some(wake) = self.wake.load().get(source) {
            wake.notify_one();
        }
    }

    /// Sets the tasks that fetch the keys of each source, to be woken by [`Self::unknown_key`].
    pub fn set_fetchers(&self, wake: HashMap<KeySource, Arc<Notify>>) {
        self.wake.store(Arc::new(wake));
    }

    /// Drops the keys that neither a rule nor a SignIn needs any more.
    pub fn keep_only(&self, rules: &TokenRules, sign_ins: &SignInTable) {
        let needed = |source: &KeySource| match source {
            KeySource::Discovery(issuer) if sign_ins.names(issuer) => true,
            source => rules.rules().iter().any(|rule| rule.jwt.keys == *source),
        };
        if self.keys.load().sources().any(|source| !needed(source)) {
            self.keys.rcu(|book| book.only(needed));
        }
    }

    /// Puts the keys of a source in force; `None` drops them.
    pub fn put(&self, source: &KeySource, keys: Option<KeySet>) {
        let keys = keys.map(Arc::new);
        self.keys.rcu(|book| book.with(source, keys.clone()));
    }
}
