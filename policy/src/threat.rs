//! Which requests are looked through for attacks, by which rules, and what is done then (kind `ThreatPolicy`).
//!
//! ThreatPolicies are compiled into the [`ThreatTable`] of one proxy, once a change. It says which policy is about a
//! request; at most one is, and nothing is merged, so that what is in force stands in one object. Rules are read and
//! requests are looked through elsewhere.

mod table;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::CanonicalPath;
use crate::pattern::PathPattern;
use crate::sign_in::SignInTarget;

pub use table::ThreatTable;

/// A ThreatPolicy that may be about requests to a proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreatRule {
    /// `namespace/name`.
    pub policy: Arc<str>,
    /// What it says.
    pub settings: Arc<ThreatSettings>,
}

/// What a ThreatPolicy says (`spec`).
#[derive(Debug, Clone, PartialEq)]
pub struct ThreatSettings {
    /// Gateways, ListenerSets, listeners and routes it is about; empty: it selects workloads.
    pub targets: Vec<SignInTarget>,
    /// What is done about a request that the rules find something in. Default [`ThreatMode::Detect`].
    pub mode: ThreatMode,
    /// The rules. Default [`RuleSetSource::Builtin`].
    pub rule_set: RuleSetSource,
    /// How suspicious the rules are, 1 (few false alarms) to 4. Default 1.
    pub paranoia: u8,
    /// The score of a request from which the policy acts, 1 to 10,000. Default 5: one critical match.
    pub inbound_threshold: u32,
    /// The most bytes of a body that are looked through, 1 KiB to 1 MiB. Default 128 KiB.
    pub inspect_bytes: u32,
    /// What becomes of a longer body. Default [`ExceededBody::Deny`].
    pub on_exceed: ExceededBody,
    /// Rules that do not count on some paths, or not for some arguments.
    pub exclusions: Vec<RuleExclusion>,
    /// How long a request waits for the result, 1 ms to 10 s. Default 50 ms.
    pub timeout: Duration,
}

/// What is done about a request that the rules find something in (`mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ThreatMode {
    /// It is logged and counted, and goes on. Nothing else is refused either: what cannot be looked through is counted.
    #[default]
    Detect,
    /// It is refused; and so is what cannot be looked through.
    Block,
}

/// Where rules come from (`ruleSet`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum RuleSetSource {
    /// Those that come with the proxy.
    #[default]
    Builtin,
    /// Files on the machine of the proxy.
    Files {
        /// A file, or a directory of `*.conf`: an absolute path.
        path: Arc<Path>,
        /// Rules that are left out where they ask for what is not supported (`allowUnsupported`); any other such rule
        /// refuses the set.
        allow_unsupported: Arc<[u32]>,
    },
}

/// What becomes of a body that is longer than what is looked through (`body.onExceed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExceededBody {
    /// It is refused.
    #[default]
    Deny,
    /// Its beginning is looked through, and the rest passes unseen.
    InspectPrefix,
}

/// A rule that does not count (`exclusions[]`).
#[derive(Debug, Clone, PartialEq)]
pub struct RuleExclusion {
    /// Its id.
    pub rule: u32,
    /// On these paths; empty: on all.
    pub(crate) paths: Vec<PathPattern>,
    /// For these arguments, by their exact names; empty: for the whole request.
    pub arguments: Vec<Box<str>>,
}

impl ThreatSettings {
    /// Whether a policy (`namespace/name`) may name the rules that it names, at a gateway of the namespace `gateway`. The files
    /// there are not for policies of other namespaces, which are about their own routes: they would choose what is read.
    pub fn may_name_rules(&self, policy: &str, gateway: &str) -> bool {
        let is_own = policy.split_once('/').is_some_and(|(namespace, _)| namespace == gateway);
        is_own || self.targets.is_empty() || self.rule_set == RuleSetSource::Builtin
    }
}

impl RuleExclusion {
    /// Whether it holds on a path: in every reading that an app may have, because it lets more through.
    pub fn is_about(&self, path: &CanonicalPath<'_>) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|pattern| pattern.matches_all_readings(path))
    }
}

impl ThreatMode {
    /// As policies write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Block => "block",
        }
    }
}

impl std::fmt::Display for RuleSetSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Builtin => f.write_str("builtin"),
            Self::Files { path, .. } => path.display().fmt(f),
        }
    }
}
