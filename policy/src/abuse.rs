//! Who is blocked for a while because of what its requests were answered: what an AbusePolicy says, and which policies a
//! request meets.
//!
//! These are the values that the reader of `AbusePolicy` makes and [`AbusePolicies`] compiles for one workload. Counting is
//! not done here: a policy tells the [caller](AbuseSettings::caller) of a request from others.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::client_traffic::{ClientTrafficTarget, ListenerPlace};
use crate::rate_limit::{CallerFacts, LimitKey};
use crate::{Resources, Workload};

/// An AbusePolicy, without whom it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct AbuseSettings {
    /// `namespace/name`.
    pub policy: Arc<str>,
    /// What becomes of a caller that abuses. Default: detect.
    pub mode: AbuseMode,
    /// What callers are told apart by; never the route. A request without it is its client address's.
    pub(crate) key: LimitKey,
    /// What is too much.
    pub measure: AbuseMeasure,
    /// What a blocked caller is answered. Default: 429.
    pub status: BlockStatus,
    /// The listeners that it is about; empty: a workload that it selects.
    pub(crate) targets: Vec<ClientTrafficTarget>,
}

/// What is too much, and how long a block lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbuseMeasure {
    /// In which time answers are counted (`window`): 10 s to 1 h. Default: 1 min.
    pub window: Duration,
    /// Below so many answers within it nothing is said of the refused ones (`requests`). Default: 20.
    pub requests: u32,
    /// From how many answers of 401, 403 and 404 in a hundred a caller is blocked (`refusedRatio`). Default: 50.
    pub refused_percent: u32,
    /// From how many different paths answered 404 a caller is blocked (`distinctMissing`): 5 to 500. Default: 30.
    pub distinct_missing: u32,
    /// How long the first block lasts (`blockFor`): 1 s to 1 d. Default: 5 min.
    pub block_for: Duration,
}

/// What becomes of a caller that abuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AbuseMode {
    /// It is told in log and metrics, and goes on.
    #[default]
    Detect,
    /// Its requests are refused for a while.
    Block,
}

/// What a blocked caller is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BlockStatus {
    /// 429 (RFC 6585 §4).
    #[default]
    TooManyRequests,
    /// 403 (RFC 9110 §15.5.4).
    Forbidden,
}

/// Whom a policy holds a request to be of.
#[derive(Debug, Clone, Copy)]
pub enum AbuseCaller<'a> {
    /// Whom the peer's certificate speaks for.
    Principal(&'a str),
    /// Whom a claim of a verified token names.
    Claim {
        /// Who says so.
        issuer: &'a str,
        /// The claim's name.
        name: &'a str,
        /// What it says.
        value: &'a Value,
    },
    /// Whose API key it is.
    ApiKey {
        /// The policy that lists the key.
        policy: &'a str,
        /// The key's name, which is no secret.
        id: &'a str,
    },
    /// The client's address; IPv6 by its /64, which one client has.
    Address(IpAddr),
}

/// The policies that concern one workload. Immutable; cheap to ask where there are none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AbusePolicies {
    /// In the order of their names.
    policies: Vec<Arc<AbuseSettings>>,
}

impl AbusePolicies {
    /// All that select the workload, and, for a gateway, those about listeners.
    pub fn build(resources: &Resources, workload: &Workload, is_gateway: bool) -> Self {
        let root = resources.root_namespace();
        let policies = resources.abuse_policies().iter().filter(|policy| {
            let of_listener = is_gateway && !policy.settings().targets.is_empty();
            of_listener || policy.selects(workload, root)
        });
        Self { policies: policies.map(|policy| Arc::clone(policy.settings())).collect() }
    }

    /// True when no request meets any.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// All of them, each in its place.
    pub fn policies(&self) -> &[Arc<AbuseSettings>] {
        &self.policies
    }
}

impl AbuseSettings {
    /// Whether it is about requests to the workload's sidecar (`None`), or to a gateway's listener.
    pub fn is_about(&self, listener: Option<&ListenerPlace<'_>>) -> bool {
        let targeted = |place| self.targets.iter().any(|target| target.is_about(place));
        self.targets.is_empty() || listener.is_some_and(targeted)
    }

    /// Whether a caller is told by what its request proves beside its connection, which is known only after it has been
    /// authenticated.
    pub fn is_keyed_by_credential(&self) -> bool {
        matches!(self.key, LimitKey::Claim(_) | LimitKey::ApiKey)
    }

    /// Whether the same is counted of the same callers, under the same name: what was counted then still counts.
    pub fn counts_as(&self, other: &Self) -> bool {
        self.policy == other.policy && self.key == other.key && self.measure == other.measure
    }

    /// Whose the request is. What has no credential of the wanted kind is the address's, so that who guesses credentials is
    /// counted as well, and not everybody together who has none.
    pub fn caller<'a>(&'a self, facts: &CallerFacts<'a>) -> AbuseCaller<'a> {
        let address = AbuseCaller::Address(facts.client);
        match &self.key {
            LimitKey::Principal => facts.principal.map_or(address, AbuseCaller::Principal),
            LimitKey::Claim(name) => facts.token.map_or(address, |token| {
                let claim = |value| AbuseCaller::Claim { issuer: &token.issuer, name, value };
                token.claims.get(&**name).map_or(address, claim)
            }),
            LimitKey::ApiKey => facts.api_key.map_or(address, |known| AbuseCaller::ApiKey {
                policy: &known.policy,
                id: &known.id,
            }),
            LimitKey::ClientAddress | LimitKey::Route => address,
        }
    }

    /// The key of the same caller, put behind what `key` holds: as rate limits tell callers apart (S-42, S-48).
    pub fn key(&self, facts: &CallerFacts<'_>, key: &mut Vec<u8>) {
        match self.caller(facts) {
            AbuseCaller::Address(_) => LimitKey::ClientAddress.put(facts, key),
            _ => self.key.put(facts, key),
        }
    }
}

impl AbuseCaller<'_> {
    /// By what the caller is told from others.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Principal(_) => "principal",
            Self::Claim { .. } => "claim",
            Self::ApiKey { .. } => "apiKey",
            Self::Address(_) => "clientAddress",
        }
    }
}

/// For a person who asks who is blocked.
impl fmt::Display for AbuseCaller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(principal) => f.write_str(principal),
            Self::Claim { issuer, name, value: Value::String(text) } => {
                write!(f, "{name} {text} of {issuer}")
            }
            Self::Claim { issuer, name, value } => write!(f, "{name} {value} of {issuer}"),
            Self::ApiKey { policy, id } => write!(f, "key {id} of {policy}"),
            Self::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => write!(f, "{address}"),
                IpAddr::V6(address) => {
                    let network = u128::from(address) & (u128::MAX << 64);
                    write!(f, "{}/64", std::net::Ipv6Addr::from(network))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests;
