//! API keys: long random words by which programs outside the mesh are told apart.
//!
//! ApiKeyPolicies are compiled into the [`ApiKeyTable`] of a workload, once a change. A key is
//! looked up by its SHA-256, and nothing else of it is ever known here: no comparison depends on the key, and nobody who
//! reads a policy can use what it holds.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::client_traffic::{ClientTrafficTarget, ListenerPlace};
use crate::resources::ApiKeyPolicy;
use crate::{Resources, Workload};

/// The longest key that is taken, in bytes.
pub const MAX_API_KEY_BYTES: usize = 512;

/// The SHA-256 of a key (FIPS 180-4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKeyHash(pub [u8; 32]);

impl fmt::Display for ApiKeyHash {
    /// `sha256:` and 64 hexadecimal digits, as policies write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a key stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKeyPlace {
    /// In a header of this name, in lower case (`from.header`; default `x-api-key`).
    Header(Box<str>),
    /// In a query parameter of this name (`from.query`).
    Query(Box<str>),
}

/// Whether a request must carry a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ApiKeyMode {
    /// It may have none; one that it has must be valid.
    Optional,
    /// Without one it is refused.
    #[default]
    Required,
}

/// A key that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// What is known of whoever sends it.
    pub facts: ApiKeyFacts,
    /// Its SHA-256.
    pub hash: ApiKeyHash,
    /// From when on it is taken, in Unix seconds. Default: always.
    pub not_before: Option<u64>,
    /// From when on it is no longer taken, in Unix seconds. Default: never.
    pub not_after: Option<u64>,
}

/// What a policy may ask about a request with a valid key (`request.auth.apiKey[..]`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiKeyFacts {
    /// The ApiKeyPolicy that lists it, `namespace/name`: another one's keys may have the same names. No policy asks for it.
    pub policy: Arc<str>,
    /// The key's name, which is no secret.
    pub id: Arc<str>,
    /// Whose key it is; several keys of one client differ in their `id`.
    pub client: Arc<str>,
    /// What it is for.
    pub scopes: Vec<Arc<str>>,
}

/// Why a request's key is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyRefusal {
    /// There is none, and one is required.
    #[error("a key is required, and there is none")]
    Missing,
    /// Nobody has such a key, it is not valid yet, or there are two.
    #[error("no such key is accepted")]
    Invalid,
    /// Its time is over.
    #[error("the key's time is over")]
    Expired,
}

impl ApiKeyRefusal {
    /// The stable reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "api_key_missing",
            Self::Invalid => "api_key_invalid",
            Self::Expired => "api_key_expired",
        }
    }
}

/// What one ApiKeyPolicy asks, ready to be asked.
#[derive(Debug, Clone, PartialEq)]
struct PolicyKeys {
    /// The listeners it is about; empty: the whole workload.
    targets: Vec<ClientTrafficTarget>,
    place: ApiKeyPlace,
    mode: ApiKeyMode,
    forwarded: bool,
    keys: HashMap<ApiKeyHash, Arc<ApiKey>>,
}

/// Everything that is asked of API keys where one workload lets others in: a sidecar, or a gateway with its listeners. The
/// default asks nothing. Immutable: what was made by it holds as long as it does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiKeyTable {
    /// In the order of their names.
    policies: Vec<PolicyKeys>,
}

/// What is asked of API keys at one place: of a workload, or of one listener of it. All policies about it hold together:
/// their keys are added up, one is required where any of them asks for it, and the app sees it where none objects.
#[derive(Debug, Clone, Copy)]
pub struct ApiKeyRules<'t> {
    table: &'t ApiKeyTable,
    listener: Option<ListenerPlace<'t>>,
}

impl ApiKeyTable {
    /// The policies that select the workload, and those about listeners, which only a gateway has.
    pub(crate) fn build(resources: &Resources, workload: &Workload) -> Self {
        let root = resources.root_namespace();
        let about = resources.api_key_policies().iter();
        let mut about: Vec<_> = about
            .filter(|policy| !policy.targets().is_empty() || policy.selects(workload, root))
            .collect();
        about.sort_by(|a, b| a.name().cmp(b.name()));
        Self { policies: about.into_iter().map(PolicyKeys::of).collect() }
    }

