//! What we take from a certificate signing request (PKCS#10, RFC 2986): a public key, and the proof
//! that the caller holds the private one. Subject, extensions and attributes are never looked at
//! (S-30, SPIRE CVE-2021-27098).

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rcgen::{PublicKeyData, SubjectPublicKeyInfo};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::der_parser::oid::Oid;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
    OID_PKCS1_SHA256WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer;

/// Larger requests are refused unread; one with an RSA-4096 key and a dozen names is below 4 KiB.
pub const MAX_CSR: usize = 16 * 1024;
/// The `RSAPublicKey` of a 4096-bit key is 526 bytes; larger keys only cost peers CPU (S-26).
const MAX_RSA_PUBLIC_KEY: usize = 530;

/// Why a request gets no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Above [`MAX_CSR`] bytes.
    #[error("the CSR is larger than 16 KiB")]
    TooLarge,
    /// Not PKCS#10 in DER.
    #[error("the CSR is not PKCS#10 in DER")]
    Malformed,
    /// A key or signature algorithm we do not sign for.
    #[error(
        "the CSR's key is of a kind we do not sign for; use ECDSA P-256 or P-384, Ed25519, or RSA 2048 to 4096"
    )]
    Unsupported,
    /// An RSA key that others can compute.
    #[error(
        "the CSR's RSA key is of the ROCA class (CVE-2017-15361), which others can compute; make a new key elsewhere, ECDSA P-256 best"
    )]
    WeakKey,
    /// The signature is not by the key that the request names.
    #[error("the CSR is not signed by its own key")]
    NoPossession,
}

/// A public key whose holder proved that it has the private one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenKey(SubjectPublicKeyInfo);

impl ProvenKey {
    pub(super) fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.0
    }

    /// The `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7).
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }
}

/// Reads a request and checks its proof of possession.
///
/// # Errors
/// [`CsrError`]; no input panics.
pub fn proven_key(der: &[u8]) -> Result<ProvenKey, CsrError> {
    if der.len() > MAX_CSR {
        return Err(CsrError::TooLarge);
    }
    let (rest, csr) = X509CertificationRequest::from_der(der).map_err(|_| CsrError::Malformed)?;
    if !rest.is_empty() {
        return Err(CsrError::Malformed);
    }
    let spki = &csr.certification_request_info.subject_pki;
    if identity::rsa::is_weak(spki) {
        return Err(CsrError::WeakKey);
    }
    let key = spki.subject_public_key.data.as_ref();
    let curve = spki.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
    let algorithm = verification(
        &spki.algorithm.algorithm,
        curve.as_ref(),
        key.len(),
        &csr.signature_algorithm.algorithm,
    )
    .ok_or(CsrError::Unsupported)?;
    UnparsedPublicKey::new(algorithm, key)
        .verify(csr.certification_request_info.raw, csr.signature_value.data.as_ref())
        .map_err(|_| CsrError::NoPossession)?;
    SubjectPublicKeyInfo::from_der(spki.raw).map(ProvenKey).map_err(|_| CsrError::Unsupported)
}

/// How to verify, by the kind of key and the kind of signature; nothing for every other pair.
fn verification(
    key: &Oid<'_>,
    curve: Option<&Oid<'_>>,
    key_length: usize,
    signature: &Oid<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    let p256 = *key == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == Some(&OID_EC_P256);
    let p384 = *key == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == Some(&OID_NIST_EC_P384);
    let rsa = *key == OID_PKCS1_RSAENCRYPTION && key_length <= MAX_RSA_PUBLIC_KEY;
    if p256 && *signature == OID_SIG_ECDSA_WITH_SHA256 {
        Some(&signature::ECDSA_P256_SHA256_ASN1)
    } else if p384 && *signature == OID_SIG_ECDSA_WITH_SHA384 {
        Some(&signature::ECDSA_P384_SHA384_ASN1)
    } else if *key == OID_SIG_ED25519 && *signature == OID_SIG_ED25519 {
        Some(&signature::ED25519)
    } else if rsa && *signature == OID_PKCS1_SHA256WITHRSA {
        Some(&signature::RSA_PKCS1_2048_8192_SHA256)
    } else {
        None
    }
}
