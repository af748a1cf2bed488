//! `x509`: the holder of a certificate from a CA that the registry names.
//!
//! The caller signs the hash of its certificate request with the certificate's key, so the evidence is bound to the
//! new key: whoever records and repeats it gets a certificate for a key that is not theirs.

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use std::time::Duration;
use webpki::aws_lc_rs as algorithms;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::attest::refusal::Refusal;
use crate::attest::registry::x509::{CertificateNames, X509Authorities, X509Authority};
use crate::store::secret;
use issuance_messages::X509Evidence;

use super::{AttestedIdentity, Attestor, IdentityProof, RequestContext};

/// What is signed begins with it, and a zero byte follows.
pub const LABEL: &[u8] = b"postern x509 evidence v1";

/// A leaf and its intermediates; more is no chain of this world.
const MAX_CHAIN: usize = 8;
/// Of one certificate, DER.
const MAX_CERTIFICATE: usize = 16 * 1024;
const MAX_SIGNATURE: usize = 1024;

/// What signs certificates of chains that we follow: no SHA-1, no RSA below 2048 bits.
static CHAIN_ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// Why a certificate proved nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The chain or the proof.
    #[error("the certificate proves nothing here: {0}")]
    NotGood(&'static str),
    /// The certificate is good, and no entry fits it.
    #[error("no x509 entry of the authority's registry fits the names of the certificate")]
    Nobody,
    /// It is good for several.
    #[error("x509 entries of several identities fit the certificate; narrow them")]
    Ambiguous,
}

/// Believes the certificate authorities of the registry.
#[derive(Debug)]
pub struct X509Attestor<'a>(pub &'a X509Authorities);

impl Attestor for X509Attestor<'_> {
    type Evidence = X509Evidence;

    async fn attest(
        &self,
        evidence: &X509Evidence,
        asking: &RequestContext<'_>,
    ) -> Result<AttestedIdentity, Refusal> {
        Ok(examine(self.0, evidence, asking)?)
    }
}

fn examine(
    authorities: &X509Authorities,
    evidence: &X509Evidence,
    asking: &RequestContext<'_>,
) -> Result<AttestedIdentity, CertificateError> {
    use CertificateError::NotGood;
    let chain = chain(evidence)?;
    let [leaf_der, intermediates @ ..] = chain.as_slice() else { return Err(NotGood("no chain")) };
    let leaf = EndEntityCert::try_from(leaf_der).map_err(|_| NotGood("it cannot be read"))?;
    let verified = |authority: &&X509Authority| {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(asking.now));
        let vouches = |path: &VerifiedPath<'_>| {
            let right = authority.vouches(path, asking.now);
            right.then_some(()).ok_or(webpki::Error::UnknownIssuer)
        };
        leaf.verify_for_usage(
            CHAIN_ALGORITHMS,
            authority.anchors(),
            intermediates,
            now,
            KeyUsage::client_auth(),
            None,
            Some(&vouches),
        )
        .is_ok()
    };
    let vouching: Vec<_> = authorities.iter().filter(verified).collect();
    if vouching.is_empty() {
        return Err(NotGood("no CA of the registry vouches for it now, for client authentication"));
    }
    check_possession(&leaf, evidence, asking.csr_der)?;
    let (_, parsed) =
        X509Certificate::from_der(leaf_der).map_err(|_| NotGood("it cannot be read"))?;
    if identity::rsa::is_weak(parsed.public_key()) {
        return Err(NotGood("its RSA key is of the ROCA class (CVE-2017-15361)"));
    }
    let names = names(&parsed)?;
    let mut identities: Vec<_> =
        vouching.iter().flat_map(|authority| authority.identities_of(&names)).collect();
    identities.sort();
    identities.dedup();
    match identities.as_slice() {
        [] => Err(CertificateError::Nobody),
        [one] => {
            let key = digest(&SHA256, parsed.public_key().raw);
            let instance = format!("x509/{}", secret::hex(&key.as_ref()[..16]));
            Ok(AttestedIdentity {
                identity: (*one).clone(),
                instance,
                proof: IdentityProof::Lasting,
            })
        }
        _ => Err(CertificateError::Ambiguous),
    }
}

fn chain(evidence: &X509Evidence) -> Result<Vec<CertificateDer<'_>>, CertificateError> {
    let chain = &evidence.certificate_chain;
    if chain.len() > MAX_CHAIN || chain.iter().any(|der| der.len() > MAX_CERTIFICATE) {
        return Err(CertificateError::NotGood("a chain of more than 8 certificates of 16 KiB"));
    }
    Ok(chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect())
}

/// The leaf's key signed this very request.
fn check_possession(
    leaf: &EndEntityCert<'_>,
    evidence: &X509Evidence,
    csr_der: &[u8],
) -> Result<(), CertificateError> {
    let unsupported = CertificateError::NotGood("a signature scheme that is not supported");
    let algorithm = scheme(evidence.signature_scheme).ok_or(unsupported)?;
    if evidence.signature.len() > MAX_SIGNATURE {
        return Err(CertificateError::NotGood("a signature that is none"));
    }
    leaf.verify_signature(algorithm, &signed(csr_der), &evidence.signature).map_err(|_| {
        CertificateError::NotGood("the request is not signed by the certificate's key")
    })
}

/// What the leaf's key signs: the label, a zero byte, and the hash of the request.
fn signed(csr_der: &[u8]) -> Vec<u8> {
    [LABEL, &[0], digest(&SHA256, csr_der).as_ref()].concat()
}

/// The signature schemes of TLS 1.3 for certificates' keys (RFC 8446 §4.2.3).
fn scheme(code: u32) -> Option<&'static dyn SignatureVerificationAlgorithm> {
    match code {
        0x0403 => Some(algorithms::ECDSA_P256_SHA256),
        0x0503 => Some(algorithms::ECDSA_P384_SHA384),
        0x0804 => Some(algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY),
        0x0805 => Some(algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY),
        0x0806 => Some(algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY),
        0x0807 => Some(algorithms::ED25519),
        _ => None,
    }
}

/// Every name the verified certificate has. One whose extensions cannot be read has none.
fn names<'a>(leaf: &'a X509Certificate<'_>) -> Result<CertificateNames<'a>, CertificateError> {
    let mut names =
        CertificateNames { subject: leaf.subject().to_string(), uris: Vec::new(), dns: Vec::new() };
    let alternative = leaf
        .subject_alternative_name()
        .map_err(|_| CertificateError::NotGood("its alternative names cannot be read"))?;
    for name in alternative.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::URI(uri) => names.uris.push(uri),
            GeneralName::DNSName(dns) => names.dns.push(dns),
            _ => {}
        }
    }
    Ok(names)
}
