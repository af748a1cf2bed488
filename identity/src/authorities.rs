//! The authorities of other PKIs, as of the web, from PEM files: one rule for whoever believes them.

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::pem::damage;
use crate::{Pki, Signer, SignerError};

/// Why a file of authorities is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthoritiesError {
    /// A block is damaged.
    #[error("damaged PEM at certificate {index} (0 is the first): {reason}")]
    Pem {
        /// Its place among the certificates, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate may not sign others.
    #[error("certificate {index} (0 is the first) is no root: {reason}")]
    Root {
        /// Its place in the text, from 0.
        index: usize,
        /// What is wrong with it.
        reason: SignerError,
    },
    /// There is none.
    #[error("no PEM certificate in it: expected `-----BEGIN CERTIFICATE-----` blocks")]
    Empty,
}

/// Every `CERTIFICATE` block of a PEM text, which must all be authorities ([`Pki::Other`]), and what they say of themselves.
/// Blocks of other kinds are passed over.
///
/// # Errors
/// [`AuthoritiesError`] of the first block that is damaged or no authority's: the file is refused whole.
pub fn authorities(pem: &[u8]) -> Result<Vec<(CertificateDer<'static>, Signer)>, AuthoritiesError> {
    let mut found = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let certificate =
            certificate.map_err(|error| AuthoritiesError::Pem { index, reason: damage(&error) })?;
        let signer = Signer::read(&certificate, Pki::Other)
            .map_err(|reason| AuthoritiesError::Root { index, reason })?;
        found.push((certificate, signer));
    }
    if found.is_empty() { Err(AuthoritiesError::Empty) } else { Ok(found) }
}

/// As [`authorities`], for rustls to verify servers of the web with.
///
/// # Errors
/// [`AuthoritiesError`].
pub fn web_roots(pem: &[u8]) -> Result<RootCertStore, AuthoritiesError> {
    let mut roots = RootCertStore::empty();
    for (index, (certificate, _)) in authorities(pem)?.into_iter().enumerate() {
        let failed = |error: rustls::Error| SignerError::Malformed(error.to_string());
        let added = roots.add(certificate).map_err(failed);
        added.map_err(|reason| AuthoritiesError::Root { index, reason })?;
    }
    Ok(roots)
}
