//! BackendTLSPolicy: the TLS that is spoken to a Service whose servers have no proxy of ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ObjectName, ObjectReference};
use crate::traffic_policy::SubjectAltName;

/// A `BackendTLSPolicy`. What it refers to lies in its own namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendTlsPolicy {
    /// Namespace and name.
    pub id: ObjectName,
    /// `metadata.creationTimestamp`; `None` in files.
    pub created: Option<Arc<str>>,
    /// What it is about, 1 to 16.
    pub targets: Vec<BackendTlsTarget>,
    /// Whom the server's certificate must come from.
    pub anchors: TrustAnchors,
    /// The server name that is asked for (`hostname`), which the certificate must be for unless names are given.
    pub host: Arc<str>,
    /// Names one of which the certificate must have instead, up to 5.
    pub names: Vec<SubjectAltName>,
    /// Settings of other implementations (`options`): with any the policy is not accepted, reason `Invalid`.
    pub options: BTreeMap<String, String>,
}

/// A `targetRef`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendTlsTarget {
    /// The object; only a Service has an effect.
    pub object: ObjectReference,
    /// The name of one of its ports; `None`: all of them.
    pub section: Option<Arc<str>>,
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustAnchors {
    /// Those in these ConfigMaps (`caCertificateRefs`), 1 to 8.
    References(Vec<ObjectReference>),
    /// Those of the system (`wellKnownCACertificates: System`).
    System,
    /// Another well-known set, which is not known here: the policy is not accepted, reason `Invalid`.
    Unknown(Arc<str>),
}
