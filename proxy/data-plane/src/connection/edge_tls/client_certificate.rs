//! The certificates of clients at the edge, such as partners: what one says, and which authorities are believed. None is
//! an identity of the mesh.

use std::sync::Arc;

use identity::{AuthoritiesError, WebCertificate};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::certificate::sha256;
use super::{ClientAuthentication, provider};

/// The most certificates that a client may send, its own included.
const MAX_CHAIN: usize = 8;
/// The largest one, bytes.
const MAX_CERTIFICATE: usize = 16 * 1024;

/// A client's certificate that leads to an authority of the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// What it says: names, subject, validity, number.
    pub read: WebCertificate,
    /// SHA-256 of it in DER, as `x5t#S256` has it (RFC 8705 §3.1).
    pub sha256: [u8; 32],
    /// The certificates as the client sent them, its own first, DER.
    pub chain: Arc<[CertificateDer<'static>]>,
}

/// Why authorities for clients are not taken.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthoritiesError {
    /// The text of the authorities.
    #[error("the authorities for client certificates: {0}")]
    Authorities(#[from] AuthoritiesError),
    /// The revocation lists, or a root that cannot be used.
    #[error("the authorities for client certificates: {0}")]
    Unusable(String),
}

/// Whom the certificates of clients must lead to, and what they have revoked. Clones are cheap.
#[derive(Debug, Clone)]
pub struct ClientAuthorities(Arc<dyn ClientCertVerifier>);

impl ClientAuthorities {
    /// Takes the `CERTIFICATE` blocks of a PEM text, all of them authorities, and the `X509 CRL` blocks of another one.
    /// A certificate whose issuer has no list there is not held to be revoked, and a list past its time still counts.
    ///
    /// # Errors
    /// [`ClientAuthoritiesError`]: nothing is taken.
    pub fn from_pem(
        authorities: &[u8],
        revocation_lists: Option<&[u8]>,
    ) -> Result<Self, ClientAuthoritiesError> {
        let unusable =
            |error: &dyn std::fmt::Display| ClientAuthoritiesError::Unusable(error.to_string());
        let mut roots = RootCertStore::empty();
        for (certificate, _) in identity::authorities(authorities)? {
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        let lists = CertificateRevocationListDer::pem_slice_iter(revocation_lists.unwrap_or(&[]))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(&identity::pem::damage(&error)))?;
        if revocation_lists.is_some() && lists.is_empty() {
            return Err(unusable(
                &"no revocation list: expected `-----BEGIN X509 CRL-----` blocks",
            ));
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .with_crls(lists)
            .allow_unknown_revocation_status()
            .build()
            .map(Self)
            .map_err(|error| unusable(&error))
    }
}

/// Asks for a certificate. Where it is optional, a certificate that proves nothing is let pass here, and
/// [`Self::proven`] then makes nobody of the client.
#[derive(Debug)]
pub(super) struct EdgeClientVerifier {
    authorities: ClientAuthorities,
    mandatory: bool,
}

impl EdgeClientVerifier {
    /// The verifier; `None` where nothing is asked of clients.
    pub(super) fn new(client: ClientAuthentication) -> Option<Self> {
        match client {
            ClientAuthentication::None => None,
            ClientAuthentication::Required(authorities) => {
                Some(Self { authorities, mandatory: true })
            }
            ClientAuthentication::Optional(authorities) => {
                Some(Self { authorities, mandatory: false })
            }
        }
    }

    /// What the certificates of a finished handshake prove: the client, or nobody where they prove nothing and none was
    /// demanded. `None`: demanded, and not to be read.
    pub(super) fn proven(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Option<Option<ClientCertificate>> {
        // A certificate that was demanded has been verified in the handshake.
        let verified = self.mandatory || self.verify(chain, now).is_ok();
        let client = verified.then(|| client_certificate(chain)).flatten();
        (client.is_some() || !self.mandatory).then_some(client)
    }

    fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let (leaf, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        check_size(leaf, intermediates)?;
        self.authorities.0.verify_client_cert(leaf, intermediates, now).map(drop)
    }
}

fn client_certificate(chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
    let leaf = chain.first()?;
    Some(ClientCertificate {
        read: WebCertificate::read(leaf).ok()?,
        sha256: sha256(leaf),
        chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
    })
}

/// Long chains and large certificates cost time before they are refused (SECURITY-CASES S-26).
fn check_size(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<(), Error> {
    let small = |der: &CertificateDer<'_>| der.len() <= MAX_CERTIFICATE;
    match intermediates.len() < MAX_CHAIN && small(leaf) && intermediates.iter().all(small) {
        true => Ok(()),
        false => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
    }
}

impl ClientCertVerifier for EdgeClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authorities.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !self.mandatory {
            return Ok(ClientCertVerified::assertion());
        }
        check_size(leaf, intermediates)?;
        self.authorities.0.verify_client_cert(leaf, intermediates, now)
    }

    // That the client has the key of the certificate it shows is asked in any case.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.0.supported_verify_schemes()
    }
}
