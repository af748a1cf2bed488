//! TLS configurations of the mesh: TLS 1.3 only, mutual, every connection a full handshake.
//!
//! Resumption and early data are off on both sides, because a resumed session would skip the
//! verifier (SECURITY-CASES rule 4). Key exchange prefers X25519MLKEM768, the post-quantum hybrid.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use crate::verify::{ClientVerifier, ServerVerifier};
use crate::{KeyError, SpiffeId, SvidKey, TrustBundles, X509Svid};

/// Between two Postern proxies: HTTP/2 that carries requests and CONNECT streams.
pub const ALPN_POSTERN: &[u8] = b"postern/1";
/// HTTP/2 (RFC 9113 §3.2).
pub const ALPN_H2: &[u8] = b"h2";
/// HTTP/1.1 (RFC 7301 §6).
pub const ALPN_HTTP11: &[u8] = b"http/1.1";

/// Why no TLS configuration could be made of an SVID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsConfigError {
    /// The private key cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The private key is not the one of the certificate, or rustls refuses the combination.
    #[error("the certificate of {id} cannot be used for TLS: {reason}")]
    Certificate {
        /// Whom the certificate names.
        id: SpiffeId,
        /// The library's message.
        reason: String,
    },
}

/// The cryptography of the mesh: aws-lc-rs, the TLS 1.3 suites, X25519MLKEM768 before X25519.
///
/// AES-128-GCM stands first: no known attack comes near it, and it costs least.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites =
        vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
    Arc::new(provider)
}

/// What peers may sign handshakes with.
pub(crate) fn signature_algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms
}

/// The server's side: presents `svid`, demands a client certificate, verifies it against
/// `bundles`. `alpn` lists what is offered, most wanted first; empty means no ALPN.
///
/// # Errors
/// [`TlsConfigError`] when key and certificate do not fit each other.
pub fn server_config(
    svid: &X509Svid,
    key: &SvidKey,
    bundles: Arc<TrustBundles>,
    alpn: &[&[u8]],
) -> Result<ServerConfig, TlsConfigError> {
    let certified = Arc::new(SingleCertAndKey::from(certified_key(svid, key)?));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| certificate_error(svid, &e))?
        .with_client_cert_verifier(Arc::new(ClientVerifier::new(bundles)))
        .with_cert_resolver(certified);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// The client's side: presents `svid`, and accepts only a server that proves one of `expected`.
///
/// # Errors
/// [`TlsConfigError`] when key and certificate do not fit each other.
pub fn client_config(
    svid: &X509Svid,
    key: &SvidKey,
    bundles: Arc<TrustBundles>,
    expected: Arc<[SpiffeId]>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsConfigError> {
    let certified = Arc::new(SingleCertAndKey::from(certified_key(svid, key)?));
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| certificate_error(svid, &e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerVerifier::new(bundles, expected)))
        .with_client_cert_resolver(certified);
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn certified_key(svid: &X509Svid, key: &SvidKey) -> Result<CertifiedKey, TlsConfigError> {
    let certified = CertifiedKey::new(svid.chain().to_vec(), key.signing_key()?);
    certified.keys_match().map_err(|e| certificate_error(svid, &e))?;
    Ok(certified)
}

fn certificate_error(svid: &X509Svid, error: &rustls::Error) -> TlsConfigError {
    TlsConfigError::Certificate { id: svid.id().clone(), reason: error.to_string() }
}
