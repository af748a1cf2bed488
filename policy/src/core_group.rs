//! Objects of Kubernetes' core group that gateways refer to: Secrets, ConfigMaps, Namespaces.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::gateway::ObjectName;

/// A `Secret`, as far as its keys are certificates (`tls.crt`, `tls.key`, `ca.crt`) or what policies about sign-in and
/// tokens refer to ([`Secret::VALUES`]). What else it holds is not kept.
///
/// Its values are wiped from memory when it is dropped, are never shown and never written.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Namespace and name.
    pub id: ObjectName,
    /// Its `type`.
    pub kind: SecretKind,
    /// The chain, PEM (`tls.crt`), as it was written.
    pub certificate: Option<Arc<Zeroizing<Vec<u8>>>>,
    /// Its key, PEM (`tls.key`), as it was written.
    pub key: Option<Arc<Zeroizing<Vec<u8>>>>,
    /// Certificates of authorities, PEM (`ca.crt`), as they were written.
    pub authorities: Option<Arc<Zeroizing<Vec<u8>>>>,
    /// By the keys of [`Secret::VALUES`] that it has.
    pub values: BTreeMap<&'static str, Arc<Zeroizing<Vec<u8>>>>,
}

impl Secret {
    /// The keys that are kept beside those of certificates: how a client proves itself to a provider, and the keys that
    /// sessions are sealed with.
    pub const VALUES: [&'static str; 4] = ["client-secret", "private-key", "current", "previous"];

    /// What stands at one of [`Secret::VALUES`].
    pub fn value(&self, key: &str) -> Option<&Arc<Zeroizing<Vec<u8>>>> {
        self.values.get(key)
    }
}

/// `type` of a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// `kubernetes.io/tls`: a certificate with its key.
    Tls,
    /// `Opaque`.
    Opaque,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, kind, .. } = self;
        f.debug_struct("Secret").field("id", id).field("kind", kind).finish_non_exhaustive()
    }
}

/// A `ConfigMap`, as far as it holds certificates of authorities. What else it holds is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMap {
    /// Namespace and name.
    pub id: ObjectName,
    /// Certificates of authorities, PEM (`ca.crt`), as they were written.
    pub authorities: Option<Arc<str>>,
}

/// A `Namespace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A certificate of an authority, for tests. Its key was thrown away.
#[cfg(test)]
pub(crate) const TEST_AUTHORITY: &str = include_str!("core_group/authority_of_tests.pem");
