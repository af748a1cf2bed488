//! Which users' tokens become tokens of the mesh itself, and what these say.
//!
//! TokenExchanges are compiled into the [`TokenExchangeTable`] of a workload, once a change. Where one holds, the token that
//! a user came with goes no further; the mesh's own, which is for the next workload alone, stands in its place.

use std::sync::Arc;
use std::time::Duration;

use crate::client_traffic::{ClientTrafficTarget, ListenerPlace};
use crate::{Resources, Workload};

/// The longest life of a token of the mesh, and the default one.
pub const MAX_EXCHANGED_LIFETIME: Duration = Duration::from_secs(300);

/// What one TokenExchange says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenExchangeRule {
    /// `namespace/name`: stable, for logs.
    pub name: Arc<str>,
    /// The issuers whose users it is about (`issuers`); empty: every issuer whose token was verified.
    pub issuers: Vec<Box<str>>,
    /// Which claims of the user's token the new one has (`claims`), as far as they are there. Default `email`, `groups`.
    pub claims: Vec<Box<str>>,
    /// How long a new token shall be good (`lifetime`): 30 s to [`MAX_EXCHANGED_LIFETIME`], which is the default.
    pub lifetime: Duration,
    /// For whom it is (`audience`): a SPIFFE id, or a trust domain such as `spiffe://cluster.local`. Default: the service
    /// that the request goes to, where it has one identity, else the own trust domain.
    pub audience: Option<Arc<str>>,
}

/// A rule, and where it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PlacedRule {
    /// The listeners it is about; empty: the whole workload.
    targets: Vec<ClientTrafficTarget>,
    rule: Arc<TokenExchangeRule>,
}

/// Everything that is exchanged at one workload: a sidecar, or a gateway with its listeners. The default exchanges nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenExchangeTable {
    /// In the order of their names.
    rules: Vec<PlacedRule>,
}

impl TokenExchangeTable {
    /// The TokenExchanges that select the workload, and those about listeners, which only a gateway has.
    pub(crate) fn build(resources: &Resources, workload: &Workload) -> Self {
        let root = resources.root_namespace();
        let about = resources.token_exchanges().iter();
        let about = about
            .filter(|object| !object.targets().is_empty() || object.selects(workload, root))
            .map(|object| PlacedRule {
                targets: object.targets().to_vec(),
                rule: Arc::clone(object.rule()),
            });
        let mut rules: Vec<_> = about.collect();
        rules.sort_by(|a, b| a.rule.name.cmp(&b.rule.name));
        Self { rules }
    }

    /// True when nothing is exchanged anywhere.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether anything is exchanged at a place: at the workload (`None`), or at a gateway's listener. The user's own token
    /// then goes no further, whoever issued it.
    pub fn holds_at(&self, listener: Option<&ListenerPlace<'_>>) -> bool {
        self.about(listener).next().is_some()
    }

    /// The rule for the users of an issuer: the first, by its name, that names the issuer; else the first that names none.
    pub fn rule(
        &self,
        listener: Option<&ListenerPlace<'_>>,
        issuer: &str,
    ) -> Option<&Arc<TokenExchangeRule>> {
        let named = self.about(listener).find(|rule| rule.issuers.iter().any(|i| **i == *issuer));
        named.or_else(|| self.about(listener).find(|rule| rule.issuers.is_empty()))
    }

    fn about(
        &self,
        listener: Option<&ListenerPlace<'_>>,
    ) -> impl Iterator<Item = &Arc<TokenExchangeRule>> {
        let here = move |placed: &&PlacedRule| {
            let targeted =
                |place: &ListenerPlace<'_>| placed.targets.iter().any(|t| t.is_about(place));
            placed.targets.is_empty() || listener.is_some_and(targeted)
        };
        self.rules.iter().filter(here).map(|placed| &placed.rule)
    }
}

#[cfg(test)]
mod tests;
