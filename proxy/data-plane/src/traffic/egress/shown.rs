//! The certificate that a gateway shows to servers outside the mesh, where they ask for one.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

use crate::connection::edge_tls::ListenerCertificate;

/// A certificate with its key. Two are the same where the certificates are: connections with the one serve the other.
#[derive(Debug, Clone)]
pub(crate) struct ShownCertificate(Arc<ListenerCertificate>);

impl ShownCertificate {
    /// Shows this one.
    pub(crate) fn new(certificate: Arc<ListenerCertificate>) -> Self {
        Self(certificate)
    }
}

impl PartialEq for ShownCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.sha256() == other.0.sha256()
    }
}

impl Eq for ShownCertificate {}

impl Hash for ShownCertificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.sha256().hash(state);
    }
}

impl ResolvesClientCert for ShownCertificate {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let certified = self.0.certified();
        certified.key.choose_scheme(schemes).map(|_| certified.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
