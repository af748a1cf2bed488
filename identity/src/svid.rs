//! X.509-SVIDs: a certificate chain whose leaf has passed the rules of X509-SVID §2 to §5.
//!
//! [`Leaf`] is what a certificate says when read by those rules; [`X509Svid`] is a chain, ours or
//! a peer's, with its leaf read. Neither says that anybody trusted signed it: that is
//! [`verify::verify_peer`](crate::verify::verify_peer).

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use crate::{IdError, Pki, SignerError, SigningCertificate, SpiffeId, rsa};

/// The largest certificate that is read, in bytes. A P-256 SVID has about 600.
pub(crate) const MAX_CERTIFICATE: usize = 16 * 1024;
/// The largest RSA key of a leaf, bits: what the TLS library verifies too.
const MAX_RSA_BITS: usize = 8192;
/// The most certificates that are taken apart at once; a bundle has no more roots.
const MAX_CERTIFICATES: usize = 64;
/// The most certificates in a chain, leaf included (SECURITY-CASES S-26).
pub(crate) const MAX_CHAIN: usize = 8;

/// Why a certificate is not an X.509-SVID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SvidError {
    /// The chain has no certificate.
    #[error("the certificate chain is empty")]
    EmptyChain,
    /// The chain has more than 8 certificates, or one has more than 16 KiB.
    #[error("the certificate chain is too large: at most 8 certificates of 16 KiB each")]
    TooLarge,
    /// The bytes are no X.509 certificate, or one with a damaged or repeated extension.
    #[error("not a readable X.509 certificate: {0}")]
    Malformed(String),
    /// No URI subject alternative name (X509-SVID §2).
    #[error("the certificate has no URI subject alternative name, so it names no workload")]
    NoUriSan,
    /// More than one URI subject alternative name (X509-SVID §2).
    #[error("the certificate has {0} URI subject alternative names; an SVID has exactly one")]
    ManyUriSans(usize),
    /// The URI is not a SPIFFE id.
    #[error("the certificate's URI is not a SPIFFE id: {0}")]
    Id(IdError),
    /// The id has no path: it names a trust domain, not a workload (X509-SVID §3.1, §5.2).
    #[error("the certificate's SPIFFE id has no path; a leaf names a workload")]
    RootPath,
    /// The subject is empty but the SAN is not critical (RFC 5280 §4.2.1.6, X509-SVID §3.1).
    #[error("the subject is empty, so the subject alternative name must be marked critical")]
    SanNotCritical,
    /// A CA certificate (X509-SVID §4.1, §5.2).
    #[error("the certificate is a CA certificate; a leaf has CA:FALSE")]
    Ca,
    /// Key usage missing or not critical (X509-SVID §4.3).
    #[error("key usage is missing or not marked critical")]
    KeyUsageMissing,
    /// No `digitalSignature` (X509-SVID §4.3).
    #[error("key usage lacks digitalSignature")]
    NoDigitalSignature,
    /// `keyCertSign` or `cRLSign` (X509-SVID §4.3, §5.2).
    #[error("key usage allows keyCertSign or cRLSign; a leaf signs nothing")]
    SigningKeyUsage,
    /// An RSA key that makes every signature expensive to verify (SECURITY-CASES S-26).
    #[error("the certificate's RSA key has {0} bits; at most 8192 are taken")]
    KeyTooLarge(usize),
    /// An RSA key of the ROCA class (CVE-2017-15361).
    #[error(
        "the certificate's RSA key is of the ROCA class (CVE-2017-15361), which others can compute; make a new key elsewhere"
    )]
    WeakKey,
    /// A certificate behind the leaf that may not sign others (X509-SVID §4.3).
    #[error(
        "certificate {index} of the chain (0 is the leaf) cannot have signed the one before it: {reason}"
    )]
    Signer {
        /// Its place in the chain.
        index: usize,
        /// The broken rule.
        reason: SignerError,
    },
    /// Extended key usage present without both `serverAuth` and `clientAuth` (X509-SVID §4.4).
    #[error("extended key usage is present but lacks serverAuth or clientAuth")]
    ExtendedKeyUsage,
}

// Implemented by hand, without a source: this message contains the inner error's text, and a reporter would print it
// twice.
impl From<IdError> for SvidError {
    fn from(error: IdError) -> Self {
        Self::Id(error)
    }
}

/// What a leaf certificate says, read by the SVID rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Whom it names.
    pub id: SpiffeId,
    /// First moment of validity, Unix seconds; 0 for times before 1970.
    pub not_before: u64,
    /// Last moment of validity, Unix seconds; 0 for times before 1970.
    pub not_after: u64,
    /// The serial number in lower-case hexadecimal, bytes separated by `:`.
    pub serial_hex: String,
}

impl Leaf {
    /// Reads a leaf and applies X509-SVID §2, §3.1, §4 and §5.2.
    ///
    /// # Errors
    /// [`SvidError`] names the broken rule.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, SvidError> {
        if certificate.len() > MAX_CERTIFICATE {
            return Err(SvidError::TooLarge);
        }
        let (rest, parsed) = X509Certificate::from_der(certificate).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(SvidError::Malformed("bytes after its end".into()));
        }
        let id = read_id(&parsed)?;
        check_key(&parsed)?;
        check_constraints(&parsed)?;
        check_usages(&parsed)?;
        Ok(Self {
            id,
            not_before: seconds(parsed.validity().not_before.timestamp()),
            not_after: seconds(parsed.validity().not_after.timestamp()),
            serial_hex: parsed.raw_serial_as_string(),
        })
    }
}