    /// What is asked of a request: of the workload's sidecar (`None`), or of a gateway's listener.
    pub fn rules<'t>(&'t self, listener: Option<ListenerPlace<'t>>) -> ApiKeyRules<'t> {
        ApiKeyRules { table: self, listener }
    }

    /// True when there is no policy at all.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The headers (lower case) that keys stand in.
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().filter_map(|policy| match &policy.place {
            ApiKeyPlace::Header(name) => Some(&**name),
            ApiKeyPlace::Query(_) => None,
        })
    }
}

impl PolicyKeys {
    fn of(policy: &ApiKeyPolicy) -> Self {
        Self {
            targets: policy.targets().to_vec(),
            place: policy.place().clone(),
            mode: policy.mode(),
            forwarded: policy.forwards(),
            keys: policy.keys().iter().map(|key| (key.hash, Arc::clone(key))).collect(),
        }
    }

    fn is_about(&self, listener: Option<&ListenerPlace<'_>>) -> bool {
        let targeted = |place| self.targets.iter().any(|target| target.is_about(place));
        self.targets.is_empty() || listener.is_some_and(targeted)
    }
}

impl<'t> ApiKeyRules<'t> {
    fn policies(self) -> impl Iterator<Item = &'t PolicyKeys> {
        self.table.policies.iter().filter(move |policy| policy.is_about(self.listener.as_ref()))
    }

    /// True when nothing is asked: a header of the name is then the app's own business.
    pub fn is_empty(self) -> bool {
        self.policies().next().is_none()
    }

    /// True when a request without a key is refused: then nothing may pass that could be no request.
    pub fn are_required(self) -> bool {
        self.policies().any(|policy| policy.mode == ApiKeyMode::Required)
    }

    /// Where keys stand, each place once.
    pub fn places(self) -> impl Iterator<Item = &'t ApiKeyPlace> {
        let is_first = move |(at, policy): &(usize, &PolicyKeys)| {
            self.policies().take(*at).all(|earlier| earlier.place != policy.place)
        };
        self.policies().enumerate().filter(is_first).map(|(_, policy)| &policy.place)
    }

    /// Whether the app gets what stands in the place.
    pub fn is_forwarded(self, place: &ApiKeyPlace) -> bool {
        self.policies().filter(|policy| policy.place == *place).all(|policy| policy.forwarded)
    }

    /// What is known of a request with a key of this hash in that place, at `now` (Unix seconds). Of a key that two policies
    /// have, the first one by name speaks.
    ///
    /// # Errors
    /// The refusal: whatever policy would say.
    pub fn judge(
        self,
        sent: Option<(&ApiKeyPlace, &ApiKeyHash)>,
        now: u64,
    ) -> Result<Option<&'t Arc<ApiKey>>, ApiKeyRefusal> {
        let Some((place, hash)) = sent else {
            return if self.are_required() { Err(ApiKeyRefusal::Missing) } else { Ok(None) };
        };
        let mut at_place = self.policies().filter(|policy| policy.place == *place);
        let key = at_place.find_map(|policy| policy.keys.get(hash));
        key.ok_or(ApiKeyRefusal::Invalid)?.at(now).map(Some)
    }

    /// The same for a request whose key was accepted before: wherever a key of this hash may stand by now.
    ///
    /// # Errors
    /// As [`Self::judge`]. Where nothing is asked of keys any more, nothing is known of the request.
    pub fn judge_again(
        self,
        accepted: Option<&ApiKey>,
        now: u64,
    ) -> Result<Option<&'t Arc<ApiKey>>, ApiKeyRefusal> {
        let Some(accepted) = accepted.filter(|_| !self.is_empty()) else {
            return self.judge(None, now);
        };
        let key = self.policies().find_map(|policy| policy.keys.get(&accepted.hash));
        key.ok_or(ApiKeyRefusal::Invalid)?.at(now).map(Some)
    }
}

impl ApiKey {
    fn at(self: &Arc<Self>, now: u64) -> Result<&Arc<Self>, ApiKeyRefusal> {
        if self.not_before.is_some_and(|begin| now < begin) {
            return Err(ApiKeyRefusal::Invalid);
        }
        match self.not_after.is_some_and(|end| now >= end) {
            true => Err(ApiKeyRefusal::Expired),
            false => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests;
