//! A resource as a proxy gets it: the bytes that its reader takes, and a version that follows from them.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use prost::Message as _;
use zeroize::Zeroizing;

use crate::controller::service_message;

/// A document and its version. Equal documents have equal versions on every replica and after every restart, so that a
/// proxy that comes back is sent only what changed.
#[derive(Clone, PartialEq, Eq)]
pub struct ResourceDocument {
    /// A digest of the bytes.
    pub version: String,
    /// The JSON text of a policy, or the message of a service.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ResourceDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceDocument").field("version", &self.version).finish_non_exhaustive()
    }
}

impl ResourceDocument {
    /// The document of a policy.
    #[must_use]
    pub fn of_policy(value: &serde_json::Value) -> Self {
        Self::of(value.to_string().into_bytes())
    }

    /// The document of a service. Its message has no map, so that equal services have equal bytes.
    #[must_use]
    pub fn of_service(message: &service_message::Service) -> Self {
        Self::of(message.encode_to_vec())
    }

    /// A Secret with no other keys than these. What has no others stays as it is.
    pub(super) fn with_only(&self, keys: &BTreeSet<&str>) -> Option<Self> {
        let mut value: serde_json::Value = serde_json::from_slice(&self.bytes).ok()?;
        value.get_mut("data")?.as_object_mut()?.retain(|key, _| keys.contains(key.as_str()));
        Some(Self::of_policy(&value))
    }

    fn of(bytes: Vec<u8>) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let version = format!("{:016x}-{}", hasher.finish(), bytes.len());
        Self { version, bytes: Zeroizing::new(bytes) }
    }
}
