//! Who asks for a token: the holder of a live X.509-SVID of this trust domain.
//!
//! The name comes from the verified leaf and from nowhere else: no request has a field for one. The signature proves
//! that whoever asks holds the leaf's key, over TLS and the unix socket alike.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use identity::verify::{HandshakeSide, VerifyError, verify_peer};
use identity::{SpiffeId, TrustBundle, TrustBundles};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::ca::leaf;

/// How far the caller's clock may be off, seconds.
const MAX_SKEW: u64 = 60;

/// Why nobody is proven.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// The caller's clock is off, or the request is an old one.
    #[error(
        "the request was signed {0} s from our time; within 60 s it would do. Check the clocks"
    )]
    Clock(u64),
    /// No certificate at all.
    #[error("the request has no certificate")]
    NoCertificate,
    /// The chain does not verify.
    #[error(transparent)]
    Chain(#[from] VerifyError),
    /// The chain verifies, but is not of our trust domain.
    #[error("`{0}` gets no token here: {1}")]
    Identity(SpiffeId, &'static str),
    /// The signature is not by the leaf's key.
    #[error("the request is not signed by the certificate's key (ECDSA P-256 with SHA-256)")]
    Signature,
}

/// What a request proves its caller by.
#[derive(Debug)]
pub struct HolderProof<'r> {
    /// Certificates in DER, leaf first.
    pub chain: &'r [Vec<u8>],
    /// The caller's clock, Unix seconds.
    pub signed_at: i64,
    /// What the signature is over.
    pub message: &'r [u8],
    /// ECDSA P-256 with SHA-256, ASN.1 DER.
    pub signature: &'r [u8],
}

impl HolderProof<'_> {
    /// Who holds the certificate and its key at this moment (Unix seconds). `own` is the bundle of our trust domain
    /// with its revocation lists.
    ///
    /// # Errors
    /// [`HolderError`].
    pub fn holder(&self, own: &TrustBundle, now: u64) -> Result<SpiffeId, HolderError> {
        check_clock(self.signed_at, now)?;
        let chain: Vec<CertificateDer<'_>> =
            self.chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let id = of_chain(&chain, own, now)?;
        let leaf = chain.first().ok_or(HolderError::NoCertificate)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| HolderError::Signature)?;
        let key = &parsed.public_key().subject_public_key.data;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
            .verify(self.message, self.signature)
            .map_err(|_| HolderError::Signature)?;
        Ok(id)
    }
}

/// Whom a chain, leaf first, names: verified against our own roots at this moment (Unix seconds). That its key is held
/// is for the caller to know.
///
/// # Errors
/// [`HolderError`] but for clock and signature.
pub fn of_chain(
    chain: &[CertificateDer<'_>],
    own: &TrustBundle,
    now: u64,
) -> Result<SpiffeId, HolderError> {
    let (certificate, intermediates) = chain.split_first().ok_or(HolderError::NoCertificate)?;
    let bundles = TrustBundles::new([own.clone()]);
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now));
    let id = verify_peer(&bundles, certificate, intermediates, at, HandshakeSide::Client)?;
    leaf::check_workload_id(own.trust_domain().as_str(), &id)
        .map_err(|reason| HolderError::Identity(id.clone(), reason))?;
    Ok(id)
}

fn check_clock(signed_at: i64, now: u64) -> Result<(), HolderError> {
    let apart = u64::try_from(signed_at).map_or(u64::MAX, |signed_at| signed_at.abs_diff(now));
    if apart > MAX_SKEW { Err(HolderError::Clock(apart)) } else { Ok(()) }
}
