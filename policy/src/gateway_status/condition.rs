//! A condition, as every status of the Gateway API has them.

use serde::{Serialize, Serializer};

/// One condition of a status.
///
/// What only its writer knows is added there: `observedGeneration` is the generation of the object that was judged, and
/// `lastTransitionTime` when its `status` last became another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word of the standard's.
    pub reason: &'static str,
    /// The same for people; never a secret, and at most some thousand characters.
    pub message: String,
}

/// What a condition is about: its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionKind {
    /// It is valid, and something is made of it.
    Accepted,
    /// What was made of it is, or soon will be, in the data plane.
    Programmed,
    /// Everything it refers to is there, and may be referred to.
    ResolvedRefs,
    /// A listener that cannot be told from an older one; true is bad.
    Conflicted,
    /// A listener of TLS whose host lies within another's of its port, or the other way round; true is a warning.
    OverlappingTlsConfig,
    /// A gateway that takes clients whose certificate is missing or wrong; true is a warning.
    InsecureFrontendValidationMode,
}

impl ConditionKind {
    /// The type as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Programmed => "Programmed",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Conflicted => "Conflicted",
            Self::OverlappingTlsConfig => "OverlappingTLSConfig",
            Self::InsecureFrontendValidationMode => "InsecureFrontendValidationMode",
        }
    }

    /// Whether somebody should look when the condition is true. That hosts overlap is told, and is no fault: a request that
    /// comes on the wrong connection is answered 421.
    fn is_bad_when_true(self) -> bool {
        matches!(self, Self::Conflicted | Self::InsecureFrontendValidationMode)
    }
}

impl Serialize for ConditionKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// That is not known yet.
    Unknown,
}

impl ConditionStatus {
    /// The status as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl Condition {
    /// A condition that holds.
    #[must_use]
    pub fn holds(kind: ConditionKind, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, status: ConditionStatus::True, reason, message: bounded(message.into()) }
    }

    /// A condition that does not hold.
    #[must_use]
    pub fn fails(kind: ConditionKind, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, status: ConditionStatus::False, reason, message: bounded(message.into()) }
    }

    /// Whether somebody should look at it.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        match self.kind {
            ConditionKind::OverlappingTlsConfig => false,
            kind if kind.is_bad_when_true() => self.status == ConditionStatus::True,
            _ => self.status == ConditionStatus::False,
        }
    }
}

/// The longest message, in characters (the API's limit is 32768).
const MOST_MESSAGE: usize = 4096;

fn bounded(message: String) -> String {
    match message.char_indices().nth(MOST_MESSAGE) {
        None => message,
        Some((end, _)) => message.get(..end).unwrap_or_default().to_owned(),
    }
}
