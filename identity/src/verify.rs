//! From a peer's certificate chain to its SPIFFE id, and the rustls verifiers that do it.
//!
//! The order is fixed: size, leaf rules (which yield the id), the bundle *of the id's own trust domain* (Workload API
//! §4.6), the chain against that bundle (RFC 5280, by webpki), those who signed it (X509-SVID §4.3, which webpki leaves
//! to us), the bundle's revocation lists. A root of one trust domain can therefore never vouch for an id of another.

mod proven;

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use crate::signer::check_intermediates;
use crate::svid::check_chain_size;
use crate::{Leaf, Pki, SpiffeId, SvidError, TrustBundle, TrustBundles, TrustDomain};
use proven::ProvenChains;

/// Which side of a handshake the certificate was presented by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeSide {
    /// By the client: `clientAuth` is wanted.
    Client,
    /// By the server: `serverAuth` is wanted.
    Server,
}

/// Why a peer's certificates do not prove an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The leaf is no X.509-SVID.
    #[error("the peer's certificate is not an X.509-SVID: {0}")]
    Svid(SvidError),
    /// No bundle is held for the peer's trust domain.
    #[error("no trust bundle is held for the peer's trust domain {0:?}")]
    UnknownTrustDomain(String),
    /// The certificate is not valid at this time.
    #[error("the certificate of {id} {problem} (now {now}, Unix seconds)")]
    Time {
        /// Whom the certificate names.
        id: SpiffeId,
        /// `expired at T, N s ago` or `is not valid before T, N s ahead of this clock`.
        problem: String,
        /// The verifier's clock.
        now: u64,
    },
    /// The chain does not lead to a root of the peer's trust domain.
    #[error("the certificate of {id} does not chain to a root of its trust domain: {reason}")]
    Chain {
        /// Whom the certificate names.
        id: SpiffeId,
        /// The path validator's message.
        reason: String,
    },
    /// The leaf or an intermediate is on a revocation list of its issuer.
    #[error("the certificate of {id}, or one it was issued under, has been revoked by its issuer")]
    Revoked {
        /// Whom the certificate names.
        id: SpiffeId,
    },
    /// The peer has proved an identity, but none of the expected ones.
    #[error("the server is {seen}, which is not among the expected identities {expected}")]
    UnexpectedIdentity {
        /// Whom the certificate names.
        seen: SpiffeId,
        /// Whom we wanted, comma-separated.
        expected: String,
    },
}

// Implemented by hand, without a source: this message contains the inner error's text, and a reporter would print it
// twice.
impl From<SvidError> for VerifyError {
    fn from(error: SvidError) -> Self {
        Self::Svid(error)
    }
}

/// Proves who presented a chain.
///
/// `now` is handed in, so that a test can move it and every caller uses one clock.
///
/// # Errors
/// [`VerifyError`]; any error means that the peer has proved no identity.
pub fn verify_peer(
    bundles: &TrustBundles,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
    usage: HandshakeSide,
) -> Result<SpiffeId, VerifyError> {
    check_chain_size(intermediates.len() + 1, intermediates.iter().map(|c| c.len()))?;
    let read = Leaf::read(leaf)?;
    let trust_domain = TrustDomain::parse(read.id.trust_domain()).map_err(SvidError::Id)?;
    let bundle = bundles
        .get(&trust_domain)
        .ok_or_else(|| VerifyError::UnknownTrustDomain(trust_domain.to_string()))?;
    check_time(&read, now)?;
    let chain_error =
        |e: webpki::Error| VerifyError::Chain { id: read.id.clone(), reason: e.to_string() };
    let end_entity = EndEntityCert::try_from(leaf).map_err(chain_error)?;
    let usage = match usage {
        HandshakeSide::Client => KeyUsage::client_auth(),
        HandshakeSide::Server => KeyUsage::server_auth(),
    };
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    // Another path may be good: a peer may send more intermediates than one, and a name may have several roots.
    let refused = RefCell::new(None);
    let check = |path: &VerifiedPath<'_>| {
        check_signers(bundle, path, now).map_err(|reason| {
            refused.replace(Some(reason));
            webpki::Error::UnknownIssuer
        })
    };
    let path = end_entity
        .verify_for_usage(
            algorithms,
            bundle.anchors(),
            intermediates,
            now,
            usage,
            None,
            Some(&check),
        )
        .map_err(|error| match refused.take() {
            Some(reason) => VerifyError::Chain { id: read.id.clone(), reason },
            None => chain_error(error),
        })?;
    if bundle.crls().revoke(&path, now, usage).map_err(chain_error)? {
        return Err(VerifyError::Revoked { id: read.id });
    }
    Ok(read.id)
}

