//! Tokens of the mesh that are used again until shortly before their end, by what was asked. Shared by all workers.

use std::collections::HashMap;

use http::HeaderValue;
use parking_lot::Mutex;

/// The most tokens that are kept.
pub(super) const MAX_TOKENS: usize = 8192;
/// How many seconds before its end a token is used no more: it has a way before it, and clocks differ.
pub(super) const MARGIN: u64 = 15;

/// A token, ready to be sent.
#[derive(Clone)]
pub(super) struct ExchangedToken {
    /// The value of `authorization`, marked as sensitive.
    pub(super) bearer: HeaderValue,
    /// When it ends, Unix seconds.
    pub(super) not_after: u64,
}

impl ExchangedToken {
    fn is_usable(&self, now: u64) -> bool {
        now.saturating_add(MARGIN) < self.not_after
    }
}

/// Two halves: a token that is used moves into the young one; when that is full it becomes the old one, and the old one is
/// dropped.
#[derive(Default)]
pub(super) struct ExchangedTokens(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    young: HashMap<[u8; 32], ExchangedToken>,
    old: HashMap<[u8; 32], ExchangedToken>,
}

impl ExchangedTokens {
    /// The token that answered a question, while it may be used.
    pub(super) fn get(&self, key: &[u8; 32], now: u64) -> Option<HeaderValue> {
        let mut halves = self.0.lock();
        if let Some(token) = halves.young.get(key) {
            return token.is_usable(now).then(|| token.bearer.clone());
        }
        let token = halves.old.remove(key).filter(|token| token.is_usable(now))?;
        let bearer = token.bearer.clone();
        halves.add(*key, token);
        Some(bearer)
    }

    /// Keeps the token that answers a question.
    pub(super) fn put(&self, key: [u8; 32], token: ExchangedToken, now: u64) {
        if token.is_usable(now) {
            self.0.lock().add(key, token);
        }
    }
}

impl Halves {
    fn add(&mut self, key: [u8; 32], token: ExchangedToken) {
        if self.young.len() >= MAX_TOKENS / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, token);
    }
}

#[cfg(test)]
impl ExchangedTokens {
    pub(super) fn len(&self) -> usize {
        let halves = self.0.lock();
        halves.young.len() + halves.old.len()
    }
}
