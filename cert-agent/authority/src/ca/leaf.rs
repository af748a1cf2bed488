//! The rules of a leaf: what the authority signs, whatever was asked for.
//!
//! X509-SVID §2, §3.1, §4: one URI SAN that is exactly the attested id, critical because the
//! subject is empty; cA false; key usage digitalSignature, critical; both extended key usages.

use identity::SpiffeId;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;

use crate::ca::csr::ProvenKey;
use crate::ca::signers::{self, BACK_DATED, NotReady, SigningCa};
use crate::store::secret;

/// The path of the authority's own id; nobody attests to it, or it could pose as the authority.
pub const AUTHORITY_PATH: &str = "/postern/authority";

/// A leaf just signed.
#[derive(Debug, Clone)]
pub struct SignedLeaf {
    /// Leaf first, then the intermediate.
    pub chain: Vec<CertificateDer<'static>>,
    /// When it expires, Unix seconds.
    pub not_after: u64,
    /// Lower-case hexadecimal bytes separated by `:`, for the log.
    pub serial: String,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The intermediate is expired or not yet valid.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// An id that this authority does not sign.
    #[error("`{0}` is not an identity this authority signs: {1}")]
    Identity(SpiffeId, &'static str),
    /// The library failed.
    #[error("cannot sign: {0}")]
    Library(String),
}

/// Whom a leaf is for.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The attested id.
    pub id: SpiffeId,
    /// DNS names that the registry gives this id; empty for almost everybody (ARCHITECTURE, invariant 13).
    pub dns_names: Vec<String>,
}

/// Signs a workload's leaf. `lifetime` in seconds from `now` (Unix seconds); never beyond the
/// intermediate's end.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    ca: &SigningCa,
    key: &ProvenKey,
    subject: &Subject,
    lifetime: u64,
    now: u64,
) -> Result<SignedLeaf, SignError> {
    check_identity(ca, &subject.id)?;
    sign_any(ca, key.public_key(), subject, lifetime, now)
}

/// Whether the authority may sign this id for a workload.
///
/// # Errors
/// [`SignError::Identity`] with the reason.
pub fn check_identity(ca: &SigningCa, id: &SpiffeId) -> Result<(), SignError> {
    check_workload_id(ca.trust_domain().as_str(), id)
        .map_err(|reason| SignError::Identity(id.clone(), reason))
}

/// The same rule for whoever has only the trust domain's name.
///
/// # Errors
/// The reason, as the end of a sentence.
pub fn check_workload_id(trust_domain: &str, id: &SpiffeId) -> Result<(), &'static str> {
    if id.trust_domain() != trust_domain {
        Err("it is of another trust domain")
    } else if id.path().is_empty() {
        Err("it names a trust domain, not a workload; add a path such as /ns/shop/sa/cart")
    } else if id.path() == AUTHORITY_PATH {
        Err("it is the authority's own")
    } else {
        Ok(())
    }
}

/// Signs without the rule on ids: for the authority's own server certificate.
pub(crate) fn sign_any(
    ca: &SigningCa,
    key: &impl rcgen::PublicKeyData,
    subject: &Subject,
    lifetime: u64,
    now: u64,
) -> Result<SignedLeaf, SignError> {
    ca.ready(now)?;
    let not_after = now.saturating_add(lifetime).min(ca.not_after());
    let params = params(subject, now, not_after).map_err(|e| SignError::Library(e.to_string()))?;
    let serial =
        params.serial_number.as_ref().map(|s| secret::serial(&s.to_bytes())).unwrap_or_default();
    let certificate =
        params.signed_by(key, ca.issuer()).map_err(|e| SignError::Library(e.to_string()))?;
    let mut chain = vec![certificate.into()];
    chain.extend_from_slice(ca.chain());
    Ok(SignedLeaf { chain, not_after, serial })
}

fn params(subject: &Subject, now: u64, not_after: u64) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(subject.id.as_str().try_into()?)];
    for name in &subject.dns_names {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(signers::serial());
    params.not_before = signers::date(now.saturating_sub(BACK_DATED))?;
    params.not_after = signers::date(not_after)?;
    Ok(params)
}