/// A certificate chain, leaf first, whose leaf has been read. The root is not part of it.
#[derive(Debug, Clone)]
pub struct X509Svid {
    chain: Vec<CertificateDer<'static>>,
    leaf: Leaf,
}

impl X509Svid {
    /// Takes a chain, leaf first, and reads it. All behind the leaf must be certificates that may sign others.
    ///
    /// # Errors
    /// [`SvidError`] when the chain is empty or too large, or one of its certificates breaks a rule.
    pub fn parse(chain: Vec<CertificateDer<'static>>) -> Result<Self, SvidError> {
        check_chain_size(chain.len(), chain.iter().map(|c| c.len()))?;
        let leaf = Leaf::read(chain.first().ok_or(SvidError::EmptyChain)?)?;
        for (index, signer) in chain.iter().enumerate().skip(1) {
            SigningCertificate::read(signer, Pki::Spiffe)
                .map_err(|reason| SvidError::Signer { index, reason })?;
        }
        Ok(Self { chain, leaf })
    }

    /// Whom the leaf names.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.leaf.id
    }

    /// The certificates, leaf first, DER.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// First moment of the leaf's validity, Unix seconds.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.leaf.not_before
    }

    /// Last moment of the leaf's validity, Unix seconds.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.leaf.not_after
    }

    /// The leaf's serial number, as [`Leaf::serial_hex`].
    #[must_use]
    pub fn serial_hex(&self) -> &str {
        &self.leaf.serial_hex
    }
}

/// Takes certificates apart that stand one behind the other in DER, as the Workload API sends them
/// (§5.2.1). No bytes are no certificates.
///
/// # Errors
/// [`SvidError::Malformed`] when something else stands among them, [`SvidError::TooLarge`] when there
/// are more than 64 or one is too large.
pub fn certificates(mut der: &[u8]) -> Result<Vec<CertificateDer<'static>>, SvidError> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (rest, _) = X509Certificate::from_der(der).map_err(malformed)?;
        let (one, after) = der.split_at(der.len() - rest.len());
        if found.len() >= MAX_CERTIFICATES || one.len() > MAX_CERTIFICATE {
            return Err(SvidError::TooLarge);
        }
        found.push(CertificateDer::from(one.to_vec()));
        der = after;
    }
    Ok(found)
}

/// Refuses a chain by its size alone, before any expensive step (SECURITY-CASES S-26).
pub(crate) fn check_chain_size(
    certificates: usize,
    mut sizes: impl Iterator<Item = usize>,
) -> Result<(), SvidError> {
    if certificates > MAX_CHAIN || sizes.any(|size| size > MAX_CERTIFICATE) {
        return Err(SvidError::TooLarge);
    }
    Ok(())
}

/// The one URI SAN, as a SPIFFE id with a path. Only `uniformResourceIdentifier` is identity: the
/// same text in another kind of name counts for nothing (SECURITY-CASES S-23).
fn read_id(certificate: &X509Certificate<'_>) -> Result<SpiffeId, SvidError> {
    let san =
        certificate.subject_alternative_name().map_err(malformed)?.ok_or(SvidError::NoUriSan)?;
    let mut uris = san.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let uri = uris.next().ok_or(SvidError::NoUriSan)?;
    let more = uris.count();
    if more > 0 {
        return Err(SvidError::ManyUriSans(more + 1));
    }
    // An unreadable entry might be a second URI to another reader.
    if san.value.general_names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
        return Err(SvidError::Malformed("an unreadable subject alternative name".into()));
    }
    if certificate.subject().iter().next().is_none() && !san.critical {
        return Err(SvidError::SanNotCritical);
    }
    let id = SpiffeId::parse(uri)?;
    if id.path().is_empty() {
        return Err(SvidError::RootPath);
    }
    Ok(id)
}

fn check_key(certificate: &X509Certificate<'_>) -> Result<(), SvidError> {
    match certificate.public_key().parsed().map_err(malformed)? {
        PublicKey::RSA(key) if key.key_size() > MAX_RSA_BITS => {
            Err(SvidError::KeyTooLarge(key.key_size()))
        }
        PublicKey::RSA(key) if rsa::is_roca(key.modulus) => Err(SvidError::WeakKey),
        _ => Ok(()),
    }
}

fn check_constraints(certificate: &X509Certificate<'_>) -> Result<(), SvidError> {
    match certificate.basic_constraints().map_err(malformed)? {
        Some(constraints) if constraints.value.ca => Err(SvidError::Ca),
        _ => Ok(()),
    }
}

fn check_usages(certificate: &X509Certificate<'_>) -> Result<(), SvidError> {
    let usage = certificate.key_usage().map_err(malformed)?;
    let usage = usage.filter(|u| u.critical).ok_or(SvidError::KeyUsageMissing)?.value;
    if usage.key_cert_sign() || usage.crl_sign() {
        return Err(SvidError::SigningKeyUsage);
    }
    if !usage.digital_signature() {
        return Err(SvidError::NoDigitalSignature);
    }
    match certificate.extended_key_usage().map_err(malformed)? {
        Some(eku) if !(eku.value.server_auth && eku.value.client_auth) => {
            Err(SvidError::ExtendedKeyUsage)
        }
        _ => Ok(()),
    }
}

fn malformed(error: impl std::fmt::Display) -> SvidError {
    SvidError::Malformed(error.to_string())
}

pub(crate) fn seconds(timestamp: i64) -> u64 {
    u64::try_from(timestamp).unwrap_or(0)
}
