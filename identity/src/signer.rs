//! Certificates that sign others: roots, and the intermediates between a root and a leaf.
//!
//! X509-SVID §3.2 and §4: `cA`, keyCertSign, and a SPIFFE id without a path where there is one. webpki asks an
//! intermediate for `cA` alone and a root for nothing, so that a workload's own leaf would sign for every name of its
//! trust domain once it stood among the roots.

use rustls_pki_types::CertificateDer;
use webpki::VerifiedPath;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::SpiffeId;
use crate::rsa;
use crate::svid::{MAX_CERTIFICATE, seconds};

/// Characters of a subject that an error shows.
const MAX_SHOWN: usize = 128;

/// Why a certificate may sign no other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// More than 16 KiB.
    #[error("larger than 16 KiB")]
    TooLarge,
    /// No X.509 certificate (version 3, RFC 5280 §4.1), or one with a damaged or repeated extension.
    #[error("not a readable X.509 certificate: {0}")]
    Malformed(String),
    /// No basic constraints with `cA` (X509-SVID §4.1, RFC 5280 §6.1.4 (k)).
    #[error(
        "{0} is not a CA certificate (no CA:TRUE): a workload's certificate signs nobody; take it out, and put the certificate \
         of its issuer there"
    )]
    NotCa(String),
    /// The key usage lacks keyCertSign, or there is none (X509-SVID §4.3, RFC 5280 §6.1.4 (n)).
    #[error(
        "{0} may not sign certificates: its key usage lacks keyCertSign; have it issued with \
         `keyUsage = critical, keyCertSign, cRLSign`"
    )]
    NoKeyCertSign(String),
    /// Its SPIFFE id names a workload, not a trust domain (X509-SVID §3.2).
    #[error(
        "{subject} carries the SPIFFE id {id:?}; the id of a signing certificate has no path: have it issued as the trust \
         domain alone, or without a URI name"
    )]
    WorkloadId {
        /// Of the certificate.
        subject: String,
        /// As it stands there, at most 128 characters.
        id: String,
    },
    /// Its RSA key can be computed from what it publishes.
    #[error(
        "{0} has an RSA key of the ROCA class (CVE-2017-15361), which others can compute; make a new key elsewhere"
    )]
    WeakKey(String),
}

/// Whose certificate it is: a mesh's, which SPIFFE speaks of, or another PKI's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pki {
    /// Roots and intermediates of X.509-SVIDs: keyCertSign must be there (X509-SVID §4.3).
    Spiffe,
    /// Other authorities, as of the web: a key usage that is there must have keyCertSign (RFC 5280 §6.1.4 (n)). Roots
    /// older than that rule have none.
    Other,
}

/// A certificate that may sign others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningCertificate {
    /// The subject as a person reads it, with the SPIFFE id where there is one; at most 128 characters of each.
    pub shown: String,
    /// First moment of validity, Unix seconds; 0 for times before 1970.
    pub not_before: u64,
    /// Last moment of validity, Unix seconds; 0 for times before 1970.
    pub not_after: u64,
}

impl SigningCertificate {
    /// Reads a certificate that is to sign others. Its times are reported, not judged: the caller has the clock.
    ///
    /// # Errors
    /// [`SignerError`] names the certificate and the broken rule.
    pub fn read(certificate: &CertificateDer<'_>, pki: Pki) -> Result<Self, SignerError> {
        if certificate.len() > MAX_CERTIFICATE {
            return Err(SignerError::TooLarge);
        }
        let (rest, parsed) = X509Certificate::from_der(certificate).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(SignerError::Malformed("bytes after its end".into()));
        }
        let shown = subject_label(&parsed);
        if !parsed.basic_constraints().map_err(malformed)?.is_some_and(|found| found.value.ca) {
            return Err(SignerError::NotCa(shown));
        }
        let usage = parsed.key_usage().map_err(malformed)?;
        if !usage.map_or(pki == Pki::Other, |usage| usage.value.key_cert_sign()) {
            return Err(SignerError::NoKeyCertSign(shown));
        }
        check_names(&parsed, &shown)?;
        if rsa::is_weak(parsed.public_key()) {
            return Err(SignerError::WeakKey(shown));
        }
        let validity = parsed.validity();
        let (not_before, not_after) =
            (validity.not_before.timestamp(), validity.not_after.timestamp());
        Ok(Self { shown, not_before: seconds(not_before), not_after: seconds(not_after) })
    }

    /// Whether it is over, or not begun, at this Unix second; the words go after its name.
    #[must_use]
    pub fn out_of_time(&self, now: u64) -> Option<String> {
        if now > self.not_after {
            return Some(format!("expired at {} (now {now}, Unix seconds)", self.not_after));
        }
        let early = now < self.not_before;
        early.then(|| format!("is not valid before {} (now {now}, Unix seconds)", self.not_before))
    }
}

/// Whether each intermediate of a path that is right otherwise may sign certificates. To be handed to webpki, which
/// goes on to other paths after an error.
///
/// # Errors
/// [`SignerError`] of the first that may not.
pub fn check_intermediates(path: &VerifiedPath<'_>, pki: Pki) -> Result<(), SignerError> {
    for intermediate in path.intermediate_certificates() {
        SigningCertificate::read(&intermediate.der(), pki)?;
    }
    Ok(())
}

/// Every SPIFFE id of a signer is a trust domain's. Names of other kinds say nothing of workloads.
fn check_names(certificate: &X509Certificate<'_>, shown: &str) -> Result<(), SignerError> {
    for uri in uris(certificate).map_err(malformed)? {
        let is_spiffe = uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"));
        let names_domain = SpiffeId::parse(uri).is_ok_and(|id| id.path().is_empty());
        if is_spiffe && !names_domain {
            return Err(SignerError::WorkloadId { subject: shown.to_owned(), id: cut(uri) });
        }
    }
    Ok(())
}

fn uris<'a>(
    certificate: &'a X509Certificate<'_>,
) -> Result<Vec<&'a str>, x509_parser::error::X509Error> {
    let names = certificate.subject_alternative_name()?;
    let names = names.into_iter().flat_map(|names| &names.value.general_names);
    Ok(names
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
        .collect())
}

/// The subject, and the first URI where there is one.
fn subject_label(certificate: &X509Certificate<'_>) -> String {
    let subject = cut(&certificate.subject().to_string());
    match uris(certificate).unwrap_or_default().first() {
        Some(uri) => format!("\"{subject}\" ({})", cut(uri)),
        None => format!("\"{subject}\""),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect()
}

fn malformed(error: impl std::fmt::Display) -> SignerError {
    SignerError::Malformed(error.to_string())
}
