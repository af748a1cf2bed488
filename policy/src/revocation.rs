//! Tokens that are no longer taken, although their signatures and times are right.
//!
//! TokenRevocations are compiled into the [`RevokedTokens`] of a workload, once a change. They are asked after a token was
//! verified, whatever verified it, and again of every open request when they change. They are no part of the token rules:
//! one entry more puts nobody's open request in doubt but that of the token it names.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::resources::TokenRevocation;
use crate::{Resources, TokenClaims, Workload};

/// The most entries of all TokenRevocations of a set together: some 10 MB of memory.
pub const MAX_REVOCATIONS: usize = 100_000;

/// What one TokenRevocation lists, by issuer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RevokedEntries {
    tokens: HashMap<Box<str>, HashSet<Box<str>>>,
    /// By subject: tokens issued before this Unix second are revoked.
    subjects: HashMap<Box<str>, HashMap<Box<str>, u64>>,
    count: usize,
}

impl RevokedEntries {
    /// Adds the token of this issuer with this `jti` (RFC 7519 §4.1.7). False: it stands there already.
    pub(crate) fn add_token(&mut self, issuer: &str, id: &str) -> bool {
        let is_new = entry(&mut self.tokens, issuer).insert(id.into());
        self.count += usize::from(is_new);
        is_new
    }

    /// Adds the tokens of a subject issued before this Unix second. False: the subject stands there already.
    pub(crate) fn add_subject(&mut self, issuer: &str, subject: &str, issued_before: u64) -> bool {
        let of_issuer = entry(&mut self.subjects, issuer);
        let is_new = of_issuer.insert(subject.into(), issued_before).is_none();
        self.count += usize::from(is_new);
        is_new
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn lists(&self, token: &TokenClaims) -> bool {
        self.lists_id(token) || self.lists_subject(token)
    }

    fn lists_id(&self, token: &TokenClaims) -> bool {
        let ids = self.tokens.get(token.issuer.as_str());
        let id = token.claims.get("jti").and_then(|id| id.as_str());
        ids.zip(id).is_some_and(|(ids, id)| ids.contains(id))
    }

    /// A token that does not say when it was issued, in whole seconds, may be an old one. The mesh's own name the user's
    /// provider in `orig_iss`.
    fn lists_subject(&self, token: &TokenClaims) -> bool {
        let provider = token.claims.get("orig_iss").and_then(|issuer| issuer.as_str());
        let issuers = [Some(token.issuer.as_str()), provider];
        let issued = token.claims.get("iat").and_then(|issued| issued.as_u64());
        issuers.into_iter().flatten().any(|issuer| {
            let subjects = self.subjects.get(issuer).zip(token.subject.as_deref());
            let issued_before = subjects.and_then(|(subjects, of)| subjects.get(of));
            issued_before.is_some_and(|before| issued.is_none_or(|issued| issued < *before))
        })
    }
}

fn entry<'m, T: Default>(map: &'m mut HashMap<Box<str>, T>, key: &str) -> &'m mut T {
    map.entry(key.into()).or_default()
}

/// The tokens that one workload no longer takes. Immutable; the default lists none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RevokedTokens {
    /// Each is shared with the object it was read from: a change of one costs nothing of the others.
    lists: Vec<Arc<RevokedEntries>>,
}

impl RevokedTokens {
    /// What concerns the workload.
    pub(crate) fn build(resources: &Resources, workload: &Workload) -> Self {
        let root = resources.root_namespace();
        let about = resources.token_revocations().iter();
        let about =
            about.filter(|object| !object.entries().is_empty() && object.selects(workload, root));
        Self { lists: about.map(|object| Arc::clone(object.entries())).collect() }
    }

    /// True when no token is revoked.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.lists.iter().map(|list| list.len()).sum()
    }

    /// Whether a verified token is revoked: by its `jti`, or by its subject and when it was issued. One of a subject that is
    /// listed and without `iat` is.
    pub fn is_revoked(&self, token: &TokenClaims) -> bool {
        self.lists.iter().any(|list| list.lists(token))
    }
}

/// Those of a set: more of them than [`MAX_REVOCATIONS`] are a mistake.
pub(crate) fn count(objects: &[TokenRevocation]) -> usize {
    objects.iter().map(|object| object.entries().len()).sum()
}

#[cfg(test)]
mod tests;
