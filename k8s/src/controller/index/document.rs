//! A resource as a proxy gets it: JSON that the policy reader takes, and a version that follows from it.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A document and its version. Equal documents have equal versions on every replica and after every restart, so that a
/// proxy that comes back is sent only what changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// A digest of the text.
    pub version: String,
    /// The JSON text.
    pub json: String,
}

impl Document {
    /// The document of a JSON value.
    #[must_use]
    pub fn of(value: &serde_json::Value) -> Self {
        let json = value.to_string();
        let mut hasher = DefaultHasher::new();
        json.hash(&mut hasher);
        Self { version: format!("{:016x}-{}", hasher.finish(), json.len()), json }
    }
}
