//! The workload's own certificate, key and trust bundles, and where they come from.
//!
//! A [`Credentials`] is one immutable set with its TLS configurations built once; a renewal is a
//! new set, swapped whole. Sources are the SPIFFE Workload API ([`workload_api`]) and PEM files
//! ([`files`]), and each hands over only sets that have passed the same checks.

pub mod files;
pub mod workload_api;

use std::sync::Arc;

use identity::tls::{ALPN_H2, ALPN_HTTP11, ALPN_POSTERN, TlsConfigError};
use identity::verify::{Usage, VerifyError, verify_peer};
use identity::{SpiffeId, SvidKey, TrustBundles, X509Svid};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::UnixTime;

/// Why a set of certificate, key and bundles is not taken over.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The certificate is not valid for us: wrong chain, wrong time, no bundle.
    #[error("our own certificate would be refused by its own trust domain: {0}")]
    Verify(#[from] VerifyError),
    /// The key does not fit the certificate.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// The chain has no leaf.
    #[error("the certificate chain is empty")]
    Empty,
}

/// One generation of certificate, key and bundles.
pub struct Credentials {
    generation: u64,
    svid: X509Svid,
    key: SvidKey,
    bundles: Arc<TrustBundles>,
    server_with_alpn: Arc<ServerConfig>,
    server_without_alpn: Arc<ServerConfig>,
}

impl Credentials {
    /// Checks the set as a peer would, at `now`, and builds its TLS configurations.
    ///
    /// # Errors
    /// [`CredentialsError`]; the caller keeps what it has.
    pub fn new(
        generation: u64,
        svid: X509Svid,
        key: SvidKey,
        bundles: TrustBundles,
        now: UnixTime,
    ) -> Result<Self, CredentialsError> {
        let (leaf, intermediates) = svid.chain().split_first().ok_or(CredentialsError::Empty)?;
        verify_peer(&bundles, leaf, intermediates, now, Usage::Server)?;
        let bundles = Arc::new(bundles);
        let server = |alpn: &[&[u8]]| {
            identity::tls::server_config(&svid, &key, bundles.clone(), alpn).map(Arc::new)
        };
        let server_with_alpn = server(&[ALPN_POSTERN, ALPN_H2, ALPN_HTTP11])?;
        let server_without_alpn = server(&[])?;
        Ok(Self { generation, svid, key, bundles, server_with_alpn, server_without_alpn })
    }

    /// Grows with each take-over, so that pools know a connection's age.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Who we are.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        self.svid.id()
    }

    /// The certificate chain; never the key.
    #[must_use]
    pub fn svid(&self) -> &X509Svid {
        &self.svid
    }

    /// The bundles that peers are verified against.
    #[must_use]
    pub fn bundles(&self) -> &Arc<TrustBundles> {
        &self.bundles
    }

    /// Whether the certificate is still valid at this Unix second.
    #[must_use]
    pub fn is_valid(&self, now: u64) -> bool {
        now <= self.svid.not_after()
    }

    /// The server's configuration for a client that offered a protocol of ours, or none of them:
    /// then there is no ALPN, rather than an alert (DESIGN §4).
    #[must_use]
    pub fn server_config(&self, client_offers_known_alpn: bool) -> Arc<ServerConfig> {
        match client_offers_known_alpn {
            true => self.server_with_alpn.clone(),
            false => self.server_without_alpn.clone(),
        }
    }

    /// A client's configuration that accepts only these identities.
    ///
    /// # Errors
    /// [`TlsConfigError`] when the key cannot sign, which [`Self::new`] has ruled out.
    pub fn client_config(
        &self,
        expected: Arc<[SpiffeId]>,
        alpn: &[&[u8]],
    ) -> Result<Arc<ClientConfig>, TlsConfigError> {
        let bundles = self.bundles.clone();
        identity::tls::client_config(&self.svid, &self.key, bundles, expected, alpn).map(Arc::new)
    }
}