/// The leaf's own times, before the chain: the most common fault gets the clearest message.
fn check_time(leaf: &Leaf, now: UnixTime) -> Result<(), VerifyError> {
    let now = now.as_secs();
    let problem = if now > leaf.not_after {
        format!("expired at {}, {} s ago", leaf.not_after, now - leaf.not_after)
    } else if now < leaf.not_before {
        let early = leaf.not_before - now;
        format!("is not valid before {}, {early} s ahead of this clock", leaf.not_before)
    } else {
        return Ok(());
    };
    Err(VerifyError::Time { id: leaf.id.clone(), problem, now })
}

/// Those who signed a path that is right otherwise: each intermediate on it may sign certificates, and the root it ends
/// at is within its time. RFC 5280 §6.1 asks no root for its time; ours end as every certificate does, so that a root
/// left in a bundle is of no use to a person who finds its key years later.
fn check_signers(
    bundle: &TrustBundle,
    path: &VerifiedPath<'_>,
    now: UnixTime,
) -> Result<(), String> {
    check_intermediates(path, Pki::Spiffe)
        .map_err(|reason| format!("an intermediate may not sign: {reason}"))?;
    let mut reason = "its root is not in the bundle".to_owned();
    for root in bundle.roots_behind(path.anchor()) {
        match root.out_of_time(now.as_secs()) {
            None => return Ok(()),
            Some(problem) => reason = format!("its root {} {problem}", root.shown),
        }
    }
    Err(reason)
}

/// The server's verifier: any peer with an SVID of a trust domain that we hold a bundle for.
/// Whether that peer *may* is the policy's question, asked afterwards.
#[derive(Debug)]
pub struct ClientVerifier {
    bundles: Arc<TrustBundles>,
    algorithms: WebPkiSupportedAlgorithms,
    proven: ProvenChains,
}

impl ClientVerifier {
    /// Verifies against these bundles.
    #[must_use]
    pub fn new(bundles: Arc<TrustBundles>) -> Self {
        let (algorithms, proven) = (crate::tls::signature_algorithms(), ProvenChains::default());
        Self { bundles, algorithms, proven }
    }
}

/// The client's verifier: the server must present one of the expected identities.
#[derive(Debug)]
pub struct ServerVerifier {
    bundles: Arc<TrustBundles>,
    expected: Arc<[SpiffeId]>,
    algorithms: WebPkiSupportedAlgorithms,
    proven: ProvenChains,
}

impl ServerVerifier {
    /// Verifies against these bundles and identities. An empty list matches nobody.
    #[must_use]
    pub fn new(bundles: Arc<TrustBundles>, expected: Arc<[SpiffeId]>) -> Self {
        let (algorithms, proven) = (crate::tls::signature_algorithms(), ProvenChains::default());
        Self { bundles, expected, algorithms, proven }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let side = HandshakeSide::Client;
        self.proven
            .verify(&self.bundles, end_entity, intermediates, now, side)
            .map_err(tls_error)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let side = HandshakeSide::Server;
        let seen = self
            .proven
            .verify(&self.bundles, end_entity, intermediates, now, side)
            .map_err(tls_error)?;
        if !self.expected.contains(&seen) {
            let expected: Vec<&str> = self.expected.iter().map(SpiffeId::as_str).collect();
            let expected = expected.join(", ");
            return Err(tls_error(VerifyError::UnexpectedIdentity { seen, expected }));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn only_tls13() -> Error {
    Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13)
}

/// The alert tells the peer the class of the fault; the details stay in our log.
fn tls_error(error: VerifyError) -> Error {
    Error::InvalidCertificate(match error {
        VerifyError::UnknownTrustDomain(_) => CertificateError::UnknownIssuer,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}
