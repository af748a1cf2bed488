//! Authorities of other PKIs, such as those of the web, from PEM files: one rule for everything that trusts them.

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::pem::damage;
use crate::rsa;
use crate::{Pki, SignerError, SigningCertificate};

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

/// Every `CERTIFICATE` block of a PEM text, which must all be authorities ([`Pki::Other`]), and what they say of
/// themselves. Blocks of other kinds are passed over.
///
/// # Errors
/// [`AuthoritiesError`] of the first block that is damaged or no authority's: the file is refused whole.
pub fn authorities(
    pem: &[u8],
) -> Result<Vec<(CertificateDer<'static>, SigningCertificate)>, AuthoritiesError> {
    each(pem, |certificate| {
        SigningCertificate::read(&certificate, Pki::Other).map(|signer| (certificate, signer))
    })
}

/// As [`authorities`], for rustls to verify servers of the web with. A server's self-signed certificate may be among
/// them: that is how such a server is trusted.
///
/// # Errors
/// [`AuthoritiesError`].
pub fn web_roots(pem: &[u8]) -> Result<RootCertStore, AuthoritiesError> {
    let mut roots = RootCertStore::empty();
    each(pem, |certificate| {
        match SigningCertificate::read(&certificate, Pki::Other) {
            Err(SignerError::NotCa(_)) if is_self_signed(&certificate) => {}
            other => drop(other?),
        }
        roots.add(certificate).map_err(|error| SignerError::Malformed(error.to_string()))
    })?;
    Ok(roots)
}

/// Judges every certificate of a PEM text, of which there must be one.
fn each<T>(
    pem: &[u8],
    mut judge: impl FnMut(CertificateDer<'static>) -> Result<T, SignerError>,
) -> Result<Vec<T>, AuthoritiesError> {
    let mut found = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let certificate =
            certificate.map_err(|error| AuthoritiesError::Pem { index, reason: damage(&error) })?;
        let judged = judge(certificate);
        found.push(judged.map_err(|reason| AuthoritiesError::Root { index, reason })?);
    }
    if found.is_empty() { Err(AuthoritiesError::Empty) } else { Ok(found) }
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| {
        parsed.subject() == parsed.issuer()
            && parsed.verify_signature(None).is_ok()
            && !rsa::is_weak(parsed.public_key())
    })
}
