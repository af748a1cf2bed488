//! Which certificate a client is shown: by the server name it asks for, then by the signatures it can verify.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::certificate::ListenerCertificate;
use crate::connection::client_hello::server_name;

/// The certificates of one listener, found by their names.
pub(super) struct CertificateChoice {
    certificates: Vec<Arc<CertifiedKey>>,
    /// The places of those that have a name. Within each list RSA stands last: where a client takes both, the other one
    /// costs less.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// As `exact`, by what stands behind `*.`, which means one label (RFC 9525 §6.3).
    wildcard: HashMap<Box<str>, Vec<usize>>,
}

impl CertificateChoice {
    /// Finds the names of the certificates; `None` without any certificate.
    pub(super) fn new(certificates: &[Arc<ListenerCertificate>]) -> Option<Self> {
        certificates.first()?;
        let mut choice = Self {
            certificates: certificates.iter().map(|one| one.certified().clone()).collect(),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
        };
        for (place, certificate) in certificates.iter().enumerate() {
            for name in &certificate.leaf().dns_names {
                choice.name(name, place);
            }
        }
        let Self { certificates, exact, wildcard } = &mut choice;
        let is_rsa = |place: &usize| certificates.get(*place).is_some_and(is_rsa);
        exact.values_mut().chain(wildcard.values_mut()).for_each(|places| {
            // A stable sort: what comes first in the listener stays first.
            places.sort_by_key(is_rsa);
            places.dedup();
        });
        Some(choice)
    }

    fn name(&mut self, name: &str, place: usize) {
        let name = name.strip_suffix('.').unwrap_or(name);
        let places = match name.strip_prefix("*.") {
            Some(behind) => self.wildcard.entry(behind.into()),
            None => self.exact.entry(name.into()),
        };
        places.or_default().push(place);
    }

    /// The first certificate, from the best fit on, that the client can verify.
    fn choose(&self, name: Option<&str>, takes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let exact = name.and_then(|name| self.exact.get(name));
        let behind = name.and_then(|name| name.split_once('.'));
        let wildcard = behind.and_then(|(_, behind)| self.wildcard.get(behind));
        let fit = [exact, wildcard].into_iter().flatten().flatten();
        fit.filter_map(|place| self.certificates.get(*place))
            .chain(&self.certificates)
            .find(|certified| certified.key.choose_scheme(takes).is_some())
    }
}

fn is_rsa(certified: &Arc<CertifiedKey>) -> bool {
    certified.key.algorithm() == SignatureAlgorithm::RSA
}

impl ResolvesServerCert for CertificateChoice {
    // For TLS 1.2 rustls leaves only the schemes here that fit a cipher suite of the client.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = server_name(&hello);
        self.choose(name.as_deref(), hello.signature_schemes()).cloned()
    }
}

impl std::fmt::Debug for CertificateChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CertificateChoice({})", self.certificates.len())
    }
}
